/** Stored responses brought up to date by a 304 or a response to HEAD, or used although stale because the upstream failed (RFC 9111 4.3, RFC 5861 4). */
import { isStored, isSuperseded, type CacheContext } from './context.ts'
import { withHead, type EntryPlace } from './entry.ts'
import { forwarded, hitWith, type CacheForward, type CacheHit } from './lookup.ts'
import { answerRange } from './range-answer.ts'
import { updatedHead, type ReceivedResponse } from './recording.ts'
import { decideReuse, mayServeStaleOnError } from './reuse.ts'
import type { StoredEntry } from './store.ts'
import { confirmed, matchesHead } from './validation.ts'

/**
 * Freshens the stored responses that a 304 is about (4.3.4) and uses the one the request gets by it. Null when the 304 is
 * about none of them: then the request has to be made again without our conditions.
 */
export function freshen (context: CacheContext, lookup: CacheForward, response: ReceivedResponse): CacheHit | null {
  const identified = confirmed(lookup.validating, response.fields)
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
    const place = placeAfter(stored, response, moment)
    const own = withHead(stored, place, ownHead)
    const keep = head.mayStay && mayReplace(context, stored, place)
    const put = context.safely(false, () => {
      if (keep) return context.store.put(own, stored)
      // What was purged softly meanwhile stays, as stale as it is.
      if (!head.mayStay) context.store.remove(stored)
      return false
    })
    if (stored !== used) continue
    answer = own
    kept = put
    // And this request selects it from now on as well (4.3.1: the origin server named it).
    if (!isSelected && keep) {
      const selected = withHead(stored, place, head)
      kept = context.safely(false, () => context.store.put(selected, null))
      answer = selected
    }
  }

  const { receivedAt } = response
  const decision = decideReuse(answer.response, null, request.rules, receivedAt)
  const range = answerRange(request, answer, receivedAt)
  if (range === 'missing') return null
  const hit = hitWith(request, answer, receivedAt, range)
  return { ...hit, outcome: { ...lookup.outcome, fwdStatus: 304, stored: kept, ttl: decision.ttl, detail: 'validated' } }
}

/**
 * Lets a 200 to HEAD say what it says about the stored response to GET (4.3.5): that it is up to date, or that it is not,
 * after which it has to be validated.
 * @returns whether it changed anything
 */
export function updateFromHead (context: CacheContext, lookup: CacheForward, response: ReceivedResponse): boolean {
  const { stored, request } = lookup
  if (stored === null || request.method !== 'HEAD' || response.statusCode !== 200 || stored.response.statusCode !== 200) return false
  const contentBytes = stored.parts === null ? stored.body.length : stored.parts.totalBytes
  const place = placeAfter(stored, response, lookup.moment)
  if (!mayReplace(context, stored, place)) return false
  const same = matchesHead(stored.response, contentBytes, response.fields)
  const head = same ? updatedHead(stored, request, response) : { ...stored, lines: withoutLength(stored.lines), response: { ...stored.response, freshnessLifetime: 0 } }
  return context.safely(false, () => {
    if (same && !(head as ReturnType<typeof updatedHead>).mayStay) {
      context.store.remove(stored)
      return true
    }
    return context.store.put(withHead(stored, place, head), stored)
  })
}

/** Where a response belongs after an update. */
function placeAfter (stored: StoredEntry, { tags }: ReceivedResponse, moment: number): EntryPlace {
  return Array.isArray(tags) ? { ...stored, tags, moment } : { ...stored, moment }
}

/** A response that was purged while it was validated is not brought back, by its old tags or by new ones. */
function mayReplace (context: CacheContext, stored: StoredEntry, place: EntryPlace): boolean {
  return context.safely(false, () => isStored(context, stored)) && !isSuperseded(context, { ...stored, moment: place.moment }) && !isSuperseded(context, place)
}

function withoutLength (lines: readonly string[]): readonly string[] {
  const place = lines.indexOf('content-length')
  return place === -1 ? lines : [...lines.slice(0, place), ...lines.slice(place + 2)]
}

/** The stored response to use although it is stale, because the upstream failed; null if there is none that may be. */
export function staleOnError (context: CacheContext, lookup: CacheForward, now: number, fwdStatus: number | null): CacheHit | null {
  const { stored, request } = lookup
  if (stored === null || !mayServeStaleOnError(stored.response, lookup.control, request.rules, now)) return null
  // Purged, unless only made stale.
  if (isSuperseded(context, { ...stored, moment: lookup.moment }) && !context.safely(false, () => isStored(context, stored))) return null
  const range = answerRange(request, stored, now)
  if (range === 'missing') return null
  context.counts.stale++
  const { ttl } = decideReuse(stored.response, null, request.rules, now)
  const hit = hitWith(request, stored, now, range)
  const { fwd } = lookup.outcome
  return { ...hit, outcome: { ...forwarded(request, fwd ?? 'stale', 'stale-if-error'), fwdStatus, ttl } }
}
