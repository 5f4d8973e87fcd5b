/** Validation of stored responses (RFC 9111 section 4.3). */
import { parseEntityTag, parseEntityTagList, strongMatch, weakMatch, type EntityTag } from '../http/entity-tag.ts'
import { copyFields, fieldValue, noFields, type FieldMap } from '../http/fields.ts'
import type { StoredEntry } from './store.ts'
import { hasValidator, type StoredResponse } from './stored-response.ts'

/** Entity tags of a client that are sent along; with more it asks for a list that no origin server would read. */
const maxClientTags = 32

/**
 * Fields that ask the origin server whether one of the stored responses still holds; null when none has a validator (4.3.1).
 * @param request whose own entity tags go along with those of the cache (4.3.2)
 * @param dated whether `Last-Modified` may be sent: not for a part, nor for a response that the request does not select,
 * since of two variants with one date an origin server that knows no entity tags would confirm the wrong one
 */
export function conditionalFields (stored: readonly StoredEntry[], request: FieldMap, dated: boolean): FieldMap | null {
  if (stored.length === 0) return null
  const fields = noFields()
  const tags = tagsOf(stored)
  if (tags.length > 0) fields['if-none-match'] = [...new Set([...tags, ...clientTags(request)].map(formatEntityTag))].join(', ')
  const [only] = stored
  const lastModified = only?.response.fields['last-modified']
  if (stored.length === 1 && dated && typeof lastModified === 'string' && only?.response.lastModifiedAt !== null) fields['if-modified-since'] = lastModified
  return fields['if-none-match'] === undefined && fields['if-modified-since'] === undefined ? null : fields
}

function tagsOf (stored: readonly StoredEntry[]): readonly EntityTag[] {
  return stored.map(({ response }) => response.etag).filter(tag => tag !== null)
}

/** The list in `If-None-Match`; `*` is about no response in particular. */
function clientTags (request: FieldMap): readonly EntityTag[] {
  const value = fieldValue(request, 'if-none-match')
  const tags = value === undefined ? '*' : parseEntityTagList(value)
  return tags === '*' ? [] : tags.slice(0, maxClientTags)
}

function formatEntityTag ({ weak, opaque }: EntityTag): string {
  return weak ? `W/${opaque}` : opaque
}

/** Whether a 304 is about a response that the client has, by an entity tag that was sent along for it (4.3.2). */
export function confirmsClient (asked: FieldMap | null, request: FieldMap, received: FieldMap): boolean {
  const etag = parseEntityTag(fieldValue(received, 'etag'))
  return asked?.['if-none-match'] !== undefined && etag !== null && clientTags(request).some(tag => weakMatch(tag, etag))
}

/** Fields that say how the stored content is framed and coded: a 304, which has none, does not change them (3.2). */
const fixed: ReadonlySet<string> = new Set(['content-length', 'content-encoding', 'content-range', 'transfer-encoding'])

/**
 * The fields of a stored response after an update: those received replace the stored ones of the same name (3.2).
 * @param keepsCookies a cookie of the update may become part of what everybody gets (7.3)
 */
export function updatedFields (stored: FieldMap, received: FieldMap, keepsCookies: boolean): FieldMap {
  const fields = copyFields(stored)
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
 * @param request whose own entity tags were asked for as well
 * @param oursSent the validators of what is stored were sent; else the request had conditions of its own alone, and a 304 without
 * validator to these says nothing of a stored response that has one
 */
export function confirmed (asked: readonly StoredEntry[], request: FieldMap, received: FieldMap, oursSent = true): readonly StoredEntry[] {
  const etag = parseEntityTag(fieldValue(received, 'etag'))
  if (etag !== null) {
    const tagged = asked.filter(({ response }) => response.etag !== null && (etag.weak ? weakMatch(etag, response.etag) : strongMatch(etag, response.etag)))
    if (tagged.length > 0) return etag.weak ? [mostRecent(tagged)] : tagged
    // A tag may come up that the stored response did not have yet: then the date decides.
    if (asked.some(({ response }) => response.etag !== null)) return []
  }
  const lastModified = fieldValue(received, 'last-modified')
  if (lastModified !== undefined) {
    const dated = asked.filter(({ response }) => fieldValue(response.fields, 'last-modified') === lastModified)
    return dated.length > 0 ? [mostRecent(dated)] : []
  }
  const known = tagsOf(asked)
  const others = clientTags(request).some(tag => !known.some(ours => weakMatch(tag, ours)))
  return asked.length === 1 && etag === null && !others && (oursSent || !asked.some(({ response }) => hasValidator(response))) ? asked : []
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
