/**
 * Cuts off connections that hold resources and do nothing: content that stops arriving, responses that nobody reads.
 *
 * Node's own socket timeout is the clock: it fires when nothing was read or written for a while. Waiting for a slow upstream
 * is such a while too, and is left to the upstream's deadlines.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { LimitsConfig } from '../config/schema.ts'

interface Exchange { request: IncomingMessage, response: ServerResponse, silentMs: number }

export function guardConnections (server: Server, limits: LimitsConfig): void {
  const tickMs = Math.max(10, Math.min(limits.bodyTimeout || Infinity, limits.writeTimeout || Infinity))
  if (!Number.isFinite(tickMs)) return
  const exchanges = new WeakMap<Socket, Exchange>()

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.httpVersionMajor === 1) exchanges.set(request.socket, { request, response, silentMs: 0 })
  })
  // A client that pipelines past the limit of requests per connection: Node answers 503 and would then wait for ever.
  server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => {
    const last = exchanges.get(socket)?.response
    if (last === undefined || last.writableFinished) socket.destroySoon()
    else last.once('close', () => { socket.destroySoon() })
  })
  server.setTimeout(tickMs, (socket: Socket) => {
    const exchange = exchanges.get(socket)
    // Before a request, and between two of them, Node's header and keep-alive timeouts count.
    if (exchange === undefined || exchange.response.writableFinished) return
    exchange.silentMs += tickMs
    const { request, response } = exchange
    const unread = socket.writableLength > 0
    const incomplete = !request.complete && !response.headersSent
    if (unread && limits.writeTimeout > 0 && exchange.silentMs >= limits.writeTimeout) {
      socket.destroy()
      return
    }
    if (!unread && !request.complete && limits.bodyTimeout > 0 && exchange.silentMs >= limits.bodyTimeout) {
      if (!incomplete) {
        socket.destroy()
        return
      }
      const body = '{"error":{"code":"request_timeout","status":408}}'
      socket.end(`HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`, () => { socket.destroy() })
      return
    }
    socket.setTimeout(tickMs)
  })
}
