/** Answers to range requests from what is stored, and how to get what is missing (RFC 9110 14, RFC 9111 3.3). */
import { randomBytes } from 'node:crypto'
import { fieldValue, noFields, type FieldMap } from '../http/fields.ts'
import { formatContentRange, ifRangeHolds, parseRange, resolveRanges, type ByteRange } from '../http/range.ts'
import type { CacheRequest } from './lookup.ts'
import { PackedEntry } from './packed-entry.ts'
import { missingRange, sliceParts } from './parts.ts'
import type { StoredEntry } from './store.ts'
import type { StoredResponse } from './stored-response.ts'

/** What is sent in place of the whole content: one part, several in one message, or nothing but the length (416). */
export interface RangeAnswer {
  readonly statusCode: 206 | 416
  readonly lines: readonly string[]
  /** Of a single part; null for several, and for none. */
  readonly contentRange: string | null
  /** Names of stored lines that `lines` take the place of, or that do not describe what is sent. */
  readonly replaces: ReadonlySet<string>
  readonly body: Buffer | string
}

const replacedByPart: ReadonlySet<string> = new Set(['content-length', 'content-range'])
const replacedByParts: ReadonlySet<string> = new Set(['content-length', 'content-range', 'content-type'])
/** A 416 is about this request: what describes the stored content, and what would let a cache keep it for others, is left out. */
const notOfError = /^(?:content-(?:length|range|type|encoding|language|location|disposition)|etag|last-modified|expires|pragma|set-cookie|cache-groups|(?:.*-)?cache-control|surrogate-control)$/

/**
 * The ranges a request asks for, out of a stored response; null when it asks for none that counts, so that the whole is
 * the answer; `missing` when not all of what it asks for is here.
 */
export function answerRange (request: Pick<CacheRequest, 'method' | 'fields'>, entry: StoredEntry, now: number): RangeAnswer | null | 'missing' {
  const { response } = entry
  const totalBytes = entry.parts === null ? entry.bodyBytes : entry.parts.totalBytes
  const ranges = rangesOf(request, response, totalBytes, now)
  if (ranges === null) return entry.parts === null ? null : 'missing'
  if (ranges.length === 0) return unsatisfied(entry.lines, totalBytes)

  const pieces: Array<Buffer | string> = []
  for (const range of ranges) {
    const piece = slice(entry, range)
    if (piece === null) return 'missing'
    pieces.push(piece)
  }
  if (ranges.length === 1) return onePart(ranges[0] as ByteRange, totalBytes, pieces[0] as Buffer | string)
  return severalParts(ranges, totalBytes, pieces, fieldValue(response.fields, 'content-type'))
}

/** The ranges in force; none when not one can be satisfied; null when `Range` does not count (RFC 9110 14.2, 13.2.2). */
function rangesOf ({ method, fields }: Pick<CacheRequest, 'method' | 'fields'>, response: StoredResponse, totalBytes: number, now: number): readonly ByteRange[] | null {
  const value = fieldValue(fields, 'range')
  // Of no bytes there is no part that `Content-Range` could name: the whole is the answer (14.2 allows it).
  if (value === undefined || method !== 'GET' || response.statusCode !== 200 || totalBytes === 0) return null
  const specs = parseRange(value)
  if (specs === null || !ifRangeHolds(fields['if-range'], response, now)) return null
  return resolveRanges(specs, totalBytes)
}

function slice (entry: StoredEntry, range: ByteRange): Buffer | string | null {
  if (entry.parts !== null) return sliceParts(entry.parts, range)
  if (entry instanceof PackedEntry) return entry.bodyBetween(range.start, range.end + 1)
  return typeof entry.body === 'string' ? entry.body.slice(range.start, range.end + 1) : entry.body.subarray(range.start, range.end + 1)
}

function onePart (range: ByteRange, totalBytes: number, body: Buffer | string): RangeAnswer {
  const contentRange = formatContentRange(range, totalBytes)
  return { statusCode: 206, lines: ['content-range', contentRange, 'content-length', String(body.length)], contentRange, replaces: replacedByPart, body }
}

/** RFC 9110 14.4, 15.5.17. */
function unsatisfied (lines: readonly string[], totalBytes: number): RangeAnswer {
  const replaces = new Set(lines.filter((name, place) => place % 2 === 0 && notOfError.test(name)))
  return { statusCode: 416, lines: ['content-range', `bytes */${totalBytes}`, 'content-length', '0'], contentRange: null, replaces, body: '' }
}

/**
 * A boundary that is in none of the pieces (RFC 2046 5.1.1). Nobody can foresee it: content made to have all that may come
 * up would be searched again and again.
 */
function boundaryFor (pieces: ReadonlyArray<Buffer | string>): string {
  for (;;) {
    const boundary = `holdfast-${randomBytes(12).toString('hex')}`
    if (!pieces.some(piece => piece.includes(boundary))) return boundary
  }
}

/** RFC 9110 14.6. */
function severalParts (ranges: readonly ByteRange[], totalBytes: number, pieces: ReadonlyArray<Buffer | string>, type: string | undefined): RangeAnswer {
  const boundary = boundaryFor(pieces)
  const typeLine = type === undefined ? '' : `Content-Type: ${type}\r\n`
  const chunks: Buffer[] = []
  for (const [place, range] of ranges.entries()) {
    chunks.push(Buffer.from(`${place === 0 ? '' : '\r\n'}--${boundary}\r\n${typeLine}Content-Range: ${formatContentRange(range, totalBytes)}\r\n\r\n`, 'latin1'))
    const piece = pieces[place] as Buffer | string
    chunks.push(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
  }
  chunks.push(Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'))
  const body = Buffer.concat(chunks)
  return { statusCode: 206, lines: ['content-type', `multipart/byteranges; boundary=${boundary}`, 'content-length', String(body.length)], contentRange: null, replaces: replacedByParts, body }
}

/** The rest of a content of which a part is stored. */
export interface Completion {
  readonly part: StoredEntry
  /** What the origin server is asked for. */
  readonly gap: ByteRange
  /** What the client wants; null for the whole. */
  readonly wanted: ByteRange | null
  /** `Range` and `If-Range` that ask for the gap. */
  readonly fields: FieldMap
}

/**
 * How to get the one stretch that is missing, if the stored part has a strong validator, without which pieces must not be
 * put together (RFC 9111 3.4), and the request is for the whole or for one range.
 */
export function planCompletion (request: CacheRequest, part: StoredEntry, now: number): Completion | null {
  const { response, parts } = part
  if (parts === null || response.etag === null || response.etag.weak) return null
  const ranges = rangesOf(request, response, parts.totalBytes, now)
  if (ranges !== null && ranges.length !== 1) return null
  const wanted = ranges?.[0] ?? null
  const gap = missingRange(parts, wanted ?? { start: 0, end: parts.totalBytes - 1 })
  if (gap === null) return null
  const fields = noFields()
  fields['range'] = `bytes=${gap.start}-${gap.end}`
  fields['if-range'] = response.etag.opaque
  return { part, gap, wanted, fields }
}
