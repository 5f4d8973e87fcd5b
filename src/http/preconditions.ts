/** Preconditions of a request, as far as a cache may evaluate them (RFC 9110 section 13, RFC 9111 4.3.2). */
import { parseHttpDate } from './date.ts'
import { parseEntityTagList, weakMatch, type EntityTag } from './entity-tag.ts'
import { fieldValue, type FieldMap } from './fields.ts'

export interface Validators {
  readonly etag: EntityTag | null
  /** Epoch milliseconds of `Last-Modified`, or null. */
  readonly lastModifiedAt: number | null
  /** Epoch milliseconds of `Date`, used where there is no `Last-Modified` (RFC 9111 4.3.2). */
  readonly dateAt: number
}

/** `If-Match` and `If-Unmodified-Since` protect against lost updates: only the origin server can answer them. */
export function mustReachOrigin (request: FieldMap): boolean {
  return request['if-match'] !== undefined || request['if-unmodified-since'] !== undefined
}

/**
 * Whether a GET or HEAD that a stored 200 answers is to be answered 304 instead: `If-None-Match` by weak comparison, and
 * only in its absence `If-Modified-Since` (RFC 9110 13.2.2). An invalid date is ignored (13.1.3).
 */
export function isNotModified (request: FieldMap, stored: Validators, now: number): boolean {
  const noneMatch = fieldValue(request, 'if-none-match')
  if (noneMatch !== undefined) {
    const tags = parseEntityTagList(noneMatch)
    if (tags === '*') return true
    const { etag } = stored
    return etag !== null && tags.some(tag => weakMatch(tag, etag))
  }
  const since = request['if-modified-since']
  if (typeof since !== 'string') return false
  const sinceAt = parseHttpDate(since, now)
  return sinceAt !== null && (stored.lastModifiedAt ?? stored.dateAt) <= sinceAt
}
