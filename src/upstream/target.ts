/** One target: its connections, and whether it answers. */
import type { UpstreamConfig } from '../config/schema.ts'
import { createConnectionFactory, type Connection } from './connection.ts'
import type { TargetStatistics } from './exchange.ts'

export interface Target {
  readonly origin: string
  /** Authority for `Host`. */
  readonly authority: string
  readonly serverName: string
  readonly weight: number
  /** State of the smooth weighted round-robin. */
  current: number
  inFlight (): number
  hasRoom (): boolean
  /** A connection with nothing on it; only when there is room. `fresh`: one that has not been used yet. */
  acquire (fresh: boolean): Connection
  /** Takes a connection back; a broken one is not used again. */
  release (connection: Connection, broken: boolean): void
  isOut (now: number): boolean
  /** Counts a failure to get a valid response; enough in a row take the target out. */
  failed (now: number): void
  succeeded (): void
  /** Called when a target that is out is tried: for another cooldown nobody else tries it. */
  trying (now: number): void
  statistics (now: number): TargetStatistics
  close (): Promise<void>
  destroy (): Promise<void>
}

export function createTarget (url: string, weight: number, config: UpstreamConfig): Target {
  const { origin, host } = new URL(url)
  const { failures: maxFailures, cooldown } = config.health
  const factory = createConnectionFactory(origin, config)
  const all = new Set<Connection>()
  /** Last in, first out: the fewest connections stay warm. */
  const idle: Connection[] = []
  let failures = 0
  let outUntil = 0

  /** undici would connect again at once after an exchange that was broken off, for nobody. */
  function drop (connection: Connection): void {
    all.delete(connection)
    if (!connection.client.destroyed) connection.client.destroy().catch(() => {})
  }

  return {
    origin,
    authority: host,
    serverName: factory.serverName,
    weight,
    current: 0,
    inFlight: () => all.size - idle.length,
    hasRoom: () => idle.length > 0 || all.size < config.connections,
    acquire (fresh) {
      const warm = idle.pop()
      if (warm !== undefined && !fresh) return warm
      // A target that closed one idle connection has probably closed the others too.
      if (warm !== undefined) drop(warm)
      const connection = factory.create()
      all.add(connection)
      return connection
    },
    release (connection, broken) {
      if (broken || connection.client.destroyed || connection.client.closed) drop(connection)
      else idle.push(connection)
    },
    isOut: now => outUntil > now,
    failed (now) {
      failures++
      if (maxFailures > 0 && failures >= maxFailures) outUntil = now + cooldown
    },
    succeeded () {
      failures = 0
      outUntil = 0
    },
    trying (now) {
      if (maxFailures > 0 && failures >= maxFailures) outUntil = now + cooldown
    },
    statistics: now => ({
      origin,
      healthy: outUntil <= now,
      openSockets: [...all].filter(connection => connection.hasSocket()).length,
      inFlight: all.size - idle.length
    }),
    async close () { await Promise.all([...all].map(connection => connection.client.close().catch(() => {}))) },
    async destroy () { await Promise.all([...all].map(connection => connection.client.destroy().catch(() => {}))) }
  }
}
