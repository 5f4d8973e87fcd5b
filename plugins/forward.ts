/** Asks the upstream through `@fastify/reply-from`, or waits for a request under way, and passes the answer on while it arrives. */
import replyFrom from '@fastify/reply-from'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import { createFlights, type Flight, type Landing } from '../src/cache/collapse.ts'
import type { CacheForward, HttpCache } from '../src/cache/http-cache.ts'
import { variantFlightKey } from '../src/cache/lookup.ts'
import { TooSlow } from '../src/cache/shared-body.ts'
import { cacheStatusValue } from '../src/cache/status.ts'
import type { RouteCacheConfig } from '../src/config/schema.ts'
import { ExtensionFailure } from '../src/extensions/extension.ts'
import { noteExtensionFailure } from '../src/extensions/note-failure.ts'
import { decideMaxForwards } from '../src/forward/max-forwards.ts'
import { hasPassed } from '../src/forward/via.ts'
import { lineId } from '../src/observe/line-id.ts'
import { discard } from '../src/proxy/discard.ts'
import { startFetch } from '../src/proxy/fetch.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import type { Invalidator } from '../src/proxy/invalidation.ts'
import { limitContent } from '../src/proxy/limit-content.ts'
import { TransformError } from '../src/transform/transform.ts'
import { UpstreamError } from '../src/upstream/exchange.ts'
import { createReplyFromDispatcher } from '../src/upstream/reply-from-dispatcher.ts'
import { answerHere } from './answer-here.ts'
import { ageLine } from './cache.ts'
import { ClientFetch } from './client-fetch.ts'
import { sendError } from './errors.ts'
import { isOver, respond, type OutgoingResponse } from './respond.ts'
import { BackgroundFetch, type FetchServices } from './route-fetch.ts'
import { cancelled, describe, noteCutOff, sendUpstreamError } from './upstream-failures.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The end of the chain: what the cache did not answer is asked of the upstream. */
    forward: RouteHandlerMethod
    /** Validates a stored response that was used although it is stale (RFC 5861 3). */
    validateInBackground: ValidateInBackground
  }
  interface FastifyRequest {
    /** The exchange with the upstream on behalf of this request; `null` before, and without one. */
    asking: ClientFetch | null
  }
}

export type ValidateInBackground = (request: FastifyRequest, lookup: CacheForward) => void

export interface ForwardOptions {
  readonly cache: HttpCache
  readonly invalidator: Invalidator
  /** Name of this cache in `Cache-Status`. */
  readonly identifier: string
  /** Unique name of this instance in `Via`. */
  readonly pseudonym: string
  /** Epoch milliseconds. */
  readonly now: () => number
}

export default fp<ForwardOptions>(async function forward (app, options) {
  const { cache, invalidator, identifier, pseudonym, now } = options
  const flights = createFlights()
  const services: FetchServices = { app, invalidator, identifier, pseudonym, hiddenFields, send, cutOff }
  const dependencies = { cache, flights, now }
  app.decorateRequest('asking', null)
  app.onRequestGone(request => { request.asking?.fetch?.leave() })
  const hidden = new WeakMap<RouteCacheConfig, ReadonlySet<string>>()

  /** `Cache-Status`, which goes with our own, targeted fields that end here (RFC 9213 3.1), and tags. */
  function hiddenFields (rules: RouteCacheConfig): ReadonlySet<string> {
    let names = hidden.get(rules)
    if (names === undefined) hidden.set(rules, names = new Set(['cache-status', ...cache.hiddenFields, ...(rules.consumeTargetedFields ? rules.targetedFields.map(name => name.toLowerCase()) : [])]))
    return names
  }

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

    proceed(request, reply, forwarding.lookup as CacheForward)
  } as RouteHandlerMethod)

  /** Waits for a request under way for the same response, else asks. */
  function proceed (request: FastifyRequest, reply: FastifyReply, lookup: CacheForward): void {
    const { flightKey } = lookup
    if (flightKey === null) return ask(request, reply, lookup)
    // At its own pace: nobody else is sent what it gets.
    if (flights.wasTooSlow(flightKey, clientOf(request), now())) return ask(request, reply, { ...lookup, mayLead: false })
    if (flights.isHopeless(flightKey, now())) {
      const detail = lookup.outcome.detail ?? 'hit-for-miss'
      return ask(request, reply, { ...lookup, mayLead: false, outcome: { ...lookup.outcome, detail } })
    }
    const flight = flights.find(flightKey)
    if (flight === null) ask(request, reply, lookup)
    else wait(request, reply, lookup, flight)
  }

  function wait (request: FastifyRequest, reply: FastifyReply, lookup: CacheForward, flight: Flight): void {
    const { raw } = reply
    const stop = (): void => {
      clearTimeout(timer)
      raw.off('close', left)
    }
    const waiter = (landing: Landing): void => {
      stop()
      landed(request, reply, lookup, landing)
    }
    const left = (): void => {
      stop()
      flight.leave(waiter)
      cancelled(request, reply)
    }
    const timer = setTimeout(() => {
      stop()
      flight.leave(waiter)
      goAlone(request, reply, lookup)
    }, lookup.request.rules.collapse.wait)
    raw.once('close', left)
    flight.join(waiter)
  }

  /** What the others' request brought. */
  function landed (request: FastifyRequest, reply: FastifyReply, lookup: CacheForward, landing: Landing): void {
    if (landing.kind === 'failed') {
      const stale = cache.onUpstreamFailure(lookup, now(), null)
      request.cacheOutcome = { ...lookup.outcome, collapsed: true }
      if (stale !== null) return app.sendStored(request, reply, stale)
      return sendUpstreamError(request, reply, landing.error as UpstreamError)
    }
    if (landing.kind === 'validated') {
      const again = cache.lookup(lookup.request, now())
      if (again.action !== 'hit') return goAlone(request, reply, lookup)
      return app.sendStored(request, reply, { ...again, outcome: { ...lookup.outcome, collapsed: true, fwdStatus: 304, ttl: again.outcome.ttl, detail: 'validated' } })
    }
    if (landing.kind === 'alone') return goAlone(request, reply, lookup)

    const { head, body, hasContent } = landing.response
    const answer = cache.share(lookup, head, now())
    if (answer === null) {
      // Purged before this request came: of those who find that, one asks anew.
      if (lookup.mayLead && cache.isOutdated(head)) return proceed(request, reply, lookup)
      const flightKey = variantFlightKey(lookup.key, lookup.request, head.response.selecting.map(({ name }) => name))
      // It selects another variant: so may others, who wait for each other from now on.
      if (flightKey !== lookup.flightKey && lookup.mayLead) return proceed(request, reply, { ...lookup, flightKey, outcome: { ...lookup.outcome, collapsed: false } })
      return goAlone(request, reply, lookup)
    }
    const wantsContent = hasContent && request.method !== 'HEAD' && !answer.notModified
    const reader = wantsContent ? body.reader({ cutOff: error => { cutOff(request, lookup, error) } }) : null
    if (wantsContent && reader === null) return goAlone(request, reply, lookup)
    const { statusCode, lines, cacheStatus, outcome } = answer
    request.cacheOutcome = outcome
    send(request, reply, { statusCode, lines, from: head.response, ownLines: [...ageLine(answer), 'cache-status', cacheStatusValue(cacheStatus, identifier, outcome)], body: reader })
  }

  function cutOff (request: FastifyRequest, { flightKey, request: { rules } }: CacheForward, error: Error): void {
    noteCutOff(request, error)
    if (error instanceof TooSlow && flightKey !== null) flights.rememberTooSlow(flightKey, clientOf(request), now() + rules.collapse.hitForMiss)
  }

  function send (request: FastifyRequest, reply: FastifyReply, response: OutgoingResponse): void {
    if (request.forwarding?.route.filters.transforms?.sends === true) app.respondTransformed(request, reply, response)
    else respond(request, reply, response)
  }

  function goAlone (request: FastifyRequest, reply: FastifyReply, lookup: CacheForward): void {
    ask(request, reply, { ...lookup, flightKey: null, mayLead: false, outcome: { ...lookup.outcome, collapsed: false } })
  }

  function ask (request: FastifyRequest, reply: FastifyReply, lookup: CacheForward): void {
    // The client left, or was cut off, while filters took their time: nobody would cancel what begins now.
    if (isOver(reply.raw)) {
      reply.hijack()
      return
    }
    const forwarding = request.forwarding as Forwarding
    if (forwarding.hasContent) forwarding.content ??= limitContent(request.raw, reply.raw, forwarding.route.maxBodyBytes)
    const asking = request.asking = new ClientFetch(services, request, reply, forwarding, lookup)
    asking.fetch = startFetch(dependencies, asking)
  }

  app.decorate('validateInBackground', (request: FastifyRequest, lookup: CacheForward): void => {
    const forwarding = request.forwarding as Forwarding
    const { flightKey } = lookup
    if (flightKey === null || flights.find(flightKey) !== null || app.isOverloaded()) return
    const log = (code: string, cause?: unknown): void => {
      if (cause instanceof TransformError) app.noteTransformError(request, cause)
      request.log.warn({ ...lineId(request), upstream: forwarding.upstreamName, code, cause: describe(cause) }, 'background validation failed')
    }
    startFetch(dependencies, new BackgroundFetch(services, request, { ...forwarding, hasContent: false, content: null }, lookup, {
      stored () {},
      passed ({ statusCode, body }) {
        if (body !== null) discard(body)
        if (statusCode >= 500) log(`status_${statusCode}`)
      },
      failed (error) {
        if (error.cause instanceof ExtensionFailure) noteExtensionFailure(request, error.cause)
        else log(error.code, error.cause)
      },
      recorded () {},
      cutOff () {},
      cutShort (error) { log(error.code, error.cause) },
      isGone: () => true
    }))
  })
}, { name: 'forward', fastify: '5.x', dependencies: ['request-end', 'request-context', 'cache', 'errors'] })

function clientOf (request: FastifyRequest): string { return (request.forwarding as Forwarding).clientAddress }
