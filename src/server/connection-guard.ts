/**
 * Knows the connections of a listener: cuts off those that hold resources and do nothing (content that stops arriving,
 * responses that nobody reads), and ends all of them in good order at shutdown.
 *
 * Node's own socket timeout is the clock: it fires when nothing was read or written for a while. Waiting for a slow upstream
 * is such a while too, and is left to the upstream's deadlines.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { LimitsConfig } from '../config/schema.ts'

interface Exchange { readonly request: IncomingMessage, readonly response: ServerResponse, silentMs: number }

export interface ConnectionGuard {
  /** Idle connections end now, the others with the response they wait for. */
  closeGracefully (): void
  /** Ends everything now. */
  destroyAll (): void
}

export function guardConnections (server: Server, limits: LimitsConfig): ConnectionGuard {
  const tickMs = Math.max(10, Math.min(limits.bodyTimeout, limits.writeTimeout))
  /** The last exchange of each connection; null before the first. */
  const connections = new Map<Socket, Exchange | null>()
  const sessions = new Set<Http2Session>()
  let closing = false

  const track = (socket: Socket): void => {
    connections.set(socket, null)
    socket.once('close', () => { connections.delete(socket) })
  }
  server.on('connection', track)
  server.on('secureConnection', track)
  server.on('session', (session: Http2Session) => {
    sessions.add(session)
    session.once('close', () => { sessions.delete(session) })
  })

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.httpVersionMajor !== 1) return
    connections.set(request.socket, { request, response, silentMs: 0 })
    if (closing) response.shouldKeepAlive = false
  })
  // A client that pipelines past the limit of requests per connection: Node answers 503 and would then wait for ever.
  server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => { endAfterResponse(socket, connections.get(socket)) })

  server.setTimeout(tickMs, (socket: Socket) => {
    const exchange = connections.get(socket)
    // Before a request, and between two of them, Node's header and keep-alive timeouts count.
    if (exchange === undefined || exchange === null || exchange.response.writableFinished) return
    exchange.silentMs += tickMs
    const { request, response, silentMs } = exchange
    if (socket.writableLength > 0) {
      if (silentMs >= limits.writeTimeout) return socket.destroy()
    } else if (!request.complete && silentMs >= limits.bodyTimeout) {
      return response.headersSent ? socket.destroy() : answerTimeout(socket)
    }
    socket.setTimeout(tickMs)
  })

  return {
    closeGracefully () {
      closing = true
      for (const session of sessions) session.close()
      for (const [socket, exchange] of connections) endAfterResponse(socket, exchange)
    },
    destroyAll () {
      for (const session of sessions) session.destroy()
      for (const socket of connections.keys()) socket.destroy()
    }
  }
}

function endAfterResponse (socket: Socket, exchange: Exchange | null | undefined): void {
  // HTTP/2 sockets belong to their session.
  if ((socket as { alpnProtocol?: string }).alpnProtocol === 'h2') return
  if (exchange === null || exchange === undefined || exchange.response.writableFinished) {
    socket.destroySoon()
    return
  }
  exchange.response.shouldKeepAlive = false
  exchange.response.once('close', () => { socket.destroySoon() })
}

function answerTimeout (socket: Socket): void {
  const body = '{"error":{"code":"request_timeout","status":408}}'
  socket.end(`HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`, () => { socket.destroy() })
}
