/** Asks the upstream through `@fastify/reply-from`, lets the cache see the answer, and passes it on while it arrives. */
import replyFrom from '@fastify/reply-from'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { CacheForward, HttpCache } from '../src/cache/http-cache.ts'
import { isSafe, relatedTargets } from '../src/cache/invalidation.ts'
import { formatCacheStatus, type CacheOutcome } from '../src/cache/status.ts'
import { hintedLinks } from '../src/forward/early-hints.ts'
import { decideMaxForwards } from '../src/forward/max-forwards.ts'
import { buildRequestFields } from '../src/forward/request-fields.ts'
import { linesOf, responseFields } from '../src/forward/response-fields.ts'
import { hasPassed } from '../src/forward/via.ts'
import type { FieldMap } from '../src/http/fields.ts'
import { limitContent, ContentTooLarge } from '../src/proxy/limit-content.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { cacheKeyOf } from '../src/proxy/cache-key-of.ts'
import { createReplyFromDispatcher } from '../src/upstream/reply-from-dispatcher.ts'
import { exchangeKey, UpstreamError, type Exchange } from '../src/upstream/exchange.ts'
import { sendError } from './errors.ts'
import { isOver, respond } from './respond.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The end of the chain: what the cache did not answer is asked of the upstream. */
    forward: RouteHandlerMethod
  }
}

export interface ForwardOptions {
  readonly cache: HttpCache
  /** Name of this cache in `Cache-Status`. */
  readonly identifier: string
  /** Unique name of this instance in `Via`. */
  readonly pseudonym: string
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** reply-from wants a base to resolve against; the real target is on the exchange. */
const base = 'http://upstream.invalid'

export default fp<ForwardOptions>(async function forward (app, options) {
  const { cache, identifier, pseudonym, now } = options
  await app.register(replyFrom, { undici: createReplyFromDispatcher() as never, disableRequestLogging: true } as never)

  app.decorate('forward', function forwardRequest (request: FastifyRequest, reply: FastifyReply): void {
    const forwarding = request.forwarding as Forwarding
    const { route } = forwarding
    const forwards = decideMaxForwards(request.method, request.headers)
    if (forwards === 'answer-here') return answerHere(request, reply)
    if (hasPassed(request.headers, pseudonym)) return sendError(request, reply, 508, 'loop_detected')
    if (app.isOverloaded()) {
      reply.header('retry-after', String(Math.ceil(forwarding.runtime.config.loadShedding.retryAfter / 1000)))
      return sendError(request, reply, 503, 'overloaded')
    }
    if (Number(request.headers['content-length'] ?? 0) > route.maxBodyBytes) return sendError(request, reply, 413, 'payload_too_large')

    ask(request, reply, forwarding, (forwarding.lookup as CacheForward).conditional)
  } as RouteHandlerMethod)

  function ask (request: FastifyRequest, reply: FastifyReply, forwarding: Forwarding, conditional: FieldMap | null): void {
    // The client left, or was cut off, while filters took their time: nobody would cancel what begins now.
    if (isOver(reply.raw)) {
      reply.hijack()
      return
    }
    const { route, target } = forwarding
    const peer = request.raw.socket.remoteAddress ?? ''
    const fields = buildRequestFields({
      fields: request.headers,
      target,
      httpVersion: request.raw.httpVersion,
      peer,
      peerTrusted: forwarding.runtime.trust.isTrusted(peer),
      pseudonym,
      requestId: request.id,
      hasContent: forwarding.hasContent,
      rewrite: route.config.rewrite,
      conditional
    })
    const forwards = decideMaxForwards(request.method, request.headers)
    if (typeof forwards === 'object') fields['max-forwards'] = String(forwards.next)
    if (forwarding.hasContent) forwarding.content ??= limitContent(request.raw, reply.raw, route.maxBodyBytes)

    const requestedAt = now()
    forwarding.upstreamStartedAt = performance.now()
    const exchange: Exchange = {
      upstream: route.upstream,
      method: request.method,
      path: forwarding.path + forwarding.query,
      fields,
      clientAuthority: target.authority,
      body: forwarding.content,
      onInformation: (statusCode, lines) => { passInformation(request, reply.raw, statusCode, lines) },
      ...(route.config.betweenBytes === undefined ? {} : { betweenBytesMs: route.config.betweenBytes })
    }
    const onGone = (): void => { exchange.cancel?.() }
    reply.raw.once('close', onGone)

    reply.from('/', {
      getUpstream: () => base,
      queryString: () => '',
      // Not reply-from's retries: they ignore what a proxy must know (see docs/forwarding.md).
      retryDelay: () => null,
      rewriteRequestHeaders: () => ({ [exchangeKey]: exchange }) as never,
      onResponse: () => {
        const { body } = exchange.response as NonNullable<typeof exchange.response>
        body.once('close', () => {
          forwarding.upstreamEndedAt = performance.now()
          reply.raw.off('close', onGone)
        })
        received(request, reply, forwarding, exchange, conditional !== null, requestedAt)
      },
      onError: (_reply, { error }) => {
        forwarding.upstreamEndedAt = performance.now()
        reply.raw.off('close', onGone)
        failed(request, reply, forwarding, error)
      }
    } as Parameters<FastifyReply['from']>[1])
  }

  /** The head of the upstream's response is here. */
  function received (request: FastifyRequest, reply: FastifyReply, forwarding: Forwarding, exchange: Exchange, validating: boolean, requestedAt: number): void {
    const { statusCode, lines, body, target } = exchange.response as NonNullable<typeof exchange.response>
    const { route } = forwarding
    const lookup = forwarding.lookup as CacheForward
    const receivedAt = now()
    forwarding.upstreamTarget = target
    const response = { statusCode, fields: responseFields(lines, route.config.response, pseudonym, receivedAt), requestedAt, receivedAt }

    if (validating && statusCode === 304) {
      discard(body)
      const freshened = cache.freshen(lookup, response)
      if (freshened !== null) return app.sendStored(request, reply, freshened)
      // It confirms something we do not have: ask for the whole, without conditions.
      return ask(request, reply, forwarding, Object.create(null) as FieldMap)
    }
    if (standsInFor.has(statusCode)) {
      const stale = cache.onUpstreamFailure(lookup, receivedAt, statusCode)
      if (stale !== null) {
        discard(body)
        return app.sendStored(request, reply, stale)
      }
    }
    if (!isSafe(request.method) && statusCode < 400) invalidate(forwarding, response.fields)

    const { recording, outcome } = cache.record(lookup, response, route.maxStoredBytes)
    request.cacheOutcome = outcome
    if (recording !== null) {
      let whole = false
      // Copying must not start the flow: `onSend` hooks may take their time before the client's side is attached.
      body.pause()
      body.on('data', recording.write)
      body.once('end', () => {
        whole = true
        const reason = recording.complete()
        if (reason !== null) request.cacheOutcome = { ...outcome, stored: false, detail: reason }
      })
      body.once('close', () => { if (!whole) recording.abandon() })
    }
    body.once('error', (error: Error) => { if (error instanceof UpstreamError && error.code !== 'cancelled') noteCutShort(request, forwarding, error) })
    respond(request, reply, {
      statusCode,
      lines: linesOf(withoutOwn(response.fields)),
      ownLines: ['cache-status', statusLine(response.fields, outcome)],
      body: mayHaveContent(request.method, statusCode) ? body : (discard(body), null)
    })
  }

  /** There is no response from the upstream. */
  function failed (request: FastifyRequest, reply: FastifyReply, forwarding: Forwarding, error: Error): void {
    const cause = error instanceof UpstreamError ? error : error.cause
    if (!(cause instanceof UpstreamError)) {
      reply.send(error)
      return
    }
    if (cause.code === 'cancelled') {
      forwarding.errorCode = 'cancelled'
      request.errorCode = 'cancelled'
      reply.hijack()
      return
    }
    if (cause.cause instanceof ContentTooLarge || forwarding.content?.errored instanceof ContentTooLarge) return sendError(request, reply, 413, 'payload_too_large')

    const stale = cause.statusCode >= 502 ? cache.onUpstreamFailure(forwarding.lookup as CacheForward, now(), null) : null
    request.log.warn({ reqId: request.id, upstream: forwarding.upstreamName, target: cause.target, code: cause.code, cause: describe(cause.cause), stale: stale !== null }, 'upstream failed')
    if (stale !== null) return app.sendStored(request, reply, stale)
    if (cause.statusCode === 503) reply.header('retry-after', '1')
    sendError(request, reply, cause.statusCode, cause.code)
  }

  function noteCutShort (request: FastifyRequest, forwarding: Forwarding, error: UpstreamError): void {
    forwarding.errorCode = error.code
    request.errorCode = error.code
    request.log.warn({ reqId: request.id, upstream: forwarding.upstreamName, target: error.target, code: error.code, cause: describe(error.cause) }, 'upstream response cut short')
  }

  /** Our member of `Cache-Status` comes after those of caches nearer to the origin server (RFC 9211 section 2). */
  function statusLine (fields: FieldMap, outcome: CacheOutcome): string {
    const own = formatCacheStatus(identifier, outcome)
    const before = fields['cache-status']
    return before === undefined ? own : `${typeof before === 'string' ? before : before.join(', ')}, ${own}`
  }

  /** RFC 9111 4.4: the target, and what `Location` and `Content-Location` name on the same origin. */
  function invalidate (forwarding: Forwarding, fields: FieldMap): void {
    const { target, runtime, path, query } = forwarding
    const related = relatedTargets(fields, target.scheme, target.authority, path + query)
    const own = target.path + target.query
    cache.invalidate([own, ...related].map(uri => cacheKeyOf(runtime, target, uri, forwarding)).filter(key => key !== null))
  }
}, { name: 'forward', fastify: '5.x', dependencies: ['request-context', 'cache', 'errors'] })

/** Failures of the origin server for which a stale response may stand in (RFC 5861 section 4). */
const standsInFor: ReadonlySet<number> = new Set([500, 502, 503, 504])

function mayHaveContent (method: string, statusCode: number): boolean {
  return method !== 'HEAD' && statusCode !== 204 && statusCode !== 304
}

/** Lines that are written for each response. */
function withoutOwn (fields: FieldMap): Record<string, string | string[] | undefined> {
  return { ...fields, 'cache-status': undefined } as Record<string, string | string[] | undefined>
}

function discard (body: Readable): void {
  body.on('error', () => {})
  body.resume()
}

/** Early hints and other interim responses go on when they come (RFC 9110 15.2); HTTP/1.0 knows none. */
function passInformation (request: FastifyRequest, raw: ServerResponse, statusCode: number, lines: readonly string[]): void {
  if (request.raw.httpVersion === '1.0' || raw.headersSent || raw.destroyed) return
  if (statusCode !== 103) {
    if (statusCode === 102 && request.raw.httpVersionMajor === 1) raw.writeProcessing()
    return
  }
  const link = hintedLinks(lines)
  if (link.length === 0) return
  try {
    raw.writeEarlyHints({ link })
  } catch (error) {
    // Node checks the syntax of links more strictly than origin servers write them; a hint is optional.
    request.log.debug({ err: error }, 'early hints not passed on')
  }
}

/** TRACE or OPTIONS that must not be forwarded (RFC 9110 7.6.2). */
function answerHere (request: FastifyRequest, reply: FastifyReply): void {
  if (request.method === 'OPTIONS') {
    reply.code(204).header('allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS').send()
    return
  }
  // TRACE would send back what the client wrote, credentials included (RFC 9110 9.3.8 lets them be left out).
  const secret = new Set(['authorization', 'cookie', 'proxy-authorization', 'x-api-key'])
  let text = `TRACE ${request.url} HTTP/${request.raw.httpVersion}\r\n`
  for (let i = 0; i + 1 < request.raw.rawHeaders.length; i += 2) {
    const name = request.raw.rawHeaders[i] as string
    if (!secret.has(name.toLowerCase())) text += `${name}: ${request.raw.rawHeaders[i + 1]}\r\n`
  }
  reply.code(200).header('content-type', 'message/http').send(`${text}\r\n`)
}

function describe (cause: unknown): { code?: string, message: string } | undefined {
  if (!(cause instanceof Error)) return undefined
  const code = (cause as NodeJS.ErrnoException).code
  return code === undefined ? { message: cause.message } : { code, message: cause.message }
}
