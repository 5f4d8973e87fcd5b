/**
 * Joins the decisions of RFC 9111 with a store: look up, record, freshen, invalidate.
 *
 * The decisions are pure functions beside this file; what is here reads and changes the store. A store that throws makes
 * a miss, a counted failure and a warning, never an error to a client.
 */
import type { RouteCacheConfig } from '../config/schema.ts'
import { parseCacheControl, type CacheControl } from '../http/cache-control.ts'
import type { FieldMap } from '../http/fields.ts'
import { isNotModified, mustReachOrigin } from '../http/preconditions.ts'
import { createBodyRecorder, type RecordingBudget, type RecordingEnd } from './body-recorder.ts'
import { createEntry } from './entry.ts'
import { createRemovalLog } from './removal-log.ts'
import { freshnessLifetime } from './freshness.ts'
import { primaryKey, selects, varyNames, type KeyParts } from './key.ts'
import type { ReasonWord } from './reasons.ts'
import { decideReuse, mayServeStaleOnError } from './reuse.ts'
import { nothingForwarded, type CacheOutcome, type ForwardReason } from './status.ts'
import { decideStoring } from './storing.ts'
import type { CacheStore, StoredEntry, StoreStatistics } from './store.ts'
import { conditionalFields, confirms, freshenedFields } from './validation.ts'

export interface CacheRequest extends KeyParts {
  readonly method: string
  readonly fields: FieldMap
  readonly rules: RouteCacheConfig
  readonly enabled: boolean
  readonly hasContent: boolean
  /** The request was let in by a credential. */
  readonly authenticated: boolean
}

export interface CacheHit {
  readonly action: 'hit'
  readonly entry: StoredEntry
  /** Whole seconds, for `Age`. */
  readonly age: number
  /** The client's own precondition says that it has this response already. */
  readonly notModified: boolean
  readonly outcome: CacheOutcome
}

export interface CacheForward {
  readonly action: 'forward'
  readonly request: CacheRequest
  readonly key: string
  /** Of the request; null when the route ignores it. */
  readonly control: CacheControl | null
  /** A stored response that could not be used as it is, to be validated, or to stand in when the upstream fails. */
  readonly stored: StoredEntry | null
  /** What to ask the origin server with, in place of the client's own preconditions; null without validation. */
  readonly conditional: FieldMap | null
  readonly outcome: CacheOutcome
  /** Moment of the lookup in the order of removals: a response under way must not undo a later one. */
  readonly moment: number
}

export interface CacheUnsatisfiable { readonly action: 'unsatisfiable', readonly outcome: CacheOutcome }

export type CacheLookup = CacheHit | CacheForward | CacheUnsatisfiable

/** A response that the upstream has begun. */
export interface ReceivedResponse {
  readonly statusCode: number
  /** End-to-end fields. */
  readonly fields: FieldMap
  /** Epoch milliseconds. */
  readonly requestedAt: number
  readonly receivedAt: number
}

/** A response on its way into the store. */
export interface Recording {
  write (chunk: Buffer): void
  /** Stores the response if its content is whole; null, or why it was not stored. */
  complete (): RecordingEnd | 'superseded' | 'store-failed' | 'no-room' | null
  abandon (): void
}

export interface HttpCacheOptions {
  readonly store: CacheStore
  /** Called when the store throws. */
  readonly onFailure: (error: unknown) => void
}

export interface CacheStatistics extends StoreStatistics {
  readonly recordingBytes: number
  /** Calls of the store that threw. */
  readonly failures: number
  /** Requests answered without asking the upstream. */
  readonly hits: number
  /** Requests that no stored response could answer. */
  readonly misses: number
  /** Requests answered with a stale response. */
  readonly stale: number
}

export type HttpCache = ReturnType<typeof createHttpCache>

/** Recordings under way may together hold as much as the store, and never less than this. */
const minRecordingBytes = 1024 * 1024

const silent: CacheControl = parseCacheControl({})

export function createHttpCache (options: HttpCacheOptions) {
  const { store } = options
  const budget: RecordingBudget = { maxBytes: Math.max(minRecordingBytes, store.statistics().maxBytes / 2), usedBytes: 0 }
  const removals = createRemovalLog()
  let failures = 0
  let hits = 0
  let misses = 0
  let stale = 0

  function safely<T> (fallback: T, act: () => T): T {
    try {
      return act()
    } catch (error) {
      failures++
      options.onFailure(error)
      return fallback
    }
  }

  function lookup (request: CacheRequest, now: number): CacheLookup {
    const { method, fields } = request
    if (!request.enabled) return pass('bypass', 'cache-off')
    if (method !== 'GET' && method !== 'HEAD') return pass('method', 'method')
    if (request.hasContent) return pass('bypass', 'request-content')

    const key = primaryKey(request)
    const control = request.rules.requestDirectives === 'ignore' ? null : requestControl(fields)
    if (mustReachOrigin(fields)) return forward('bypass', 'precondition')
    if (fields['range'] !== undefined) return forward('bypass', 'range')

    const variants = safely([], () => store.variants(key))
    let entry: StoredEntry | null = null
    for (let i = variants.length - 1; i >= 0; i--) {
      const variant = variants[i] as StoredEntry
      // 4.1: of several that fit, the one with the most recent Date.
      if (selects(fields, variant.response.selecting) && (entry === null || variant.response.dateAt > entry.response.dateAt)) entry = variant
    }
    if (entry === null) {
      if (control?.onlyIfCached === true) return unsatisfiable()
      return forward(variants.length === 0 ? 'uri-miss' : 'vary-miss', null)
    }

    const decision = decideReuse(entry.response, control, now)
    if (decision.reuse) hits++
    if (decision.reuse && decision.ttl < 0) stale++
    if (decision.reuse) return hit(request, entry, decision.age, decision.ttl, decision.detail, now)
    if (control?.onlyIfCached === true) return unsatisfiable()
    return forward(decision.byRequest ? 'request' : 'stale', decision.detail, entry)

    function pass (fwd: ForwardReason, detail: ReasonWord): CacheForward {
      return { action: 'forward', request, key: '', control: null, stored: null, conditional: null, moment: removals.moment(), outcome: forwarded(fwd, detail) }
    }
    function forward (fwd: ForwardReason, detail: ReasonWord | null, stored: StoredEntry | null = null): CacheForward {
      misses++
      const conditional = stored === null || method !== 'GET' ? null : conditionalFields(stored.response)
      return { action: 'forward', request, key, control, stored, conditional, moment: removals.moment(), outcome: forwarded(fwd, detail) }
    }
  }

  function hit (request: CacheRequest, entry: StoredEntry, age: number, ttl: number, detail: ReasonWord | null, now: number): CacheHit {
    safely(undefined, () => { store.touch(entry) })
    return {
      action: 'hit',
      entry,
      age,
      notModified: entry.response.statusCode === 200 && isNotModified(request.fields, entry.response, now),
      outcome: { ...nothingForwarded, hit: true, ttl, detail }
    }
  }

  /**
   * Decides on storing a response whose head has come, and begins its recording.
   * @returns the recording, or the reason why there is none
   */
  function record (lookup: CacheForward, response: ReceivedResponse, maxBytes: number): { recording: Recording | null, outcome: CacheOutcome } {
    const { request } = lookup
    const { fields, statusCode, receivedAt } = response
    const outcome: CacheOutcome = { ...lookup.outcome, fwdStatus: statusCode }
    if (!request.enabled || lookup.key === '') return { recording: null, outcome }

    const control = parseCacheControl(fields)
    const decision = decideStoring({ ...request, requestFields: request.fields, requestControl: lookup.control ?? silent, statusCode, fields, control, receivedAt })
    if (!decision.store) {
      // 4.3.3 and section 4: what the origin server no longer wants stored under this key must not be used again.
      if (lookup.stored !== null && statusCode < 500) safely(undefined, () => { store.remove(lookup.stored as StoredEntry) })
      return { recording: null, outcome: { ...outcome, detail: decision.reason } }
    }

    const length = fields['content-length']
    const expectedBytes = typeof length === 'string' && /^\d+$/.test(length) ? Number(length) : undefined
    if (expectedBytes !== undefined && expectedBytes > maxBytes) return { recording: null, outcome: { ...outcome, detail: 'too-large' } }

    const recorder = createBodyRecorder(maxBytes, budget, expectedBytes)
    const lifetime = decision.lifetime.seconds
    const { vary } = decision
    const recording: Recording = {
      write: recorder.write,
      abandon: recorder.abandon,
      complete () {
        const body = recorder.finish()
        if (typeof body === 'string') return body
        if (removals.happenedSince(lookup.key, lookup.moment)) return 'superseded'
        return safely<ReturnType<Recording['complete']>>('store-failed', () => {
          const entry = createEntry({
            ...response,
            key: lookup.key,
            scope: request.scope,
            control,
            vary,
            requestFields: request.fields,
            freshnessLifetime: lifetime,
            stripSetCookie: request.rules.setCookie === 'strip',
            body
          })
          return store.put(entry, replaced(lookup, vary)) ? null : 'no-room'
        })
      }
    }
    return { recording, outcome: { ...outcome, stored: true } }
  }

  /** The stored response that a new one for the same request takes the place of. */
  function replaced (lookup: CacheForward, vary: readonly string[]): StoredEntry | null {
    const { fields } = lookup.request
    return store.variants(lookup.key).find(entry => {
      const { selecting } = entry.response
      return selecting.length / 2 === vary.length && vary.every((name, i) => selecting[i * 2] === name) && selects(fields, selecting)
    }) ?? null
  }

  /**
   * Freshens the stored response with a 304 that answered our own validation (RFC 9111 4.3.4) and uses it.
   * Null when the 304 is about another response: then the request has to be made again without our conditions.
   */
  function freshen (lookup: CacheForward, response: ReceivedResponse): CacheHit | null {
    const { stored, request } = lookup
    if (stored === null || !confirms(stored.response, response.fields)) return null
    const { receivedAt } = response
    const fields = freshenedFields(stored.response.fields, response.fields)
    const control = parseCacheControl(fields)
    const { statusCode } = stored.response
    const lifetime = freshnessLifetime({ statusCode, fields, control, rules: request.rules, receivedAt })
    const vary = varyNames(fields)
    const entry = createEntry({
      key: stored.key,
      scope: request.scope,
      statusCode,
      fields: response.fields['age'] === undefined ? fields : { ...fields, age: response.fields['age'] },
      control,
      vary: vary === '*' ? [] : vary,
      requestFields: request.fields,
      requestedAt: response.requestedAt,
      receivedAt,
      freshnessLifetime: lifetime.seconds,
      stripSetCookie: request.rules.setCookie === 'strip',
      body: stored.body
    })
    const keep = vary !== '*' && !control.noStore && control.private !== true && !control.malformed && !removals.happenedSince(lookup.key, lookup.moment)
    const kept = safely(false, () => {
      if (keep) return store.put(entry, stored)
      store.remove(stored)
      return false
    })
    const now = receivedAt
    const decision = decideReuse(entry.response, null, now)
    const used = hit(request, entry, decision.age, decision.ttl, null, now)
    return { ...used, outcome: { hit: false, fwd: lookup.outcome.fwd, fwdStatus: 304, stored: kept, ttl: decision.ttl, detail: 'validated' } }
  }

  /** The stored response to use although it is stale, because the upstream failed; null if there is none that may be. */
  function onUpstreamFailure (lookup: CacheForward, now: number, fwdStatus: number | null): CacheHit | null {
    const { stored } = lookup
    if (stored === null || !mayServeStaleOnError(stored.response, lookup.control, now)) return null
    stale++
    const decision = decideReuse(stored.response, null, now)
    const used = hit(lookup.request, stored, decision.age, decision.ttl, 'stale-if-error', now)
    return { ...used, outcome: { ...used.outcome, hit: false, fwd: lookup.outcome.fwd, fwdStatus } }
  }

  /** Removes all under the keys of a target URI that changed (RFC 9111 4.4); returns how many responses went. */
  function invalidate (targets: readonly KeyParts[]): number {
    return safely(0, () => targets.reduce((removed, target) => {
      const key = primaryKey(target)
      removals.note(key)
      return removed + store.removeKey(key)
    }, 0))
  }

  /** Removes what was stored under rules that are no longer in force. */
  function retainScopes (scopes: ReadonlySet<string>): Promise<number> {
    removals.noteAll()
    return store.removeWhere(entry => !scopes.has(entry.scope))
  }

  function statistics (): CacheStatistics {
    return { ...store.statistics(), recordingBytes: budget.usedBytes, failures, hits, misses, stale }
  }

  function clear (): void {
    removals.noteAll()
    safely(undefined, () => { store.clear() })
  }

  return { lookup, record, freshen, onUpstreamFailure, invalidate, retainScopes, statistics, clear }
}

function forwarded (fwd: ForwardReason, detail: ReasonWord | null): CacheOutcome {
  return { hit: false, fwd, fwdStatus: null, stored: false, ttl: null, detail }
}

function unsatisfiable (): CacheUnsatisfiable {
  return { action: 'unsatisfiable', outcome: { ...nothingForwarded, hit: false, ttl: null, detail: 'only-if-cached' } }
}

/** `Pragma: no-cache` counts only where there is no `Cache-Control` (RFC 9111 5.4). */
function requestControl (fields: FieldMap): CacheControl {
  if (fields['cache-control'] !== undefined) return parseCacheControl(fields)
  if (fields['pragma'] !== undefined) return { ...silent, noCache: parseCacheControl(fields, 'pragma').noCache !== false }
  return silent
}
