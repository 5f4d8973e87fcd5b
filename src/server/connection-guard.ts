/**
 * Knows the HTTP/1 connections of a listener: cuts off those that hold resources and do nothing (content that stops
 * arriving, responses that nobody reads, keep-alive without a next request), and ends all in good order at shutdown.
 *
 * The clock is Node's socket timeout: it fires after a silence in both directions and knows when a long write is still
 * being read. What the silence means depends on who is waited for; a limit counts only while it is the client.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2ServerRequest } from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { LimitsConfig } from '../config/schema.ts'
import { noteCut } from '../proxy/cut.ts'
import { answerTimeout } from './client-errors.ts'
import { isTls, limitHandshakes } from './handshakes.ts'
import { guardSessions } from './session-guard.ts'

type WaitingFor = 'content' | 'reader' | 'upstream'

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Who was waited for when the silence was last looked at. */
  waitingFor: WaitingFor
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface ConnectionGuard {
  /** Idle connections end now, the others with the response they wait for. */
  closeGracefully (): void
  /** Ends everything now. */
  destroyAll (): void
}

/** Looks at silent connections this often, in milliseconds, at most. */
const shortestTickMs = 10

/** Takes the server's requests, watches them, and hands them to `handler`. */
export function guardConnections (server: Server, limits: LimitsConfig, handler: RequestHandler): ConnectionGuard {
  const sessions = guardSessions(server as unknown as Http2SecureServer, limits)
  const handshakes = limitHandshakes(server, limits.headerTimeout)
  /** The last exchange of each HTTP/1 connection; null before the first. */
  const connections = new Map<Socket, Exchange | null>()
  const tickMs = Math.max(shortestTickMs, Math.min(limits.bodyTimeout, limits.writeTimeout) / 2)
  // Nothing but its length tells a keep-alive timeout from a tick.
  const idleMs = limits.idleTimeout === tickMs ? limits.idleTimeout + 1 : limits.idleTimeout
  // Clients are told a little less, so that a request sent at the last moment still finds the connection open.
  server.keepAliveTimeoutBuffer = Math.min(1000, Math.floor(idleMs / 2))
  server.keepAliveTimeout = idleMs - server.keepAliveTimeoutBuffer
  let closing = false

  server.on(isTls(server) ? 'secureConnection' : 'connection', (socket: Socket) => {
    // The sockets of HTTP/2 belong to their sessions.
    if ((socket as TLSSocket).alpnProtocol === 'h2') return
    connections.set(socket, null)
    socket.once('close', () => { connections.delete(socket) })
    if (closing) socket.destroy()
  })

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (request.httpVersionMajor === 2) {
      sessions.watch(request as unknown as Http2ServerRequest, response)
    } else {
      // RFC 9112 9.6: what was sent behind the request that ends the connection gets no answer, so it is not acted upon.
      if (isLast(connections.get(request.socket))) return
      connections.set(request.socket, { request, response, waitingFor: 'upstream' })
      // Node says `Connection: close` in the last response that a connection may have, and leaves the closing to the client (RFC 9112 9.6).
      if (closing || (response as { maxRequestsOnConnectionReached?: boolean }).maxRequestsOnConnectionReached === true) response.shouldKeepAlive = false
    }
    handler(request, response)
  })
  // A client that pipelines past the limit of requests per connection: Node answers 503 and would then wait for ever.
  server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => { endAfterResponse(socket, connections.get(socket)) })

  server.setTimeout(tickMs, (socket: Socket) => {
    const exchange = connections.get(socket)
    // Until there is a request the time limit on its head counts.
    if (exchange === undefined || exchange === null) return
    if (exchange.response.writableFinished) {
      if (socket.timeout === idleMs) socket.destroySoon()
      return
    }
    const waitingFor = whoIsWaitedFor(socket, exchange.request)
    const limitMs = waitingFor === 'content' ? limits.bodyTimeout : waitingFor === 'reader' ? limits.writeTimeout : Infinity
    if (waitingFor === exchange.waitingFor && (socket.timeout as number) >= limitMs) return cutOff(socket, exchange)
    // Once more, for the whole limit: anything that moves in between starts it again.
    exchange.waitingFor = waitingFor
    socket.setTimeout(limitMs === Infinity ? tickMs : limitMs)
  })

  return {
    closeGracefully () {
      closing = true
      handshakes.destroyAll()
      sessions.closeGracefully()
      for (const [socket, exchange] of connections) endAfterResponse(socket, exchange)
    },
    destroyAll () {
      handshakes.destroyAll()
      sessions.destroyAll()
      for (const socket of connections.keys()) socket.destroy()
    }
  }
}

function whoIsWaitedFor (socket: Socket, request: IncomingMessage): WaitingFor {
  if (socket.writableLength > 0) return 'reader'
  // Content that is here and not taken: the upstream is slow, not the client.
  return request.complete || request.readableLength > 0 || socket.isPaused() ? 'upstream' : 'content'
}

function cutOff (socket: Socket, { response, waitingFor }: Exchange): void {
  if (waitingFor === 'content' && !response.headersSent) return answerTimeout(response)
  noteCut(response, waitingFor === 'content' ? 'request_timeout' : 'write_timeout')
  socket.destroy()
}

/** The response says `Connection: close`, or has been told to. */
function isLast (exchange: Exchange | null | undefined): boolean {
  return (exchange?.response as { _last?: boolean } | undefined)?._last === true && exchange?.response.headersSent === true
}

function endAfterResponse (socket: Socket, exchange: Exchange | null | undefined): void {
  if (exchange === null || exchange === undefined || exchange.response.writableFinished) {
    socket.destroySoon()
    return
  }
  exchange.response.shouldKeepAlive = false
  exchange.response.once('close', () => { socket.destroySoon() })
}
