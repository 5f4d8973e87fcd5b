/** Decides on storing a response whose head has come, and records its content while it streams (RFC 9111 section 3). */
import { absentControl } from '../http/cache-control.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import type { ContentRange } from '../http/range.ts'
import { BodyRecorder, type RecordingEnd } from './body-recorder.ts'
import { combined, headRules } from './combining.ts'
import { isSuperseded, type CacheContext } from './context.ts'
import { discardHidden } from './discarding.ts'
import { createEntry, createHead, placeOfEntry, type EntryHead, type EntryPlace } from './entry.ts'
import { groupKey, groupsOf } from './groups.ts'
import { uriKey } from './key.ts'
import type { CacheForward, CacheRequest } from './lookup.ts'
import { PackedEntry } from './packed-entry.ts'
import type { ReasonWord } from './reasons.ts'
import { responseControl } from './response-control.ts'
import { searchVariance } from './search-variance.ts'
import type { CacheOutcome } from './status.ts'
import { decideStoring } from './storing.ts'
import type { StoredEntry } from './store.ts'
import type { Tags } from './tags.ts'
import { selects } from './vary.ts'

/** A response that the upstream has begun. */
export interface ReceivedResponse {
  readonly statusCode: number
  /** End-to-end fields. */
  readonly fields: FieldMap
  /** Epoch milliseconds. */
  readonly requestedAt: number
  readonly receivedAt: number
  /** `Content-Location` names the target URI. */
  readonly locatesTarget: boolean
  /** Read, and taken out of `fields`, by the cache. */
  readonly tags?: Tags
}

/** A head, and where its response belongs. */
export interface SharedHead extends EntryHead { readonly place: EntryPlace }

export type RecordingFailure = RecordingEnd | 'superseded' | 'store-failed' | 'partial'

/** A response on its way into the store. */
export interface Recording {
  /** What others that wait for the same response may be answered with; null for a part. */
  readonly head: SharedHead | null
  /** Bytes that will come, if the origin server says. */
  readonly expectedBytes: number | undefined
  /** Copies a piece and gives back the copy, or the piece itself when it is not recorded any more. */
  write (chunk: Buffer): Buffer
  isRunning (): boolean
  /** False once it was invalidated, by its URI or a group, after it was asked for: then it is not stored, and not given to who asks now. */
  isCurrent (): boolean
  /**
   * Stores the response if its content is whole; null, or why it was not stored.
   * @param isRead somebody still reads what `write` gave back, which stays then; else it may be gone, since the store frees what it lets go of
   */
  complete (isRead?: boolean): RecordingFailure | null
  /** The whole content, which stays as long as it is used from now on; null before, when it was not stored, and when it has left the store already. */
  stored (): Buffer | null
  abandon (): void
}

/** @returns the recording, or null with the reason why there is none in the outcome */
export function record (context: CacheContext, lookup: CacheForward, response: ReceivedResponse, maxBytes: number): { recording: Recording | null, outcome: CacheOutcome } {
  const { request } = lookup
  const { fields, statusCode } = response
  const outcome: CacheOutcome = { ...lookup.outcome, fwdStatus: statusCode }
  if (!request.enabled || lookup.key === '') return { recording: null, outcome }

  const { control, source } = responseControl(fields, request.rules.targetedFields)
  const targeted = source !== 'cache-control'
  // Written out: there is one for each response.
  const decision = decideStoring({
    method: request.method,
    requestFields: request.fields,
    requestControl: lookup.control ?? absentControl,
    authenticated: request.authenticated,
    common: request.common,
    personal: request.personal,
    hasContent: request.hasContent,
    ranged: request.fields['range'] !== undefined || lookup.completion !== null,
    statusCode,
    fields,
    control,
    targeted,
    locatesTarget: response.locatesTarget,
    rules: request.rules,
    receivedAt: response.receivedAt
  })
  if (!decision.store) {
    if (statusCode < 500 && !aboutRequestAlone.has(decision.reason)) forget(context, lookup)
    // That a POST is not stored is no news.
    return { recording: null, outcome: request.method === 'POST' ? outcome : { ...outcome, detail: decision.reason } }
  }

  const { tags = null } = response
  if (tags === 'too-many') {
    if (statusCode < 500) forget(context, lookup)
    return { recording: null, outcome: { ...outcome, detail: 'too-many-tags' } }
  }

  const length = fieldValue(fields, 'content-length')
  const announcedBytes = length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined
  const expectedBytes = decision.range === null ? announcedBytes : decision.range.end - decision.range.start + 1
  if (expectedBytes !== undefined && expectedBytes > maxBytes) {
    if (statusCode < 500) forget(context, lookup)
    return { recording: null, outcome: { ...outcome, detail: 'too-large' } }
  }

  const { lifetime, vary, range } = decision
  // The request itself has just invalidated what was stored; what happens from now on counts.
  const moment = request.method === 'POST' ? context.removals.moment() : lookup.moment
  const place = placeOf(request, lookup.key, moment, fields, tags ?? [])
  const { varyMode, stripSetCookie, consumed } = headRules(request)
  const head = createHead({
    // 3.3: a part is stored as an incomplete whole, and where it belongs is known.
    statusCode: range === null ? statusCode : 200,
    fields: range === null ? fields : without(fields, 'content-range'),
    requestedAt: response.requestedAt,
    receivedAt: response.receivedAt,
    varyMode,
    stripSetCookie,
    consumed,
    control,
    vary,
    requestFields: request.fields,
    freshnessLifetime: lifetime.seconds,
    override: lifetime.override
  })
  return {
    recording: new RunningRecording(context, lookup, response, maxBytes, { place, head, vary, range, expectedBytes }),
    // The detail says why it went forward, unless something remarkable decided how long it is fresh.
    outcome: { ...outcome, stored: true, ttl: Math.floor(lifetime.seconds - head.response.initialAge), detail: lifetime.override ?? outcome.detail }
  }
}

/** What was decided when the head came. */
interface Recorded {
  readonly place: EntryPlace
  readonly head: EntryHead
  readonly vary: readonly string[]
  readonly range: ContentRange & { readonly totalBytes: number } | null
  readonly expectedBytes: number | undefined
}

/** A class, because there is one for each response that is stored: its methods are made once. */
class RunningRecording implements Recording {
  readonly #context: CacheContext
  readonly #lookup: CacheForward
  readonly #response: ReceivedResponse
  readonly #maxBytes: number
  readonly #recorded: Recorded
  readonly #recorder: BodyRecorder
  readonly head: SharedHead | null
  #stored: PackedEntry | null = null
  #body: Buffer | null = null

  constructor (context: CacheContext, lookup: CacheForward, response: ReceivedResponse, maxBytes: number, recorded: Recorded) {
    const { place, head, range } = recorded
    this.#context = context
    this.#lookup = lookup
    this.#response = response
    this.#maxBytes = maxBytes
    this.#recorded = recorded
    this.#recorder = new BodyRecorder(maxBytes, context.budget, recorded.expectedBytes, range !== null)
    const { response: stored, commonLines, contentLines, hiddenLines } = head
    this.head = range === null && lookup.request.method === 'GET' ? { response: stored, commonLines, contentLines, hiddenLines, place } : null
  }

  get expectedBytes (): number | undefined { return this.#recorded.expectedBytes }

  write (chunk: Buffer): Buffer { return this.#recorder.write(chunk) }
  isRunning (): boolean { return this.#recorder.isRunning() }
  abandon (): void { this.#recorder.abandon() }

  isCurrent (): boolean { return !isSuperseded(this.#context, this.#recorded.place) }

  stored (): Buffer | null {
    const entry = this.#stored
    if (entry === null || !entry.isApart) return this.#body
    return entry.isReleased ? null : entry.bytesApart
  }

  complete (isRead = false): RecordingFailure | null {
    const body = this.#recorder.finish()
    if (body === 'too-large' && this.#response.statusCode < 500) forget(this.#context, this.#lookup)
    if (typeof body === 'string') return body
    if (!this.isCurrent()) return 'superseded'
    return this.#context.safely<RecordingFailure | null>('store-failed', () => this.#put(body, isRead))
  }

  #put (body: Buffer, isRead: boolean): RecordingFailure | null {
    const context = this.#context
    const response = this.#response
    const { request } = this.#lookup
    const { place, head, vary, range } = this.#recorded
    const before = completed(context, this.#lookup) ?? replaced(context, place.key, request, vary)
    // What it would be put together with was purged by a tag that it does not say again.
    if (range !== null && before !== null && isSuperseded(context, placeOfEntry(before, place.moment))) return 'superseded'
    const entry = range === null
      ? createEntry(place, head, body, !isRead)
      : combined({ place, head, request, response, maxBytes: this.#maxBytes, added: { start: range.start, bytes: body }, totalBytes: range.totalBytes }, before)
    if (entry === null) return 'partial'
    if (!context.put(entry, before, response.receivedAt - response.requestedAt)) return 'no-room'
    noteSearch(context, request, entry.key, range === null ? head.response.fields : entry.response.fields)
    discardHidden(context, entry, request.rules.vary)
    if (range === null && entry instanceof PackedEntry) {
      this.#stored = entry
      this.#body = body
    }
    return null
  }
}

function without (fields: FieldMap, name: string): FieldMap {
  const { [name]: _removed, ...kept } = fields
  return kept
}

/** Reasons that lie in the request, or in a status that is about it: they say nothing of what is stored. */
const aboutRequestAlone: ReadonlySet<ReasonWord> = new Set(['request-no-store', 'request-content', 'authorization', 'partial', 'status'])

/** 4.3.3 and section 4: what a response takes the place of that cannot be stored itself must not be used again. */
function forget (context: CacheContext, { request, stored }: CacheForward): void {
  if (stored === null || request.method !== 'GET') return
  context.safely(undefined, () => { context.store.remove(stored) })
}

function placeOf (request: CacheRequest, key: string, moment: number, fields: FieldMap, tags: readonly string[]): EntryPlace {
  return { key, uri: request.extra === '' ? key : uriKey(request), scope: request.scope, groups: groupKeys(request, fields), tags, moment }
}

/** Keys of the groups that a response is in (RFC 9875 2.1). */
export function groupKeys ({ scheme, authority }: Pick<CacheRequest, 'scheme' | 'authority'>, fields: FieldMap): readonly string[] {
  return groupsOf(fields, 'cache-groups').map(group => groupKey(scheme, authority, group))
}

function noteSearch (context: CacheContext, request: CacheRequest, key: string, fields: FieldMap): void {
  if (!request.rules.noVarySearch) return
  const variance = searchVariance(fields)
  if (variance !== null) context.searches.note(request, key, variance)
}

/** The stored response that a new one for the same request takes the place of. */
function replaced (context: CacheContext, key: string, { fields, rules }: CacheRequest, vary: readonly string[]): StoredEntry | null {
  const variants = context.store.variants(key)
  if (variants.length === 0) return null
  return variants.find(({ response: { selecting } }) => {
    return selecting.length === vary.length && vary.every((name, i) => selecting[i]?.name === name) && selects(fields, selecting, rules.vary)
  }) ?? null
}

/** The part that this response completes, if it is still there. */
function completed (context: CacheContext, { completion }: CacheForward): StoredEntry | null {
  if (completion === null) return null
  return context.store.variants(completion.part.key).includes(completion.part) ? completion.part : null
}
