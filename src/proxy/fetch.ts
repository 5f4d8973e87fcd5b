/**
 * Asks the upstream for what the cache could not answer, lets the cache see the answer, and tells whoever waits for it.
 *
 * It knows no client: the one that asked is an `Audience`, others wait in a flight, and a validation in the background
 * has nobody. So the one that asked may leave while others still want the response.
 */
import type { Flights, Landing, LeadFlight } from '../cache/collapse.ts'
import { currentAge } from '../cache/freshness.ts'
import type { CacheForward, HttpCache, ReceivedResponse, Recording } from '../cache/http-cache.ts'
import { isSafe } from '../cache/invalidation.ts'
import type { ReasonWord } from '../cache/reasons.ts'
import { composeCompletion, type Composition } from '../cache/completion.ts'
import { shareBody, type SharedBody } from '../cache/shared-body.ts'
import type { CacheOutcome } from '../cache/status.ts'
import type { StoredResponse } from '../cache/stored-response.ts'
import { confirmsClient } from '../cache/validation.ts'
import { linesOf } from '../forward/response-fields.ts'
import { bodyOf, type Body } from '../http/body.ts'
import { linesWithout, noFields, type FieldMap } from '../http/fields.ts'
import { TransformError } from '../transform/transform.ts'
import { UpstreamError, type Exchange, type UpstreamErrorCode, type UpstreamResponse } from '../upstream/exchange.ts'
import { around } from './around.ts'
import { discard } from './discard.ts'
import type { FetchRequest, FetchTransforms } from './fetch-request.ts'

export interface Fetch {
  /** The client left: ends the exchange unless others or the store still want it. */
  leave (): void
}

export interface FetchDependencies {
  readonly cache: HttpCache
  readonly flights: Flights
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Failures of the origin server for which a stale response may stand in (RFC 5861 section 4). */
const standsInFor: ReadonlySet<number> = new Set([500, 502, 503, 504])

const unconditional: FieldMap = Object.freeze(noFields())

export function startFetch (dependencies: FetchDependencies, request: FetchRequest): Fetch {
  const fetch = new RunningFetch(dependencies, request)
  fetch.ask(request.lookup)
  return fetch
}

/** A class, because there is one for each request that is forwarded: its methods are made once. */
class RunningFetch implements Fetch {
  readonly #cache: HttpCache
  readonly #flights: Flights
  readonly #now: () => number
  readonly #request: FetchRequest
  readonly #flight: LeadFlight | null
  #shareable: Recording | null = null
  #exchange: Exchange | null = null
  #headHasCome = false
  #isShared = false
  #asksWhole = false

  constructor ({ cache, flights, now }: FetchDependencies, request: FetchRequest) {
    this.#cache = cache
    this.#flights = flights
    this.#now = now
    this.#request = request
    const { flightKey, mayLead } = request.lookup
    if (flightKey === null || !mayLead || flights.find(flightKey) !== null) {
      this.#flight = null
    } else {
      this.#flight = flights.lead(flightKey, () => this.#isCurrent())
      this.#flight.onLeft = () => { this.leave() }
    }
  }

  #isCurrent (): boolean {
    return this.#shareable === null ? this.#cache.isCurrent(this.#request.lookup) : this.#shareable.isCurrent()
  }

  leave (): void {
    const { background, audience } = this.#request
    // The store wants it, whoever has stopped waiting.
    if (background) return
    // What is shared knows its readers.
    if (this.#headHasCome && !this.#isShared && audience.isGone()) this.#exchange?.running?.cancel()
    if (this.#headHasCome || !audience.isGone() || (this.#flight !== null && this.#flight.waiting > 0)) return
    this.#flight?.end()
    this.#exchange?.running?.cancel()
  }

  ask (lookup: CacheForward): void {
    const requestedAt = this.#now()
    const asked = this.#exchange = this.#request.prepare(lookup.conditional, this.#asksWhole)
    this.#request.dispatch(asked, (error, response) => {
      if (error !== null || response === undefined) this.#failed(lookup, error ?? new UpstreamError('upstream_reset'))
      else this.#received(lookup, response, requestedAt)
    })
  }

  /** Once more, without what the cache asked on its own account; what comes now is not about anything stored. */
  #askAgain (lookup: CacheForward, body: Body): void {
    discard(body)
    this.ask({ ...lookup, validating: [], completion: null, conditional: unconditional })
  }

  #received (lookup: CacheForward, upstream: UpstreamResponse, requestedAt: number): void {
    const { method, audience, transforms } = this.#request
    const { statusCode, body } = upstream
    const receivedAt = this.#now()
    const { fields, said } = this.#request.responseFields(upstream, receivedAt, lookup)
    try {
      this.#request.filterFields(statusCode, fields)
    } catch (error) {
      discard(body)
      // What the request has changed at the origin server is changed all the same (RFC 9111 4.4).
      if (!isSafe(method) && statusCode < 400) this.#request.invalidate(said)
      return this.#failed(lookup, new UpstreamError('extension_failed', upstream.target, error))
    }
    // RFC 9110 8.6: a 204 has none, whatever it says; passed on, it would announce content that never comes.
    if (statusCode === 204) delete fields['content-length']
    const response: ReceivedResponse = { statusCode, fields, requestedAt, receivedAt, locatesTarget: this.#request.locatesTarget(said) }

    if (statusCode === 304) transforms?.confirm(fields, lookup)
    const freshened = statusCode === 304 ? this.#cache.freshen(lookup, response) : null
    // Else it answers conditions of the client, who gets it as it is.
    if (statusCode === 304 && lookup.conditional !== null && !(freshened === null && confirmsClient(lookup.conditional, lookup.request.fields, fields))) {
      if (freshened === null) {
        // It confirms something we do not have. An origin server that insists on it answers nonsense.
        return lookup.conditional === unconditional ? this.#unusable(lookup, upstream) : this.#askAgain(lookup, body)
      }
      discard(body)
      this.#headHasCome = true
      audience.stored(freshened)
      this.#land(lookup, isFresh(freshened.entry.response, receivedAt) ? { kind: 'validated' } : null, statusCode)
      return
    }
    if (standsInFor.has(statusCode)) {
      const stale = this.#cache.onUpstreamFailure(lookup, receivedAt, statusCode)
      if (stale !== null) {
        discard(body)
        this.#headHasCome = true
        audience.stored(stale)
        this.#flight?.land({ kind: 'failed', error: new UpstreamError('upstream_failed', upstream.target) })
        return
      }
    }
    const composed = lookup.completion === null ? null : composeCompletion(lookup.completion, statusCode, fields)
    // A part that does not fit what is stored; any other answer is for the client as it is.
    if (lookup.completion !== null && composed === null && (statusCode === 206 || statusCode === 416)) return this.#askAgain(lookup, body)

    if (!isSafe(method) && statusCode < 400) this.#request.invalidate(said)
    if (transforms === null || composed !== null) return this.#deliver(lookup, upstream, response, composed, body)
    if (statusCode === 206 && this.#isPartOfTransformed(transforms, fields)) {
      // An origin server that sends parts nobody asked for.
      if (this.#asksWhole) return this.#unusable(lookup, upstream)
      this.#asksWhole = true
      return this.#askAgain(lookup, body)
    }
    const content = mayHaveContent(method, statusCode) ? body.stream() : null
    transforms.apply(statusCode, fields, content, (error, transformed) => {
      if (transformed !== undefined) {
        return this.#deliver(lookup, upstream, { ...response, fields: transformed.fields }, null, transformed.body === null ? body : bodyOf(transformed.body))
      }
      body.destroy()
      this.#failed(lookup, error instanceof UpstreamError ? error : new UpstreamError(codeOf(error), upstream.target, error))
    })
  }

  #isPartOfTransformed (transforms: FetchTransforms, fields: FieldMap): boolean {
    try {
      return transforms.mustBeWhole(206, fields)
    } catch {
      // Asked again it fails with a word on why.
      return true
    }
  }

  /** The answer is of no use to anybody. */
  #unusable (lookup: CacheForward, { body, target }: UpstreamResponse): void {
    discard(body)
    this.#failed(lookup, new UpstreamError('upstream_bad_response', target))
  }

  #deliver (lookup: CacheForward, upstream: UpstreamResponse, response: ReceivedResponse, composed: Composition | null, body: Body): void {
    const { method, audience, maxStoredBytes, hiddenFields } = this.#request
    const { fields, statusCode, receivedAt } = response
    this.#headHasCome = true
    if (method === 'HEAD') this.#cache.updateFromHead(lookup, response)
    const { recording, outcome } = this.#cache.record(lookup, response, maxStoredBytes)
    body.onClose(error => {
      const cause = error instanceof TransformError ? new UpstreamError(error.code, upstream.target, error) : error
      if (cause instanceof UpstreamError && cause.code !== 'cancelled') audience.cutShort(cause)
    })

    const shared = recording === null ? null : this.#share(body, recording, outcome, statusCode)
    this.#isShared = shared !== null
    this.#shareable = recording
    const head = recording?.head ?? null
    const usable = shared !== null && head !== null && isFresh(head.response, receivedAt)
    this.#land(lookup, usable ? { kind: 'response', response: { head, body: shared, hasContent: mayHaveContent(method, statusCode) } } : null, statusCode)
    const content = !mayHaveContent(method, statusCode) ? null : shared === null ? body : audience.isGone() ? null : shared.reader(audience)
    if (content === null && shared === null) discard(body)
    audience.passed({
      statusCode: composed?.statusCode ?? statusCode,
      lines: composed === null ? linesOf(fields, hiddenFields) : linesWithout(composed.lines, hiddenFields),
      cacheStatus: fields['cache-status'],
      outcome,
      body: composed === null || content === null ? content : around(composed, content)
    })
    shared?.start()
  }

  #share (body: Body, recording: Recording, outcome: CacheOutcome, statusCode: number): SharedBody {
    const { method, audience, background } = this.#request
    const end = (failure: ReasonWord | null): void => {
      this.#flight?.end()
      audience.recorded(failure === null ? outcome : { ...outcome, stored: false, ttl: null, detail: failure })
    }
    return shareBody({
      source: body,
      recording,
      finishAlone: background || !mayHaveContent(method, statusCode),
      onEnd: end,
      onUnreadable: () => { this.#flight?.end() },
      onCutShort: () => { end('incomplete') }
    })
  }

  /** @param landing null when nobody else can use what came */
  #land ({ flightKey, request: { rules } }: CacheForward, landing: Landing | null, statusCode: number): void {
    const flights = this.#flights
    const flight = this.#flight
    if (flightKey !== null && landing !== null) flights.forgetHopeless(flightKey)
    if (flight === null) return
    if (landing !== null) return flight.land(landing)
    // An origin server in trouble will answer differently soon; all at once asking it again would not help it.
    if (standsInFor.has(statusCode) && statusCode !== 500) return flight.land({ kind: 'failed', error: new UpstreamError('upstream_failed') })
    // A 304 was for what one client has.
    if (statusCode < 500 && statusCode !== 304) flights.rememberHopeless(flightKey as string, this.#now() + rules.collapse.hitForMiss)
    flight.land({ kind: 'alone' })
  }

  #failed (lookup: CacheForward, error: UpstreamError): void {
    const { audience } = this.#request
    this.#headHasCome = true
    // Of those who wait each may have a stale response that it accepts.
    const stale = error.statusCode >= 502 ? this.#cache.onUpstreamFailure(lookup, this.#now(), null) : null
    if (stale === null) audience.failed(error)
    else audience.stored(stale)
    // A cancelled leader, or one whose own content failed, says nothing of the upstream.
    this.#flight?.land(error.statusCode >= 500 ? { kind: 'failed', error } : { kind: 'alone' })
  }
}

export function mayHaveContent (method: string, statusCode: number): boolean {
  return method !== 'HEAD' && statusCode !== 204 && statusCode !== 304
}

function codeOf (error: Error | null): UpstreamErrorCode {
  return error instanceof TransformError ? error.code : 'upstream_reset'
}

/** Whether those who asked later may have it without asking themselves. */
function isFresh (response: StoredResponse, now: number): boolean {
  return response.freshnessLifetime > currentAge(response, now) && (response.control.noCache !== true || response.override === 'override-origin-ignored')
}
