/** Clients that leave in the middle of a response. */
import { connect } from 'node:net'

export interface Leavers {
  /** Resolves with how many there were. */
  stop (): Promise<number>
}

/** Where so many have had no answer yet, no more come: a server too busy to accept them would never get to anybody else's connections. */
const mostOpen = 64

/** One every `everyMs`; each asks for another URL and leaves with the first bytes that come. */
export function startLeavers (url: string, pathOf: (number: number) => string, everyMs: number): Leavers {
  const { hostname, port } = new URL(url)
  const open = new Set<Promise<void>>()
  let count = 0
  const timer = setInterval(() => {
    if (open.size >= mostOpen) return
    const one = leave(hostname, Number(port), pathOf(count++)).finally(() => { open.delete(one) })
    open.add(one)
  }, everyMs)
  return {
    async stop () {
      clearInterval(timer)
      await Promise.all(open)
      return count
    }
  }
}

function leave (host: string, port: number, path: string): Promise<void> {
  return new Promise(resolve => {
    const socket = connect(port, host)
    socket.once('data', () => { socket.destroy() })
    socket.on('error', () => {})
    socket.once('close', () => { resolve() })
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`)
  })
}
