/** Validation of stored responses (RFC 9111 section 4.3). */
import { parseEntityTag, strongMatch, weakMatch } from '../http/entity-tag.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { StoredEntry } from './store.ts'
import type { StoredResponse } from './stored-response.ts'

/**
 * Fields that ask the origin server whether one of the stored responses still holds; null when none has a validator (4.3.1).
 * @param ranged the request is for a part, for which no date is sent
 */
export function conditionalFields (stored: readonly StoredEntry[], ranged: boolean): FieldMap | null {
  const fields: MutableFieldMap = Object.create(null)
  const tags = stored.map(({ response }) => response.etag === null ? null : fieldValue(response.fields, 'etag')).filter(tag => tag !== undefined && tag !== null)
  if (tags.length > 0) fields['if-none-match'] = [...new Set(tags)].join(', ')
  const [only] = stored
  const lastModified = only?.response.fields['last-modified']
  if (stored.length === 1 && !ranged && typeof lastModified === 'string' && only?.response.lastModifiedAt !== null) fields['if-modified-since'] = lastModified
  return fields['if-none-match'] === undefined && fields['if-modified-since'] === undefined ? null : fields
}

/** Fields that say how the stored content is framed and coded: a 304, which has none, does not change them (3.2). */
const fixed: ReadonlySet<string> = new Set(['content-length', 'content-encoding', 'content-range', 'transfer-encoding'])

/**
 * The fields of a stored response after an update: those received replace the stored ones of the same name (3.2).
 * @param keepsCookies a cookie of the update may become part of what everybody gets (7.3)
 */
export function updatedFields (stored: FieldMap, received: FieldMap, keepsCookies: boolean): FieldMap {
  const fields: MutableFieldMap = Object.assign(Object.create(null), stored)
  // An age belongs to one response (5.1): the stored one ends with the validation.
  delete fields['age']
  for (const name of Object.keys(received)) {
    if (fixed.has(name)) continue
    // Else it is for the client that asked, and the stored response has none.
    if (name === 'set-cookie' && !keepsCookies && stored[name] === undefined) continue
    fields[name] = received[name] as string | string[]
  }
  return fields
}

/**
 * The stored responses that a 304 is about (4.3.4): those with its strong validator; else the most recent one with its weak
 * validator, be it an entity tag or a date; one without any validator can only be about the only one asked for.
 */
export function confirmed (asked: readonly StoredEntry[], received: FieldMap): readonly StoredEntry[] {
  const etag = parseEntityTag(fieldValue(received, 'etag'))
  if (etag !== null) {
    const tagged = asked.filter(({ response }) => response.etag !== null && (etag.weak ? weakMatch(etag, response.etag) : strongMatch(etag, response.etag)))
    if (tagged.length > 0) return etag.weak ? [mostRecent(tagged)] : tagged
    // A tag may come up that the stored response did not have yet: then the date decides.
    if (asked.some(({ response }) => response.etag !== null)) return []
  }
  const lastModified = fieldValue(received, 'last-modified')
  if (lastModified !== undefined && asked.some(({ response }) => response.lastModifiedAt !== null)) {
    const dated = asked.filter(({ response }) => fieldValue(response.fields, 'last-modified') === lastModified)
    return dated.length > 0 ? [mostRecent(dated)] : []
  }
  return asked.length === 1 && (etag === null || asked[0]?.response.lastModifiedAt !== null) ? asked : []
}

function mostRecent (entries: readonly StoredEntry[]): StoredEntry {
  return entries.reduce((best, entry) => entry.response.dateAt > best.response.dateAt ? entry : best)
}

/**
 * Whether a 200 to HEAD is about the same representation as a stored response to GET (4.3.5): every validator that it has
 * is the same, and so is the length if it says one.
 */
export function matchesHead (stored: StoredResponse, contentBytes: number, received: FieldMap): boolean {
  for (const name of ['etag', 'last-modified']) {
    const value = fieldValue(received, name)
    if (value !== undefined && value !== fieldValue(stored.fields, name)) return false
  }
  const length = fieldValue(received, 'content-length')
  return length === undefined || Number(length) === contentBytes
}
