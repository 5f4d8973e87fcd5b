/** A response put together from a stored part and the missing rest as it arrives (RFC 9111 3.4, RFC 9110 15.3.7.3). */
import { linesOf } from '../forward/response-fields.ts'
import { parseEntityTag, strongMatch } from '../http/entity-tag.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { formatContentRange, parseContentRange } from '../http/range.ts'
import { withAcceptRanges } from './entry.ts'
import { sliceParts } from './parts.ts'
import type { Completion } from './range-answer.ts'
import type { StoredParts } from './store.ts'
import { updatedFields } from './validation.ts'

export interface Composition {
  readonly statusCode: 200 | 206
  readonly lines: readonly string[]
  /** Stored bytes that come before and after those that arrive. */
  readonly before: Buffer
  readonly after: Buffer
  /** How many have to arrive. */
  readonly gapBytes: number
}

const nothing = Buffer.alloc(0)

/** Null when what came is not the gap asked for, of the same representation. */
export function composeCompletion ({ part, gap, wanted }: Completion, statusCode: number, fields: FieldMap): Composition | null {
  const parts = part.parts as StoredParts
  const range = parseContentRange(fields['content-range'])
  const etag = parseEntityTag(fieldValue(fields, 'etag'))
  if (statusCode !== 206 || range === null || range.start !== gap.start || range.end !== gap.end || range.totalBytes !== parts.totalBytes) return null
  // It says a length that is not that of the gap.
  const length = fieldValue(fields, 'content-length')
  if (length !== undefined && Number(length) !== gap.end - gap.start + 1) return null
  if (etag === null || part.response.etag === null || !strongMatch(etag, part.response.etag)) return null

  const { start, end } = wanted ?? { start: 0, end: parts.totalBytes - 1 }
  const before = start < gap.start ? sliceParts(parts, { start, end: gap.start - 1 }) : nothing
  const after = gap.end < end ? sliceParts(parts, { start: gap.end + 1, end }) : nothing
  if (before === null || after === null) return null

  const { 'content-range': _range, 'content-length': _length, 'cache-status': _status, ...rest } = updatedFields(part.response.fields, fields, true)
  const lines = wanted === null ? withAcceptRanges(linesOf(rest)) : [...linesOf(rest), 'content-range', formatContentRange(wanted, parts.totalBytes)]
  return { statusCode: wanted === null ? 200 : 206, lines: [...lines, 'content-length', String(end - start + 1)], before, after, gapBytes: gap.end - gap.start + 1 }
}
