/** Byte ranges: what is asked for, what is sent, and when a range may be used at all (RFC 9110 section 14). */
import { parseHttpDate } from './date.ts'
import { parseEntityTag, strongMatch } from './entity-tag.ts'
import type { FieldMap } from './fields.ts'
import type { Validators } from './preconditions.ts'

/** Both positions inclusive, as on the wire. */
export interface ByteRange { readonly start: number, readonly end: number }

/** `first-last`, `first-`, or the last `suffix` bytes. */
export type RangeSpec = { readonly first: number, readonly last: number | null } | { readonly suffix: number }

/** More ranges than this in one request are an attack on whoever has to assemble them (RFC 9110 14.2, 17.15). */
const maxRanges = 16

/** The ranges of a `Range` field in bytes; null for another unit, bad syntax, or too many: then the field is ignored (14.2). */
export function parseRange (value: string): readonly RangeSpec[] | null {
  const equals = value.indexOf('=')
  if (equals === -1 || value.slice(0, equals).trim().toLowerCase() !== 'bytes') return null
  const members = value.slice(equals + 1).split(',')
  if (members.length > maxRanges * 2) return null
  const specs: RangeSpec[] = []
  for (const member of members) {
    const text = member.trim()
    if (text === '') continue
    const match = /^(\d*)-(\d*)$/.exec(text)
    if (match === null || text === '-') return null
    const [, first = '', last = ''] = match
    if (first === '') specs.push({ suffix: Number(last) })
    else if (last === '') specs.push({ first: Number(first), last: null })
    else if (Number(last) < Number(first)) return null
    else specs.push({ first: Number(first), last: Number(last) })
  }
  return specs.length === 0 || specs.length > maxRanges ? null : specs
}

/** The part of a content of `totalBytes` that one range means; null when there is none (14.1.2). */
export function resolveRange (spec: RangeSpec, totalBytes: number): ByteRange | null {
  if ('suffix' in spec) return spec.suffix === 0 || totalBytes === 0 ? null : { start: Math.max(0, totalBytes - spec.suffix), end: totalBytes - 1 }
  if (spec.first >= totalBytes) return null
  return { start: spec.first, end: Math.min(spec.last ?? totalBytes - 1, totalBytes - 1) }
}

/** The satisfiable ranges in the order asked for, those that overlap made one (14.2 and 15.3.7.2 allow both). */
export function resolveRanges (specs: readonly RangeSpec[], totalBytes: number): readonly ByteRange[] {
  const ranges: ByteRange[] = []
  for (const spec of specs) {
    let range = resolveRange(spec, totalBytes)
    if (range === null) continue
    for (let i = 0; i < ranges.length;) {
      const other = ranges[i] as ByteRange
      if (other.start <= range.end + 1 && range.start <= other.end + 1) {
        range = { start: Math.min(other.start, range.start), end: Math.max(other.end, range.end) }
        ranges.splice(i, 1)
        i = 0
      } else {
        i++
      }
    }
    ranges.push(range)
  }
  return ranges
}

export interface ContentRange extends ByteRange {
  /** Length of the whole content; null where the sender does not know it. */
  readonly totalBytes: number | null
}

/** `bytes first-last/total`; null for anything else, `bytes * /total` included (14.4). */
export function parseContentRange (value: FieldMap[string]): ContentRange | null {
  if (typeof value !== 'string') return null
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(value.trim())
  if (match === null) return null
  const [start, end, totalBytes] = [Number(match[1]), Number(match[2]), match[3] === '*' ? null : Number(match[3])]
  // 14.4: invalid when the last position is before the first, or not before the complete length.
  if (end < start || (totalBytes !== null && end >= totalBytes)) return null
  return { start, end, totalBytes }
}

export function formatContentRange ({ start, end }: ByteRange, totalBytes: number): string {
  return `bytes ${start}-${end}/${totalBytes}`
}

/**
 * Whether `If-Range` lets the range be used (13.1.5): a strong entity tag that is the same, or a date that is exactly
 * `Last-Modified` and strong enough, that is at least a second before `Date` (8.8.2.2).
 */
export function ifRangeHolds (value: FieldMap[string], stored: Validators & { readonly fields: FieldMap }, now: number): boolean {
  if (value === undefined) return true
  if (typeof value !== 'string') return false
  const tag = parseEntityTag(value)
  if (tag !== null) return stored.etag !== null && strongMatch(tag, stored.etag)
  const at = parseHttpDate(value, now)
  return at !== null && stored.lastModifiedAt === at && value.trim() === stored.fields['last-modified'] && stored.dateAt - at >= 1000
}
