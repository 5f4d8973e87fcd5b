/** Decides on storing a response whose head has come, and records its content while it streams (RFC 9111 section 3). */
import { absentControl } from '../http/cache-control.ts'
import { strongMatch } from '../http/entity-tag.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { createBodyRecorder, type RecordingEnd } from './body-recorder.ts'
import { isSuperseded, type CacheContext } from './context.ts'
import { createEntry, createHead, createPartialEntry, withHead, type EntryHead, type EntryPlace } from './entry.ts'
import { freshnessLifetime } from './freshness.ts'
import { groupKey, groupsOf } from './groups.ts'
import { uriKey } from './key.ts'
import type { CacheForward, CacheRequest } from './lookup.ts'
import { addSegment } from './parts.ts'
import { responseControl } from './response-control.ts'
import { searchVariance } from './search-variance.ts'
import type { CacheOutcome } from './status.ts'
import { decideStoring } from './storing.ts'
import type { StoredEntry, StoredParts } from './store.ts'
import { updatedFields } from './validation.ts'
import type { Tags } from './tags.ts'
import { selects, varyNames } from './vary.ts'

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

export type RecordingFailure = RecordingEnd | 'superseded' | 'store-failed'

/** A response on its way into the store. */
export interface Recording {
  /** What others that wait for the same response may be answered with; null for a part. */
  readonly head: SharedHead | null
  /** Bytes that will come, if the origin server says. */
  readonly expectedBytes: number | undefined
  /** Copies a piece and gives back the copy, or the piece itself when it is not recorded any more. */
  write (chunk: Buffer): Buffer
  isRunning (): boolean
  /** Stores the response if its content is whole; null, or why it was not stored. */
  complete (): RecordingFailure | null
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
  const decision = decideStoring({ ...request, ...response, requestFields: request.fields, requestControl: lookup.control ?? absentControl, ranged: request.fields['range'] !== undefined || lookup.completion !== null, control, targeted })
  if (!decision.store) {
    forget(context, lookup, statusCode)
    // That a POST is not stored is no news.
    return { recording: null, outcome: request.method === 'POST' ? outcome : { ...outcome, detail: decision.reason } }
  }

  const { tags = null } = response
  if (tags === 'too-many') {
    forget(context, lookup, statusCode)
    return { recording: null, outcome: { ...outcome, detail: 'too-many-tags' } }
  }

  const length = fieldValue(fields, 'content-length')
  const announcedBytes = length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined
  const expectedBytes = decision.range === null ? announcedBytes : decision.range.end - decision.range.start + 1
  if (expectedBytes !== undefined && expectedBytes > maxBytes) return { recording: null, outcome: { ...outcome, detail: 'too-large' } }

  const { lifetime, vary, range } = decision
  // The request itself has just invalidated what was stored; what happens from now on counts.
  const moment = request.method === 'POST' ? context.removals.moment() : lookup.moment
  const place = placeOf(request, lookup.key, moment, fields, tags ?? [])
  const head = createHead({
    ...response,
    ...headRules(request),
    statusCode: range === null ? statusCode : 200,
    control,
    vary,
    requestFields: request.fields,
    freshnessLifetime: lifetime.seconds,
    override: lifetime.override
  })
  const recorder = createBodyRecorder(maxBytes, context.budget, expectedBytes)
  return {
    recording: {
      head: range === null && request.method === 'GET' ? { ...head, place } : null,
      expectedBytes,
      write: recorder.write,
      isRunning: recorder.isRunning,
      abandon: recorder.abandon,
      complete () {
        const body = recorder.finish()
        if (typeof body === 'string') return body
        if (isSuperseded(context, place)) return 'superseded'
        return context.safely<RecordingFailure | null>('store-failed', () => {
          const before = replaced(context, place.key, request, vary)
          const entry = range === null ? createEntry(place, head, body) : combined(place, head, before, { start: range.start, bytes: body }, range.totalBytes)
          if (!context.store.put(entry, before)) return 'no-room'
          noteSearch(context, request, entry)
          return null
        })
      }
    },
    // The detail says why it went forward, unless something remarkable decided how long it is fresh.
    outcome: { ...outcome, stored: true, ttl: Math.floor(lifetime.seconds - head.response.initialAge), detail: lifetime.override ?? outcome.detail }
  }
}

/** 4.3.3 and section 4: what the origin server no longer wants stored under this key must not be used again. */
function forget (context: CacheContext, { request, stored }: CacheForward, statusCode: number): void {
  if (stored === null || request.method !== 'GET' || statusCode >= 500) return
  context.safely(undefined, () => { context.store.remove(stored) })
}

export function headRules (request: CacheRequest) {
  const { rules } = request
  return { varyMode: rules.vary, stripSetCookie: rules.setCookie === 'strip', consumed: rules.consumeTargetedFields ? rules.targetedFields.map(name => name.toLowerCase()) : [] }
}

function placeOf (request: CacheRequest, key: string, moment: number, fields: FieldMap, tags: readonly string[]): EntryPlace {
  const groups = groupsOf(fields, 'cache-groups').map(group => groupKey(request.scheme, request.authority, group))
  return { key, uri: request.extra === '' ? key : uriKey(request), scope: request.scope, groups, tags, moment }
}

function noteSearch (context: CacheContext, request: CacheRequest, entry: StoredEntry): void {
  if (!request.rules.noVarySearch) return
  const variance = searchVariance(entry.response.fields)
  if (variance !== null) context.searches.note(request, entry.key, variance)
}

/** The stored response that a new one for the same request takes the place of. */
function replaced (context: CacheContext, key: string, { fields, rules }: CacheRequest, vary: readonly string[]): StoredEntry | null {
  return context.store.variants(key).find(({ response: { selecting } }) => {
    return selecting.length === vary.length && vary.every((name, i) => selecting[i]?.name === name) && selects(fields, selecting, rules.vary)
  }) ?? null
}

/** A part put together with what is here of the same representation, by its strong validator (3.4). */
function combined (place: EntryPlace, head: EntryHead, before: StoredEntry | null, added: { start: number, bytes: Buffer }, totalBytes: number): StoredEntry {
  const { etag } = head.response
  const same = before !== null && etag !== null && before.response.etag !== null && strongMatch(etag, before.response.etag)
  if (same && before.parts === null && before.body.length === totalBytes) return withHead(before, place, head)
  const present: StoredParts = same && before.parts?.totalBytes === totalBytes ? before.parts : { totalBytes, segments: [] }
  return createPartialEntry(place, head, addSegment(present, added))
}

/**
 * A stored response with the fields of a later message about the same representation (3.2, 4.3.4, 4.3.5).
 * @param requestFields of the request that the message answered, by which the result is selected
 */
export function updatedHead (stored: StoredEntry, request: CacheRequest, response: ReceivedResponse): EntryHead & { readonly mayStay: boolean } {
  const fields = updatedFields(stored.response.fields, response.fields, request.rules.setCookie === 'store')
  const { control, source } = responseControl(fields, request.rules.targetedFields)
  const { statusCode } = stored.response
  const lifetime = freshnessLifetime({ statusCode, fields, control, targeted: source !== 'cache-control', rules: request.rules, receivedAt: response.receivedAt })
  const vary = varyNames(fields)
  const head = createHead({
    ...response,
    ...headRules(request),
    statusCode,
    fields: response.fields['age'] === undefined ? fields : { ...fields, age: response.fields['age'] },
    control,
    vary: vary === '*' ? [] : vary,
    requestFields: request.fields,
    freshnessLifetime: lifetime.seconds,
    override: lifetime.override
  })
  return { ...head, mayStay: vary !== '*' && response.tags !== 'too-many' && (!control.noStore || control.mustUnderstand) && control.private !== true && !control.malformed }
}
