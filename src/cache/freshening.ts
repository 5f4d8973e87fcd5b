/** Stored responses brought up to date by a 304 or a response to HEAD, or used although stale because the upstream failed (RFC 9111 4.3, RFC 5861 4). */
import { linesOf } from '../forward/response-fields.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { updatedHead } from './combining.ts'
import { isStored, isSuperseded, type CacheContext } from './context.ts'
import { headOf, placeOfEntry, withHead, type EntryPlace } from './entry.ts'
import { forwarded, hitWith, type CacheForward, type CacheHit, type CacheRequest } from './lookup.ts'
import { answerRange } from './range-answer.ts'
import { groupKeys, type ReceivedResponse } from './recording.ts'
import { decideReuse, mayServeStaleOnError } from './reuse.ts'
import type { StoredEntry } from './store.ts'
import { confirmed, matchesHead } from './validation.ts'
import { selects, type SelectingField } from './vary.ts'

/**
 * Freshens the stored responses that a 304 is about (4.3.4) and uses the one the request gets by it. Null when the 304 is
 * about none of them: then the request has to be made again without our conditions.
 */
export function freshen (context: CacheContext, lookup: CacheForward, response: ReceivedResponse): CacheHit | null {
  const { fields } = response
  // 4.3.4: a 304 to conditions of the client alone may be about a stored response without validators.
  const asked = lookup.conditional === null && lookup.stored !== null ? [lookup.stored] : lookup.validating
  const identified = confirmed(asked, lookup.request.fields, fields, lookup.conditional !== null)
  const used = identified.includes(lookup.stored as StoredEntry) ? lookup.stored : identified[0]
  if (used === null || used === undefined) return null

  const { request, moment } = lookup
  let answer = used
  let kept = false
  for (const stored of identified) {
    const head = updatedHead(stored, request, response)
    const isSelected = stored === used && stored === lookup.stored
    // A response that this request did not select by its fields stays where it is, for those who do.
    const ownHead = isSelected ? head : { ...head, response: { ...head.response, selecting: stored.response.selecting } }
    // Groups are fields like others: those of the 304 replace the stored ones (RFC 9875 2, RFC 9111 3.2).
    const place = { ...placeAfter(stored, response, moment), groups: groupKeys(request, head.response.fields) }
    const own = withHead(stored, place, ownHead)
    // It may leave at once: the store has to make room for what the 304 adds, to it and to others.
    if (stored === used) own.lend()
    const superseded = isSuperseded(context, place) || isSuperseded(context, placeOfEntry(stored, moment))
    const keep = head.mayStay && !superseded
    // 5.2.1.5, 3.5: nothing of the answer to such a request stays, and what is stored is as it was.
    const passing = lookup.control?.noStore === true || !head.isShareable
    const put = context.safely(false, () => {
      if (keep && passing) return false
      // What took its place meanwhile is younger; what was taken out stays out, what a purge made stale stays stale.
      if (!isStored(context, stored) || (superseded && head.mayStay)) return false
      // Which values a field had that the 304 adds to `Vary` is not known of the request that stored it (4.1).
      if (keep && (isSelected || sameNames(head.response.selecting, stored.response.selecting))) return context.put(own, stored)
      context.store.remove(stored)
      return false
    })
    if (stored !== used) continue
    answer = own
    kept = put
    // And this request selects it from now on as well (4.3.1: the origin server named it).
    if (!isSelected && keep && !passing) {
      const selected = withHead(stored, place, head)
      selected.lend()
      kept = context.safely(false, () => context.put(selected, lookup.stored))
      answer = selected
    }
  }

  const { receivedAt } = response
  const decision = decideReuse(answer.response, null, request.rules, receivedAt)
  const range = answerRange(request, answer, receivedAt)
  if (range === 'missing') return null
  const hit = hitWith(request, withCookies(answer, request, fields), receivedAt, range)
  // A 304 with an age was made by another cache on the way.
  const age = fields['age'] === undefined ? null : hit.age
  return { ...hit, age, outcome: { ...lookup.outcome, fwdStatus: 304, stored: kept, ttl: decision.ttl, detail: 'validated' } }
}

function sameNames (a: readonly SelectingField[], b: readonly SelectingField[]): boolean {
  return a.length === b.length && a.every(({ name }, i) => name === b[i]?.name)
}

/** A cookie that the route does not store goes to the one whose request it answers (7.3). */
function withCookies (entry: StoredEntry, { rules }: CacheRequest, received: FieldMap): StoredEntry {
  const cookies = received['set-cookie']
  if (cookies === undefined || rules.setCookie !== 'bypass') return entry
  const head = headOf(entry)
  return withHead(entry, placeOfEntry(entry, entry.moment), { ...head, commonLines: [...head.commonLines, ...linesOf({ 'set-cookie': cookies })] })
}

/**
 * Lets a 200 to HEAD say what it says about each stored response to GET that it could have been answered with (4.3.5): that
 * it is up to date, or that it is not, after which it has to be validated.
 */
export function updateFromHead (context: CacheContext, { request, control, key, moment }: CacheForward, response: ReceivedResponse): void {
  if (request.method !== 'HEAD' || response.statusCode !== 200 || key === '' || control?.noStore === true) return
  context.safely(undefined, () => {
    for (const stored of [...context.store.variants(key)]) {
      // To update one may let others go.
      if (!isStored(context, stored)) continue
      // What was stored since the HEAD was sent is younger than what it says.
      if (stored.response.receivedAt > response.requestedAt || isSuperseded(context, placeAfter(stored, response, moment)) || isSuperseded(context, placeOfEntry(stored, moment))) continue
      // A soft purge says that the content is another one by now; without a validator a HEAD cannot say that it is the same.
      if (isSuperseded(context, placeOfEntry(stored, stored.moment)) && !hasValidator(response.fields)) continue
      if (selects(request.fields, stored.response.selecting, request.rules.vary)) updateOne(context, stored, request, response, moment)
    }
  })
}

function hasValidator (fields: FieldMap): boolean {
  return fieldValue(fields, 'etag') !== undefined || fieldValue(fields, 'last-modified') !== undefined
}

function updateOne (context: CacheContext, stored: StoredEntry, request: CacheRequest, response: ReceivedResponse, moment: number): void {
  const contentBytes = stored.parts === null ? stored.bodyBytes : stored.parts.totalBytes
  if (stored.response.statusCode !== 200 || !matchesHead(stored.response, contentBytes, response.fields)) {
    const head = headOf(stored)
    context.put(withHead(stored, placeOfEntry(stored, moment), { ...head, response: { ...head.response, freshnessLifetime: 0 } }), stored)
    return
  }
  const head = updatedHead(stored, request, response)
  if (!head.isShareable) return
  if (head.mayStay) context.put(withHead(stored, placeAfter(stored, response, moment), head), stored)
  else context.store.remove(stored)
}

/** Where a response belongs after an update: tags are said anew, or stay. */
function placeAfter (stored: StoredEntry, { tags }: ReceivedResponse, moment: number): EntryPlace {
  const place = placeOfEntry(stored, moment)
  return Array.isArray(tags) ? { ...place, tags } : place
}

/** The stored response to use although it is stale, because the upstream failed; null if there is none that may be. */
export function staleOnError (context: CacheContext, lookup: CacheForward, now: number, fwdStatus: number | null): CacheHit | null {
  const { stored, request } = lookup
  if (stored === null || !mayServeStaleOnError(stored.response, lookup.control, request.rules, now)) return null
  // Taken out, and not only made stale.
  if (isSuperseded(context, placeOfEntry(stored, lookup.moment)) && !context.safely(false, () => isStored(context, stored))) return null
  const range = answerRange(request, stored, now)
  if (range === 'missing') return null
  context.counts.stale++
  const { ttl } = decideReuse(stored.response, null, request.rules, now)
  const hit = hitWith(request, stored, now, range)
  const { fwd } = lookup.outcome
  return { ...hit, outcome: { ...forwarded(request, fwd ?? 'stale', 'stale-if-error'), fwdStatus, ttl } }
}
