/**
 * Knows the HTTP/2 sessions of a listener and holds their streams to the limits that `connection-guard.ts` holds HTTP/1
 * connections to. A session is active as a whole while one of its streams hangs, so no socket timeout can tell; the streams
 * are looked at in turn instead. Most have been answered and gone before the first look (`quick-streams.ts`), so what is
 * known of one beyond its being open is made when it is first looked at, or when a request is made of it.
 */
import type { ServerResponse } from 'node:http'
import { constants, type Http2SecureServer, type Http2ServerRequest, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { LimitsConfig } from '../config/schema.ts'
import { noteCut } from '../proxy/cut.ts'
import { answerTimeout } from './client-errors.ts'

export interface SessionGuard {
  /** Tells what Node has made of a stream; one without is taken for a request without content, which is being answered. */
  watch (request: Http2ServerRequest, response: ServerResponse): void
  /** Sessions end with their last stream. */
  closeGracefully (): void
  destroyAll (): void
}

interface Watched {
  readonly exchange: { readonly request: Http2ServerRequest, readonly response: ServerResponse } | null
  readonly startedAt: number
  /** What was seen when something last moved; another value is movement. */
  seen: string
  seenAt: number
  /** Pieces of the response that have left. */
  drained: number
}

/** Looks at all streams this often: a share of the shortest limit, within these bounds. */
const looksPerLimit = 4
const shortestLookMs = 10
const longestLookMs = 1000

/** A client that does not close its side of an ended session. */
const goodbyeMs = 1000

export function guardSessions (server: Http2SecureServer, limits: LimitsConfig): SessionGuard {
  const sessions = new Set<ServerHttp2Session>()
  const streams = new Map<ServerHttp2Stream, Watched | null>()
  let closing = false

  server.on('session', session => {
    sessions.add(session)
    let asked = 0
    let open = 0
    // Before the first request it is the head of a request that is waited for.
    let idle = setTimeout(() => { end(session) }, limits.headerTimeout)
    session.on('stream', stream => {
      clearTimeout(idle)
      open++
      if (!streams.has(stream)) streams.set(stream, null)
      stream.on('close', () => {
        streams.delete(stream)
        if (--open === 0 && !session.destroyed) idle = setTimeout(() => { end(session) }, limits.idleTimeout)
      })
      if (++asked === limits.requestsPerConnection) session.close()
    })
    session.once('close', () => {
      clearTimeout(idle)
      sessions.delete(session)
    })
    if (closing) session.close()
  })

  const lookMs = Math.min(longestLookMs, Math.max(shortestLookMs, Math.min(limits.bodyTimeout, limits.writeTimeout, limits.requestTimeout || Infinity) / looksPerLimit))
  const timer = setInterval(() => {
    const now = performance.now()
    for (const [stream, watched] of streams) {
      if (!stream.destroyed) look(stream, watched ?? watchStream(stream, null), now)
    }
  }, lookMs)
  timer.unref()
  server.once('close', () => { clearInterval(timer) })

  function watchStream (stream: ServerHttp2Stream, exchange: Watched['exchange']): Watched {
    const startedAt = performance.now()
    const watched: Watched = { exchange, startedAt, seen: '', seenAt: startedAt, drained: 0 }
    streams.set(stream, watched)
    stream.on('drain', () => { watched.drained++ })
    return watched
  }

  function look (stream: ServerHttp2Stream, watched: Watched, now: number): void {
    const { exchange } = watched
    const incomplete = exchange !== null && !stream.endAfterHeaders && !exchange.request.complete
    // RFC 9113 8.1: with the response complete, the rest of the request is asked not to be sent.
    if (incomplete && stream.writableFinished) return cut(stream, constants.NGHTTP2_NO_ERROR)
    if (incomplete && limits.requestTimeout > 0 && now - watched.startedAt >= limits.requestTimeout) return refuseSlow(stream, exchange.response)

    const waitingFor = stream.writableLength > 0 ? 'reader' : incomplete && exchange.request.readableLength === 0 && stream.readableLength === 0 ? 'content' : 'upstream'
    // The window shrinks with every octet of content that comes.
    const seen = `${waitingFor} ${watched.drained} ${waitingFor === 'content' ? stream.state.localWindowSize : ''}`
    if (seen !== watched.seen) {
      watched.seen = seen
      watched.seenAt = now
    } else if (waitingFor === 'reader' && now - watched.seenAt >= limits.writeTimeout) {
      noteCut(exchange?.response ?? stream, 'write_timeout')
      cut(stream, constants.NGHTTP2_CANCEL)
    } else if (waitingFor === 'content' && now - watched.seenAt >= limits.bodyTimeout) {
      if (exchange !== null) refuseSlow(stream, exchange.response)
    }
  }

  return {
    watch (request, response) {
      watchStream(request.stream, { request, response })
    },
    closeGracefully () {
      closing = true
      for (const session of sessions) session.close()
    },
    destroyAll () {
      for (const session of sessions) session.destroy()
    }
  }
}

function refuseSlow (stream: ServerHttp2Stream, response: ServerResponse): void {
  if (!stream.headersSent) return answerTimeout(response)
  noteCut(response, 'request_timeout')
  cut(stream, constants.NGHTTP2_CANCEL)
}

/** Ends a stream, also one whose client takes no frame from us any more. */
function cut (stream: ServerHttp2Stream, code: number): void {
  stream.close(code)
  if (code !== constants.NGHTTP2_NO_ERROR) stream.destroy()
}

function end (session: ServerHttp2Session): void {
  session.close()
  const timer = setTimeout(() => { session.destroy() }, goodbyeMs)
  timer.unref()
  session.once('close', () => { clearTimeout(timer) })
}
