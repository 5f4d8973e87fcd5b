/** Looks for a stored response that a request may be answered with, and says what to ask the origin server otherwise (RFC 9111 section 4). */
import type { RouteCacheConfig } from '../config/schema.ts'
import { absentControl, parseCacheControl, type CacheControl } from '../http/cache-control.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { isNotModified, mustReachOrigin } from '../http/preconditions.ts'
import { chooseVariant, storedVariants } from './candidates.ts'
import { isInvalidated, type CacheContext } from './context.ts'
import { currentAge } from './freshness.ts'
import { primaryKey, type KeyParts } from './key.ts'
import { accepts, preferredChoices } from './preferences.ts'
import { answerRange, planCompletion, type Completion, type RangeAnswer } from './range-answer.ts'
import type { ReasonWord } from './reasons.ts'
import { decideReuse, type ReuseDecision } from './reuse.ts'
import { nothingForwarded, type CacheOutcome, type ForwardReason } from './status.ts'
import type { StoredEntry } from './store.ts'
import type { StoredResponse } from './stored-response.ts'
import { conditionalFields } from './validation.ts'
import { selectingFields } from './vary.ts'

export interface CacheRequest extends KeyParts {
  readonly method: string
  readonly fields: FieldMap
  readonly rules: RouteCacheConfig
  readonly enabled: boolean
  readonly hasContent: boolean
  /** The request was let in by a credential. */
  readonly authenticated: boolean
  /** Whoever shares the key may have what is stored under it, whatever credentials let them in. */
  readonly common: boolean
  /** The key is that of one identity, and the route stores what is private to it. */
  readonly personal: boolean
  /** Put the key into `Cache-Status`. */
  readonly showKey: boolean
}

export interface CacheHit {
  readonly action: 'hit'
  readonly entry: StoredEntry
  /** Whole seconds, for `Age`; null where the origin server has just validated it, which an `Age` would deny (RFC 9111 5.1). */
  readonly age: number | null
  /** The client's own precondition says that it has this response already. */
  readonly notModified: boolean
  /** The parts asked for; null for the whole. */
  readonly range: RangeAnswer | null
  /** How to validate it behind the client's back; null when that is not due. */
  readonly revalidate: CacheForward | null
  readonly outcome: CacheOutcome
}

export interface CacheForward {
  readonly action: 'forward'
  readonly request: CacheRequest
  /** Empty when nothing of this exchange can be stored. */
  readonly key: string
  /** Of the request; null when the route ignores it. */
  readonly control: CacheControl | null
  /** A stored response that could not be used as it is, to be validated, or to stand in when the upstream fails. */
  readonly stored: StoredEntry | null
  /** All whose validators are sent, the chosen one first. */
  readonly validating: readonly StoredEntry[]
  /** What to ask the origin server with, in place of the client's own preconditions; null without validation. */
  readonly conditional: FieldMap | null
  /** The stored part is to be completed by what `conditional` asks for. */
  readonly completion: Completion | null
  /** Requests with the same one can wait for one response; null when this one neither waits nor is waited for. */
  readonly flightKey: string | null
  /** Whether others may wait for this one, or it may only wait itself. */
  readonly mayLead: boolean
  readonly outcome: CacheOutcome
  /** Moment of the lookup in the order of removals: a response under way must not undo a later one. */
  readonly moment: number
}

export interface CacheUnsatisfiable { readonly action: 'unsatisfiable', readonly outcome: CacheOutcome }

export type CacheLookup = CacheHit | CacheForward | CacheUnsatisfiable

/**
 * A hit that needs nothing but one fresh stored response, found without leaving a trace; null for everything else, of
 * which `lookUp` may still make one. What is found and used is to be told by `noteHit`.
 * @param key the primary key of the request
 */
export function findHit (context: CacheContext, key: string, request: CacheRequest, now: number): CacheHit | null {
  const { method, fields, rules } = request
  if (!request.enabled || request.hasContent || (method !== 'GET' && method !== 'HEAD') || mustReachOrigin(fields)) return null
  const variants = context.safely<readonly StoredEntry[]>([], () => context.store.variants(key))
  if (variants.length === 0) return null
  const entry = chooseVariant(request, variants)
  if (entry === null || isInvalidated(context, entry)) return null
  const control = rules.requestDirectives === 'ignore' ? null : requestControl(fields)
  const decision = decideReuse(entry.response, control, rules, now)
  if (!decision.reuse || decision.revalidate || decision.ttl < 0) return null
  const range = answerRange(request, entry, now)
  return range === 'missing' ? null : reused(request, key, entry, decision, range, now)
}

/** What a hit that is sent leaves behind. */
export function noteHit (context: CacheContext, { entry, outcome }: CacheHit): void {
  context.counts.hits++
  entry.hits++
  if (outcome.ttl !== null && outcome.ttl < 0) context.counts.stale++
  context.safely(undefined, () => { context.store.touch(entry) })
}

function reused (request: CacheRequest, key: string, entry: StoredEntry, { ttl, detail }: ReuseDecision, range: RangeAnswer | null, now: number): CacheHit {
  const because = detail ?? (entry.key === key ? null : 'no-vary-search')
  const notModified = isAnsweredByNotModified(request, entry.response, now)
  // Written out: every hit passes here, and copying `nothingForwarded` costs more than all the rest of it.
  const outcome: CacheOutcome = request.showKey
    ? { ...nothingForwarded, key: entry.key, hit: true, ttl, detail: because }
    : { hit: true, fwd: null, fwdStatus: null, stored: false, collapsed: null, ttl, detail: because }
  return { action: 'hit', entry, age: Math.floor(currentAge(entry.response, now)), notModified, range: notModified ? null : range, revalidate: null, outcome }
}

export function lookUp (context: CacheContext, request: CacheRequest, now: number, knownKey?: string): CacheLookup {
  return new Lookup(context, request, now).run(knownKey)
}

/** A class, because there is one for each request that is no plain hit: its methods are made once. */
class Lookup {
  readonly #context: CacheContext
  readonly #request: CacheRequest
  readonly #now: number
  readonly #control: CacheControl | null
  #key = ''
  #variants: readonly StoredEntry[] = []

  constructor (context: CacheContext, request: CacheRequest, now: number) {
    this.#context = context
    this.#request = request
    this.#now = now
    this.#control = request.rules.requestDirectives === 'ignore' ? null : requestControl(request.fields)
  }

  run (knownKey: string | undefined): CacheLookup {
    const request = this.#request
    const context = this.#context
    const control = this.#control
    const now = this.#now
    const { method, fields, rules } = request
    if (!request.enabled) return this.#pass('bypass', 'cache-off')
    // A response to POST may be stored for later GETs, and is never found by another POST (RFC 9110 9.3.3).
    if (method === 'POST') return { ...this.#pass('method', 'method'), key: primaryKey(request), control }
    if (method !== 'GET' && method !== 'HEAD') return this.#pass('method', 'method')
    const onlyIfCached = control?.onlyIfCached === true
    if (request.hasContent) return onlyIfCached ? unsatisfiable(request) : this.#pass('bypass', 'request-content')

    const key = this.#key = knownKey ?? primaryKey(request)
    if (request.extra !== '') context.severalKeys = true
    // 5.2.1.7 before what these preconditions want: there is no stored response that they could be answered with.
    if (mustReachOrigin(fields)) return onlyIfCached ? unsatisfiable(request) : this.#forward('bypass', 'precondition', null, [])

    const variants = this.#variants = storedVariants(context, request, key, now)
    const entry = chooseVariant(request, variants)
    if (entry === null) {
      if (onlyIfCached) return unsatisfiable(request)
      if (variants.length === 0) return this.#forward('uri-miss', null, null, variants)
      const validating = method === 'GET' ? variants.filter(variant => mayBeNamed(request, variant)).slice(-maxValidators) : []
      return this.#forward('vary-miss', null, null, validating)
    }

    const decision = decideReuse(entry.response, control, rules, now)
    if (decision.reuse) {
      const range = answerRange(request, entry, now)
      if (range === 'missing') {
        if (onlyIfCached) return unsatisfiable(request)
        return this.#completing(entry)
      }
      // 5.2.1.5: nothing of an answer to such a request may be stored, so that it would bring nothing up to date.
      const revalidate = decision.revalidate && control?.noStore !== true ? this.#background(entry) : null
      const hit = { ...reused(request, key, entry, decision, range, now), revalidate }
      noteHit(context, hit)
      return hit
    }
    if (onlyIfCached) return unsatisfiable(request)
    return this.#forward(decision.byRequest ? 'request' : 'stale', decision.detail, entry, this.#validatable(entry))
  }

  #pass (fwd: ForwardReason, detail: ReasonWord): CacheForward {
    return { ...nothingStored, request: this.#request, moment: this.#context.removals.moment(), outcome: forwarded(this.#request, fwd, detail) }
  }

  #forward (fwd: ForwardReason, detail: ReasonWord | null, stored: StoredEntry | null, validating: readonly StoredEntry[]): CacheForward {
    const request = this.#request
    const { method, fields } = request
    this.#context.counts.misses++
    const ranged = method === 'GET' && fields['range'] !== undefined
    const conditional = conditionalFields(validating, fields, !ranged && stored !== null)
    const collapses = this.#collapses(ranged)
    // Written out: there is one for each request that is forwarded.
    return {
      action: 'forward',
      request,
      key: this.#key,
      control: this.#control,
      stored,
      validating: conditional === null ? noEntries : validating,
      conditional,
      completion: null,
      flightKey: collapses ? this.#flightKeyOf(this.#key) : null,
      mayLead: collapses && method === 'GET' && (conditional !== null || !isConditional(fields)),
      moment: this.#context.removals.moment(),
      outcome: forwarded(request, fwd, detail)
    }
  }

  /** Which of the stored responses can be validated by this request: the one it selects, and others by their entity tags. */
  #validatable (chosen: StoredEntry): readonly StoredEntry[] {
    const request = this.#request
    // HEAD says how things are without a validation (4.3.5).
    if (request.method !== 'GET') return []
    // 4.3.2: of a part only when the request is for bytes that are all in it.
    if (chosen.parts !== null && answerRange(request, chosen, this.#now) === 'missing') return []
    const others = this.#variants.filter(variant => variant !== chosen && mayBeNamed(request, variant))
    return [chosen, ...others.slice(-maxValidators)]
  }

  #completing (part: StoredEntry): CacheForward {
    const request = this.#request
    // 4.3.2: what the client has itself is not compared with a part that cannot answer it.
    const completion = request.method === 'GET' && !isConditional(request.fields) ? planCompletion(request, part, this.#now) : null
    const asked = this.#forward('partial', 'range-missing', part, [])
    return completion === null ? asked : { ...asked, completion, conditional: completion.fields, flightKey: null, mayLead: false }
  }

  /** The validation that goes on behind a stale response (RFC 5861 3): a GET for the whole, whatever the client wanted of it or has. */
  #background (stale: StoredEntry): CacheForward {
    const request = this.#request
    // Neither a part nor an answer to the client's own precondition would bring it up to date.
    const { range: _range, 'if-range': _ifRange, 'if-none-match': _noneMatch, 'if-modified-since': _since, ...rest } = request.fields
    const whole: CacheRequest = { ...request, method: 'GET', fields: rest }
    const validating = stale.parts === null ? [stale] : []
    return {
      ...nothingStored,
      request: whole,
      key: stale.key,
      stored: stale,
      validating,
      conditional: conditionalFields(validating, rest, true),
      flightKey: this.#flightKeyOf(stale.key),
      mayLead: true,
      moment: this.#context.removals.moment(),
      outcome: forwarded(whole, 'stale', 'stale-while-revalidate')
    }
  }

  /**
   * Whether the request may wait for another one, or others for it. A range is not waited for: its bytes may come last.
   * Neither is a request that wants a validation or an answer of its own.
   */
  #collapses (ranged: boolean): boolean {
    const { rules, fields } = this.#request
    const control = this.#control
    return rules.collapse.enabled && !ranged && control?.noCache !== true && control?.noStore !== true && !mustReachOrigin(fields)
  }

  /** Requests that wait for each other have the same key and, as far as earlier responses tell, select the same variant. */
  #flightKeyOf (stored: string): string {
    const { store, safely } = this.#context
    const last = (stored === this.#key && this.#variants.length === 0 ? noEntries : safely(noEntries, () => store.variants(stored))).at(-1)
    return variantFlightKey(stored, this.#request, last?.response.selecting.map(({ name }) => name) ?? [])
  }
}

/** The client's own precondition may be answered 304, of which nobody else has anything. */
function isConditional (fields: FieldMap): boolean {
  return fields['if-none-match'] !== undefined || fields['if-modified-since'] !== undefined
}

const noEntries: readonly StoredEntry[] = []

/**
 * Apart for requests that would select different variants of a response with these names in `Vary`, and for those with
 * credentials, whose responses may not be shareable where others are. No cache key looks like it.
 */
export function variantFlightKey (key: string, { fields, rules, common, authenticated }: CacheRequest, names: readonly string[]): string {
  const authorized = !common && (authenticated || fields['authorization'] !== undefined)
  if (names.length === 0 && !authorized) return key
  return `variant ${key.length} ${key} ${JSON.stringify([authorized, ...selectingFields(fields, names, rules.vary).map(({ value }) => value ?? null)])}`
}

/** Other variants whose entity tags are sent along, so that a 304 can name one of them (4.3.1). */
const maxValidators = 8

/**
 * Whether the origin server may choose a response by its entity tag that the request does not select by its fields. A weak
 * one says too little. Of responses that differ in their coding only one in a coding that the client likes best: many
 * servers compare the tag before they choose the coding, and would confirm any.
 */
function mayBeNamed ({ fields }: CacheRequest, { response, parts }: StoredEntry): boolean {
  if (response.etag === null || response.etag.weak || parts !== null) return false
  const coding = fieldValue(response.fields, 'content-encoding')?.trim().toLowerCase() ?? 'identity'
  const accepted = fieldValue(fields, 'accept-encoding') ?? ''
  if (coding !== 'identity' && !accepts(accepted, coding)) return false
  // RFC 9842 6: who has another dictionary, or none, cannot read it.
  if ((coding === 'dcb' || coding === 'dcz') && response.selecting.some(({ name, raw }) => name === 'available-dictionary' && raw !== fieldValue(fields, name))) return false
  if (!response.selecting.some(({ name }) => name === 'accept-encoding')) return true
  const preferred = preferredChoices(accepted)
  return preferred.length === 0 ? coding === 'identity' : preferred.includes(coding)
}

const nothingStored = { action: 'forward', key: '', control: null, stored: null, validating: [], conditional: null, completion: null, flightKey: null, mayLead: false } as const

/** The answer that an entry makes for a request, which may use it. */
export function hitWith (request: CacheRequest, entry: StoredEntry, now: number, range: RangeAnswer | null): Omit<CacheHit, 'outcome'> {
  const notModified = isAnsweredByNotModified(request, entry.response, now)
  return { action: 'hit', entry, age: Math.floor(currentAge(entry.response, now)), notModified, range: notModified ? null : range, revalidate: null }
}

/** Preconditions are evaluated against a stored 200 only (4.3.2). */
export function isAnsweredByNotModified ({ fields }: CacheRequest, response: StoredResponse, now: number): boolean {
  return response.statusCode === 200 && isNotModified(fields, response, now)
}

export function forwarded (request: CacheRequest, fwd: ForwardReason, detail: ReasonWord | null): CacheOutcome {
  return { ...nothingForwarded, ...keyOf(request), hit: false, fwd, ttl: null, detail }
}

function keyOf (request: CacheRequest, key?: string): { readonly key?: string } {
  return request.showKey ? { key: key ?? primaryKey(request) } : {}
}

function unsatisfiable (request: CacheRequest): CacheUnsatisfiable {
  return { action: 'unsatisfiable', outcome: { ...nothingForwarded, ...keyOf(request), hit: false, ttl: null, detail: 'only-if-cached' } }
}

/** `Pragma: no-cache` counts only where there is no `Cache-Control` (RFC 9111 5.4). */
function requestControl (fields: FieldMap): CacheControl {
  if (fields['cache-control'] !== undefined) return parseCacheControl(fields)
  if (fields['pragma'] !== undefined) return { ...absentControl, noCache: parseCacheControl(fields, 'pragma').noCache !== false }
  return absentControl
}
