/**
 * Requests per client, counted before any work is spent.
 *
 * `@fastify/rate-limit` asks and judges; what it asks is our store. It hands each question on as it is, so that one can be
 * about several limits of which all or none count, and the store can take back what a hit did not cost and keep clients
 * that are over their limit when many addresses come (`src/rate-limit/store.ts`). A store that answers at once is asked
 * directly before: what fits, which is nearly every request, needs none of the promises of the long way. What does not is
 * charged nothing by that and judged by the plugin, as everything is where the counters are in another process.
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
import type { FieldMap } from '../src/http/fields.ts'
import { lineId } from '../src/observe/line-id.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { clientNamed, named } from '../src/rate-limit/client-key.ts'
import type { ReadyLimit } from '../src/rate-limit/from-config.ts'
import { unitsPerRequest } from '../src/rate-limit/limit.ts'
import { createRateLines, seconds, setRateFields } from '../src/rate-limit/rate-fields.ts'
import type { Charge, Counter, RateLimitStore, Verdict } from '../src/rate-limit/store.ts'
import type { RateTicket } from '../src/rate-limit/ticket.ts'
import { sendError } from './errors.ts'
import { createJudge } from './rate-limit-judge.ts'

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
  /** In place of all of these for a hit that is answered at once (`server/quick-hits.ts`); null where that cannot be. */
  readonly limitQuickly: QuickLimit | null
}

/**
 * Charges a hit.
 * @returns field lines for the response; null when it does not fit, and then nothing is charged
 */
export type QuickLimit = (clientAddress: string, fields: FieldMap) => string | null

export interface RateLimitPluginOptions {
  readonly store: RateLimitStore
  /** Names the client for limits with the key `custom`. */
  readonly rateLimitKey?: (request: FastifyRequest) => string
}

export default fp<RateLimitPluginOptions>(async function rateLimit (app, options) {
  const { store, rateLimitKey } = options
  const judge = await createJudge(store)

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
      limitForwarded: cheaper && !authenticates && first.length > 0 ? limitForwarded : null,
      limitQuickly: first.length > 0 && store.answersAtOnce === true && second.length === 0 && first.every(({ key }) => key.kind !== 'custom') ? chargingHits(first) : null
    }
  })

  /** @param mayBeHit who is over the limit may go on to the lookup, for the price of a hit */
  function counting (limits: readonly ReadyLimit[], mayBeHit: boolean): onRequestHookHandler {
    return function countRequest (request, reply, done) {
      const forwarding = request.forwarding as Forwarding
      const counted = withoutExempt(limits, forwarding.clientAddress)
      if (counted.length === 0) return done()
      const charges: Charge[] = []
      for (const ready of counted) charges.push({ limit: ready.limit, key: keyFor(request, forwarding, ready), units: unitsPerRequest })
      const passed = takeAtOnce(charges)
      if (passed === null) return judgeRequest(request, reply, counted, charges, mayBeHit, done)
      accept(forwarding, reply, { limits: counted, charges, counters: passed.counters, refusal: null })
      done()
    }
  }

  function judgeRequest (request: FastifyRequest, reply: FastifyReply, counted: readonly ReadyLimit[], charges: readonly Charge[], mayBeHit: boolean, done: () => void): void {
    const go = (accepted: readonly Charge[], { counters }: Verdict, refusal: Verdict | null): void => {
      accept(request.forwarding as Forwarding, reply, { limits: counted, charges: accepted, counters, refusal })
      done()
    }
    take(request, charges, done, verdict => {
      if (verdict.passed) return go(charges, verdict, null)
      if (!mayBeHit || !isHitCheaper(charges, verdict)) return refuse(request, reply, verdict, counted)
      const asHit = charges.map(charge => ({ ...charge, units: charge.limit.hitUnits }))
      take(request, asHit, done, lesser => {
        if (lesser.passed) go(asHit, lesser, verdict)
        else refuse(request, reply, verdict, counted)
      })
    })
  }

  function accept (forwarding: Forwarding, reply: FastifyReply, noted: RateTicket): void {
    const ticket = forwarding.rateTicket = joined(forwarding.rateTicket, noted)
    tell(ticket, reply)
  }

  function chargingHits (limits: readonly ReadyLimit[]): QuickLimit {
    const rateLines = createRateLines(limits)
    return function chargeHit (clientAddress, fields) {
      const counted = withoutExempt(limits, clientAddress)
      const charges: Charge[] = []
      for (const { limit, key } of counted) charges.push({ limit, key: clientNamed(key, clientAddress, fields), units: limit.hitUnits })
      const passed = takeAtOnce(charges)
      return passed === null ? null : rateLines(counted, passed.counters)
    }
  }

  /** Null where it does not fit, and then nothing was charged; or where the store does not answer at once, or fails: the long way tells of it. */
  function takeAtOnce (charges: readonly Charge[]): Verdict | null {
    if (store.answersAtOnce !== true) return null
    let passed: Verdict | null = null
    try {
      store.take(charges, (error, verdict) => { if (error === null && verdict?.passed === true) passed = verdict })
    } catch {}
    return passed
  }

  /** A store that fails counts nothing: it must not be the end of what it is to protect. */
  function take (request: FastifyRequest, charges: readonly Charge[], pass: () => void, decide: (verdict: Verdict) => void): void {
    // What follows is no part of the promise: an error in it is none of the store's.
    judge(charges).then(verdict => { process.nextTick(decide, verdict) }, (error: unknown) => {
      request.log.warn({ ...lineId(request), err: error, code: 'rate_limit_store_failed' }, 'the store of rate limits failed: the request is not counted')
      process.nextTick(pass)
    })
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
    ticket.counters = ticket.charges.map((charge, index) => {
      const units = unitsOf(charge)
      const counter = ticket.counters[index] as Counter
      return units > 0 ? store.giveBack(charge, counter, units) : counter
    })
  }

  function keyFor (request: FastifyRequest, { clientAddress, identity }: Forwarding, { key }: ReadyLimit): string {
    if (key.kind === 'identity') return named(key, identity?.subject ?? null, clientAddress)
    return key.kind === 'custom' ? named(key, customKey(request), clientAddress) : clientNamed(key, clientAddress, request.headers)
  }

  function customKey (request: FastifyRequest): string | null {
    try {
      const key: unknown = rateLimitKey?.(request)
      if (typeof key === 'string') return key
      request.log.warn({ ...lineId(request), code: 'rate_limit_key_failed' }, 'rateLimitKey returned no text')
    } catch (error) {
      request.log.warn({ ...lineId(request), err: error, code: 'rate_limit_key_failed' }, 'rateLimitKey failed')
    }
    return null
  }
}, { name: 'rate-limit', fastify: '5.x', dependencies: ['errors'] })

/** Whether each limit that was exceeded lets hits pass for less. */
function isHitCheaper (charges: readonly Charge[], { counters }: Verdict): boolean {
  return charges.every(({ limit }, index) => counters[index]?.exceeded !== true || limit.hitUnits < unitsPerRequest)
}

/** All limits but those that do not count this address. */
function withoutExempt (limits: readonly ReadyLimit[], address: string): readonly ReadyLimit[] {
  for (const { exempt } of limits) {
    if (exempt !== null) return limits.filter(({ exempt }) => exempt === null || !exempt.isTrusted(address))
  }
  return limits
}

function joined (before: RateTicket | null, noted: RateTicket): RateTicket {
  if (before === null) return noted
  const { limits, charges, counters, refusal } = before
  return { limits: [...limits, ...noted.limits], charges: [...charges, ...noted.charges], counters: [...counters, ...noted.counters], refusal }
}

function tell ({ limits, counters }: RateTicket, reply: FastifyReply): void {
  setRateFields(limits, counters, (name, value) => { reply.header(name, value) })
}
