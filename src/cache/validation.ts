/** Validation of stored responses (RFC 9111 section 4.3). */
import { parseEntityTag, strongMatch, weakMatch } from '../http/entity-tag.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { StoredResponse } from './stored-response.ts'

/** Request fields that the cache replaces when it validates on its own account. */
export const conditionalNames = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'if-range'] as const

/** Fields that ask the origin server whether the stored response still holds; null when it has no validator (4.3.1). */
export function conditionalFields (stored: StoredResponse): FieldMap | null {
  const fields: MutableFieldMap = Object.create(null)
  const etag = fieldValue(stored.fields, 'etag')
  if (etag !== undefined && stored.etag !== null) fields['if-none-match'] = etag
  const lastModified = stored.fields['last-modified']
  if (typeof lastModified === 'string' && stored.lastModifiedAt !== null) fields['if-modified-since'] = lastModified
  return fields['if-none-match'] === undefined && fields['if-modified-since'] === undefined ? null : fields
}

/** Fields that say how the stored content is framed and coded: a 304, which has none, does not change them (3.2). */
const fixed: ReadonlySet<string> = new Set(['content-length', 'content-encoding', 'content-range', 'transfer-encoding'])

/** The fields of a stored response after a 304: those of the 304 replace the stored ones of the same name (3.2). */
export function freshenedFields (stored: FieldMap, received: FieldMap): FieldMap {
  const fields: MutableFieldMap = Object.assign(Object.create(null), stored)
  // An age belongs to one response (5.1): the stored one ends with the validation.
  delete fields['age']
  for (const name of Object.keys(received)) {
    if (fixed.has(name)) continue
    // A cookie of the 304 is for the client that asked. Only where the rules let one be stored may it become part of
    // what everybody gets (7.3); where they do not, the stored response has none.
    if (name === 'set-cookie' && stored[name] === undefined) continue
    fields[name] = received[name] as string | string[]
  }
  return fields
}

/**
 * Whether a 304 that answers the validation of one stored response is about it (4.3.4): an entity tag has to be the same,
 * by strong comparison when the 304 has a strong one; without any the date of the last change has to be. A 304 without
 * validators can only be about the response whose validators were sent.
 */
export function confirms (stored: StoredResponse, received: FieldMap): boolean {
  const etag = parseEntityTag(fieldValue(received, 'etag'))
  if (etag !== null && stored.etag !== null) return etag.weak ? weakMatch(etag, stored.etag) : strongMatch(etag, stored.etag)
  const lastModified = fieldValue(received, 'last-modified')
  if (lastModified !== undefined && stored.lastModifiedAt !== null) return lastModified === fieldValue(stored.fields, 'last-modified')
  return etag === null
}
