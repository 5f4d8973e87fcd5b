/**
 * Requests per client, counted before any work is spent.
 *
 * `@fastify/rate-limit` was here before and could not do it: it runs once for a request, so that there is one limit; its
 * store can count up and nothing else, so that a request refused by one limit would be counted by another, and a hit could
 * not be given back; it forgets the client not seen for longest, so that many addresses wash out those over the limit; and
 * it makes a promise for each request, where a hit is answered without any.
 *
 * A request is charged in full when it comes, in one step for all limits that count before authentication, and in a second
 * one for those by identity; a refusal in the second takes the first back. A hit is then given back what it costs less. A
 * client that is over a limit on which hits are cheaper may still be answered from the cache: it is charged the price of a
 * hit, looked up, and refused if the answer would have to be fetched. Not so where a route authenticates, which is work that
 * somebody who guesses passwords must not get for nothing.
 */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { ConfigError } from '../src/config/problems.ts'
import { fieldValue } from '../src/http/fields.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { clientKey, cookieValue, digestKey } from '../src/rate-limit/client-key.ts'
import type { ReadyLimit } from '../src/rate-limit/from-config.ts'
import { unitsPerRequest } from '../src/rate-limit/limit.ts'
import { seconds, setRateFields } from '../src/rate-limit/rate-fields.ts'
import type { Charge, Counter, RateLimitStore, Verdict } from '../src/rate-limit/store.ts'
import type { RateTicket } from '../src/rate-limit/ticket.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes the filters of one route; counters live in the store. */
    createRouteRateLimit: (limits: readonly ReadyLimit[], authenticates: boolean) => RateLimitFilters
  }
}

export interface RateLimitFilters {
  /** onRequest, before authentication. */
  readonly limitRate: onRequestHookHandler | null
  /** onRequest, after authentication: limits by identity. */
  readonly limitIdentity: onRequestHookHandler | null
  /** Called before a hit is sent. */
  readonly settleHit: ((request: FastifyRequest, reply: FastifyReply) => void) | null
  /** preHandler, after the lookup: refuses who was let in for a hit alone. */
  readonly limitForwarded: onRequestHookHandler | null
}

export interface RateLimitPluginOptions {
  readonly store: RateLimitStore
  /** Names the client for limits with the key `custom`. */
  readonly rateLimitKey?: (request: FastifyRequest) => string
}

export default fp<RateLimitPluginOptions>(async function rateLimit (app, options) {
  const { store, rateLimitKey } = options

  app.decorate('createRouteRateLimit', (limits: readonly ReadyLimit[], authenticates: boolean): RateLimitFilters => {
    if (rateLimitKey === undefined && limits.some(({ key }) => key.kind === 'custom')) {
      throw new ConfigError([{ path: '', rule: 'custom-key', message: 'a rate limit with `key: custom` needs the library option rateLimitKey' }])
    }
    const first = limits.filter(({ key }) => key.kind !== 'identity')
    const second = limits.filter(({ key }) => key.kind === 'identity')
    const cheaper = limits.some(({ limit }) => limit.hitUnits < unitsPerRequest)
    return {
      limitRate: first.length === 0 ? null : counting(first, cheaper && !authenticates),
      limitIdentity: second.length === 0 ? null : counting(second, false),
      settleHit: cheaper ? settleHit : null,
      limitForwarded: cheaper && !authenticates && first.length > 0 ? limitForwarded : null
    }
  })

  /** @param mayBeHit who is over the limit may go on to the lookup, for the price of a hit */
  function counting (limits: readonly ReadyLimit[], mayBeHit: boolean): onRequestHookHandler {
    return function countRequest (request, reply, done) {
      const forwarding = request.forwarding as Forwarding
      const counted: ReadyLimit[] = []
      const charges: Charge[] = []
      for (const ready of limits) {
        if (ready.exempt !== null && ready.exempt.isTrusted(forwarding.clientAddress)) continue
        counted.push(ready)
        charges.push({ limit: ready.limit, key: keyFor(request, forwarding, ready), units: unitsPerRequest })
      }
      if (charges.length === 0) return done()
      const accept = (accepted: Charge[], counters: readonly Counter[], refusal: Verdict | null): void => {
        note(forwarding, { limits: counted, charges: accepted, counters: [...counters], refusal })
        tell(forwarding.rateTicket as RateTicket, reply)
        done()
      }
      take(request, charges, done, verdict => {
        if (verdict.passed) return accept(charges, verdict.counters, null)
        if (!mayBeHit || !isHitCheaper(charges, verdict)) return refuse(request, reply, verdict, counted)
        const asHit = charges.map(charge => ({ ...charge, units: charge.limit.hitUnits }))
        take(request, asHit, done, lesser => {
          if (lesser.passed) accept(asHit, lesser.counters, verdict)
          else refuse(request, reply, verdict, counted)
        })
      })
    }
  }

  /** A store that fails counts nothing: it must not be the end of what it is to protect. */
  function take (request: FastifyRequest, charges: readonly Charge[], pass: () => void, decide: (verdict: Verdict) => void): void {
    let isWithin = true
    let isOver = false
    let answer: { readonly error: unknown, readonly verdict: Verdict | undefined } | null = null
    const settle = (error: unknown, verdict: Verdict | undefined): void => {
      isOver = true
      if (verdict !== undefined && error === null) return decide(verdict)
      request.log.warn({ reqId: request.id, err: error, code: 'rate_limit_store_failed' }, 'the store of rate limits failed: the request is not counted')
      pass()
    }
    // What follows is called from outside of the store's call: an error in it is none of the store's.
    try {
      store.take(charges, (error, verdict) => {
        if (isWithin) answer ??= { error, verdict }
        else if (!isOver) settle(error, verdict)
      })
    } catch (error) {
      answer = { error, verdict: undefined }
    }
    isWithin = false
    const atOnce = answer as { readonly error: unknown, readonly verdict: Verdict | undefined } | null
    if (atOnce !== null) settle(atOnce.error, atOnce.verdict)
  }

  /** @param limits those that the verdict is about; absent where it is about what the ticket says */
  function refuse (request: FastifyRequest, reply: FastifyReply, verdict: Verdict, limits: readonly ReadyLimit[] = []): void {
    const ticket = (request.forwarding as Forwarding).rateTicket
    // It is not counted by the limits that let it pass.
    if (ticket !== null) giveBack(ticket, ({ units }) => units)
    const counters = limits.length === 0 ? [] : verdict.counters
    setRateFields([...ticket?.limits ?? [], ...limits], [...ticket?.counters ?? [], ...counters], (name, value) => { reply.header(name, value) })
    reply.header('retry-after', String(seconds(verdict.waitMs)))
    sendError(request, reply, 429, 'rate_limited')
  }

  function settleHit (request: FastifyRequest, reply: FastifyReply): void {
    const ticket = (request.forwarding as Forwarding).rateTicket
    if (ticket === null) return
    giveBack(ticket, ({ units, limit }) => units - limit.hitUnits)
    tell(ticket, reply)
  }

  function limitForwarded (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const refusal = (request.forwarding as Forwarding).rateTicket?.refusal ?? null
    if (refusal === null) done()
    else refuse(request, reply, refusal)
  }

  function giveBack (ticket: RateTicket, unitsOf: (charge: Charge) => number): void {
    for (const [index, charge] of ticket.charges.entries()) {
      const units = unitsOf(charge)
      if (units > 0) ticket.counters[index] = store.giveBack(charge, ticket.counters[index] as Counter, units)
    }
  }

  function keyFor (request: FastifyRequest, forwarding: Forwarding, { key }: ReadyLimit): string {
    const value = key.kind === 'address'
      ? null
      : key.kind === 'identity'
        ? forwarding.identity?.subject ?? null
        : key.kind === 'field'
          ? fieldValue(request.headers, key.field) ?? null
          : key.kind === 'cookie' ? cookieValue(request.headers.cookie, key.cookie) : customKey(request)
    // Whoever leaves out what he is counted by is still somebody.
    return value === null || value === '' ? clientKey(forwarding.clientAddress) : digestKey(key.kind, value)
  }

  function customKey (request: FastifyRequest): string | null {
    try {
      const key: unknown = rateLimitKey?.(request)
      if (typeof key === 'string') return key
      request.log.warn({ reqId: request.id, code: 'rate_limit_key_failed' }, 'rateLimitKey returned no text')
    } catch (error) {
      request.log.warn({ reqId: request.id, err: error, code: 'rate_limit_key_failed' }, 'rateLimitKey failed')
    }
    return null
  }
}, { name: 'rate-limit', fastify: '5.x', dependencies: ['errors'] })

/** Whether each limit that was exceeded lets hits pass for less. */
function isHitCheaper (charges: readonly Charge[], { counters }: Verdict): boolean {
  return charges.every(({ limit }, index) => counters[index]?.exceeded !== true || limit.hitUnits < unitsPerRequest)
}

function note (forwarding: Forwarding, noted: RateTicket): void {
  const ticket = forwarding.rateTicket
  if (ticket === null) {
    forwarding.rateTicket = noted
    return
  }
  ticket.limits.push(...noted.limits)
  ticket.charges.push(...noted.charges)
  ticket.counters.push(...noted.counters)
}

function tell ({ limits, counters }: RateTicket, reply: FastifyReply): void {
  setRateFields(limits, counters, (name, value) => { reply.header(name, value) })
}
