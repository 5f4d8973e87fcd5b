/** A part put together with what is stored of the same representation, and stored fields with those of a later message. */
import { strongMatch, weakMatch } from '../http/entity-tag.ts'
import { createHead, createPartialEntry, withHead, type EntryHead, type EntryPlace } from './entry.ts'
import { freshnessLifetime } from './freshness.ts'
import type { CacheRequest } from './lookup.ts'
import { addSegment, heldBytes } from './parts.ts'
import type { ReceivedResponse } from './recording.ts'
import { responseControl } from './response-control.ts'
import { mayBeShared } from './storing.ts'
import type { Segment, StoredEntry } from './store.ts'
import { updatedFields } from './validation.ts'
import { varyNames } from './vary.ts'

export function headRules (request: CacheRequest) {
  const { rules } = request
  return { varyMode: rules.vary, stripSetCookie: rules.setCookie === 'strip', consumed: rules.consumeTargetedFields ? rules.targetedFields.map(name => name.toLowerCase()) : [] }
}

/** Gaps in one content: with more, what is here is let go of, since each piece costs more than its bytes. */
const maxSegments = 64

interface AddedPart {
  readonly place: EntryPlace
  readonly head: EntryHead
  readonly request: CacheRequest
  readonly response: ReceivedResponse
  readonly maxBytes: number
  readonly added: Segment
  readonly totalBytes: number
}

/**
 * A part put together with what is here of the same representation, by its strong validator, its fields being those that
 * were stored as updated by its own (3.4). Null where it would take the place of a whole that it may be a part of.
 */
export function combined ({ place, head, request, response, maxBytes, added, totalBytes }: AddedPart, before: StoredEntry | null): StoredEntry | null {
  const alone = (): StoredEntry => createPartialEntry(place, head, { totalBytes, segments: [added] })
  if (before === null) return alone()
  const { etag } = head.response
  const same = etag !== null && before.response.etag !== null && strongMatch(etag, before.response.etag)
  if (!same) return before.parts === null && mayBePartOf(before, head, totalBytes) ? null : alone()

  const updated = updatedHead(before, request, response)
  if (!updated.mayStay || totalBytes !== (before.parts?.totalBytes ?? before.bodyBytes)) return alone()
  const together = (response.tags ?? null) === null ? { ...place, tags: before.tags } : place
  if (before.parts === null) return withHead(before, together, updated)
  const parts = addSegment(before.parts, added)
  return parts.segments.length > maxSegments || heldBytes(parts) > maxBytes ? alone() : createPartialEntry(together, updated, parts)
}

/** Nothing says that it is not: the same length, and no validator that differs. */
function mayBePartOf (whole: StoredEntry, { response: { etag, lastModifiedAt } }: EntryHead, totalBytes: number): boolean {
  const { response } = whole
  return response.statusCode === 200 && whole.bodyBytes === totalBytes &&
    (etag === null || response.etag === null || weakMatch(etag, response.etag)) && (etag !== null || lastModifiedAt === response.lastModifiedAt)
}

export interface UpdatedHead extends EntryHead {
  /** False where the update says that the response must not be stored any more. */
  readonly mayStay: boolean
  /** False where the update is for the user alone who asked (3.5): then what is stored stays as it is. */
  readonly isShareable: boolean
}

/**
 * A stored response with the fields of a later message about the same representation (3.2, 4.3.4, 4.3.5).
 * @param request that the message answered, by whose fields the result is selected
 */
export function updatedHead (stored: StoredEntry, request: CacheRequest, response: ReceivedResponse): UpdatedHead {
  const fields = updatedFields(stored.response.fields, response.fields, request.rules.setCookie === 'store')
  const { control, source } = responseControl(fields, request.rules.targetedFields)
  const { statusCode } = stored.response
  const lifetime = freshnessLifetime({ statusCode, fields, control, targeted: source !== 'cache-control', rules: request.rules, receivedAt: response.receivedAt })
  // The field itself may be one that is not stored (5.2.2.4, 5.2.2.7); what it said still holds.
  const vary = fields['vary'] === undefined ? stored.response.selecting.map(({ name }) => name) : varyNames(fields)
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
  return { ...head, isShareable: mayBeShared(request.fields, request, control), mayStay: vary !== '*' && response.tags !== 'too-many' && (!control.noStore || control.mustUnderstand) && (control.private !== true || request.personal) && !control.malformed }
}
