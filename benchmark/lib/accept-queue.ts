/** Connections that the system has accepted and the server has not yet: on Linux the receive queue of a listening socket. */
import { existsSync, readFileSync } from 'node:fs'

const listening = '0A'

/** Null where the system does not say. */
export function waitingConnections (port: number): number | null {
  let waiting: number | null = null
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    if (!existsSync(file)) continue
    for (const line of readFileSync(file, 'utf8').split('\n').slice(1)) {
      const [, local, , state, queues] = line.trim().split(/\s+/)
      if (state !== listening || local === undefined || queues === undefined) continue
      if (Number.parseInt(local.split(':')[1] ?? '', 16) === port) waiting = (waiting ?? 0) + Number.parseInt(queues.split(':')[1] ?? '0', 16)
    }
  }
  return waiting
}
