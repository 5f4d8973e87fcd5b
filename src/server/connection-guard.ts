/**
 * Knows the HTTP/1 connections of a listener: cuts off those that hold resources and do nothing (content that stops
 * arriving, responses that nobody reads, keep-alive without a next request), and ends all in good order at shutdown.
 *
 * It looks at all of them now and then, and at what has moved since: a timer of its own for each connection, as Node has
 * them, is set twice for every request and moved with every read and write, which costs a hit a tenth. What a silence
 * means depends on who is waited for; a limit counts only while it is the client.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2ServerRequest } from 'node:http2'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { LimitsConfig } from '../config/schema.ts'
import { behindEndOfTurn, turnEnded } from '../end-of-turn.ts'
import { noteCut } from '../proxy/cut.ts'
import { answerTimeout, sending } from './client-errors.ts'
import { isTls, limitHandshakes } from './handshakes.ts'
import { guardSessions } from './session-guard.ts'

type WaitingFor = 'request' | 'content' | 'reader' | 'upstream'

/**
 * An HTTP/1 connection, with its last exchange; null before the first, and when nothing of it is left to be done: with thousands of
 * connections V8 would copy what each of them holds of it from one generation to the next.
 */
interface Watched {
  request: IncomingMessage | null
  response: ServerResponse | null
  /** Who was waited for when it was last looked at. */
  waitingFor: WaitingFor
  /** What had moved by then. */
  moved: number
  /** `performance.now()` of the look since which it has been silent. */
  silentSince: number
  /** Takes no more requests: after what cannot be read Node may go on somewhere behind it, as it does with TLS where it had paused. */
  isOver: boolean
  /** There was a request. */
  isUsed: boolean
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

export interface ConnectionGuard {
  /** Takes no more requests from a connection, and ends it behind its last response; false, and nothing is done, where none is under way, or its request is not whole. */
  endBehind (socket: Socket): boolean
  /** The response to the last request of a connection, if it has not left: others may have to leave before it. */
  unfinished (socket: Socket): ServerResponse | null
  /** Idle connections end now, the others with the response they wait for. */
  closeGracefully (): void
  /** Ends everything now. */
  destroyAll (): void
}

/** Connections are looked at this often, in milliseconds; more often where a limit is short. */
const longestTickMs = 1000
const shortestTickMs = 10

/** Takes the server's requests, watches them, and hands them to `handler`. */
export function guardConnections (server: Server, limits: LimitsConfig, handler: RequestHandler): ConnectionGuard {
  const sessions = guardSessions(server as unknown as Http2SecureServer, limits)
  const handshakes = limitHandshakes(server, limits.headerTimeout)
  const connections = new Map<Socket, Watched>()
  const { bodyTimeout, writeTimeout, idleTimeout } = limits
  const tickMs = Math.min(longestTickMs, Math.max(shortestTickMs, Math.min(bodyTimeout, writeTimeout, idleTimeout) / 4))
  const limitMs: Readonly<Record<WaitingFor, number>> = { request: idleTimeout, content: bodyTimeout, reader: writeTimeout, upstream: Infinity }
  // Clients are told a little less, so that a request sent at the last moment still finds the connection open.
  const toldMs = idleTimeout - Math.min(1000, Math.floor(idleTimeout / 2))
  server.keepAliveTimeout = 0
  server.setTimeout(0)
  let closing = false
  /** Those asked in this turn of the event loop that have no answer yet: at its end hits have. */
  let asked: Watched[] = []
  const lettingGo = {
    turnEnded: () => {
      asked.forEach(letGo)
      asked = []
    }
  }

  server.on(isTls(server) ? 'secureConnection' : 'connection', (socket: Socket) => {
    // The sockets of HTTP/2 belong to their sessions.
    if ((socket as TLSSocket).alpnProtocol === 'h2') return
    connections.set(socket, { request: null, response: null, waitingFor: 'request', moved: 0, silentSince: 0, isOver: false, isUsed: false })
    socket.once('close', () => { connections.delete(socket) })
    socket.prependListener('end', leaveBeforeEnd)
    if (closing) socket.destroy()
  })

  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    let watched: Watched | undefined
    if (request.httpVersionMajor === 2) {
      sessions.watch(request as unknown as Http2ServerRequest, response)
    } else {
      // RFC 9112 9.6: what was sent behind the request that ends the connection gets no answer, so it is not acted upon.
      watched = connections.get(request.socket)
      if (watched !== undefined) {
        if (watched.isOver || isLast(watched)) return
        watched.request = request
        watched.response = response
        watched.waitingFor = 'upstream'
        watched.isUsed = true
      }
      ;(response as unknown as { _keepAliveTimeout: number })._keepAliveTimeout = toldMs
      // Node says `Connection: close` in the last response that a connection may have, and leaves the closing to the client (RFC 9112 9.6).
      if (closing || (response as { maxRequestsOnConnectionReached?: boolean }).maxRequestsOnConnectionReached === true) response.shouldKeepAlive = false
    }
    handler(request, response)
    if (watched === undefined || letGo(watched)) return
    if (asked.length === 0) behindEndOfTurn(lettingGo)
    asked.push(watched)
  })
  // A client that pipelines past the limit of requests per connection: Node answers 503 and would then wait for ever.
  server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => { endAfterResponse(socket, connections.get(socket)) })

  const look = (): void => {
    const now = performance.now()
    for (const [socket, watched] of connections) {
      // Until there is a request the time limit on its head counts, which Node keeps.
      if (!watched.isUsed) continue
      letGo(watched)
      const { request, response } = watched
      const waitingFor = request === null ? 'request' : whoIsWaitedFor(socket, request)
      // Who has asked for all and does not read the answer is silent, whatever else it sends.
      const moved = waitingFor === 'reader' && request?.complete === true ? takenBytes(socket) : socket.bytesRead + takenBytes(socket)
      if (moved !== watched.moved || waitingFor !== watched.waitingFor) {
        watched.moved = moved
        watched.waitingFor = waitingFor
        watched.silentSince = now
      } else if (now - watched.silentSince >= limitMs[waitingFor]) {
        cutOff(socket, response, waitingFor)
      }
    }
  }
  // A server that never listens has no connections, and never closes.
  server.once('listening', () => {
    const timer = setInterval(look, tickMs).unref()
    server.once('close', () => { clearInterval(timer) })
  })

  return {
    endBehind (socket) {
      const watched = connections.get(socket)
      if (watched === undefined || watched.request?.complete !== true || watched.response?.writableFinished !== false) return false
      watched.isOver = true
      endAfterResponse(socket, watched)
      return true
    },
    unfinished (socket) {
      const response = connections.get(socket)?.response ?? null
      return response?.writableFinished === false ? response : null
    },
    closeGracefully () {
      closing = true
      handshakes.destroyAll()
      sessions.closeGracefully()
      for (const [socket, watched] of connections) endAfterResponse(socket, watched)
    },
    destroyAll () {
      handshakes.destroyAll()
      sessions.destroyAll()
      for (const socket of connections.keys()) socket.destroy()
    }
  }
}

/** Node ends our direction with the client's: what is to leave at the end of the turn leaves before that. */
function leaveBeforeEnd (this: Socket): void {
  if (sending(this) !== null) turnEnded()
}

/** What the system has taken of what was written: changes with every bit of it that leaves. */
function takenBytes (socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { writeQueueSize?: number } | null }
  return socket.bytesWritten - (handle?.writeQueueSize ?? 0)
}

function whoIsWaitedFor (socket: Socket, request: IncomingMessage): WaitingFor {
  if (socket.writableLength > 0) return 'reader'
  // Content that is here and not taken: the upstream is slow, not the client.
  return request.complete || request.readableLength > 0 || socket.isPaused() ? 'upstream' : 'content'
}

function cutOff (socket: Socket, response: ServerResponse | null, waitingFor: WaitingFor): void {
  if (response === null || waitingFor === 'request') {
    socket.destroySoon()
    return
  }
  if (waitingFor === 'content' && !response.headersSent) return answerTimeout(response)
  // It waits behind others that have nothing to do with it.
  if (waitingFor === 'content' && response.socket === null) return
  const code = waitingFor === 'content' ? 'request_timeout' : 'write_timeout'
  noteCut(response, code)
  // What is not read may be the response to a request in front of the last one.
  noteCut(sending(socket) ?? response, code)
  socket.destroy()
}

/** Forgets an exchange whose response has left; false where it has not. */
function letGo (watched: Watched): boolean {
  if (watched.response === null) return true
  if (!hasLeft(watched.response)) return false
  watched.isOver ||= isLast(watched)
  watched.request = watched.response = null
  return true
}

/** The system has all of it: Node says so in the next tick only, when there may be another request. */
function hasLeft (response: ServerResponse): boolean {
  return response.writableFinished || (response.writableEnded && response.socket !== null && response.writableLength === 0)
}

/** The response says `Connection: close`, or has been told to. */
function isLast ({ response }: Watched): boolean {
  return (response as { _last?: boolean } | null)?._last === true && response?.headersSent === true
}

function endAfterResponse (socket: Socket, watched: Watched | undefined): void {
  const response = watched?.response ?? null
  if (response === null || response.writableFinished) {
    socket.destroySoon()
    return
  }
  response.shouldKeepAlive = false
  response.once('close', () => { socket.destroySoon() })
}
