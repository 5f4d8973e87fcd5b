/** Makes stored entries: all that a hit needs is worked out here, so that the hit itself only copies references. */
import { parseEntityTag } from '../http/entity-tag.ts'
import { formatHttpDate } from '../http/date.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { CacheControl } from '../http/cache-control.ts'
import { dateOf, initialAge, lastModifiedOf } from './freshness.ts'
import { selectingValues } from './key.ts'
import type { StoredEntry } from './store.ts'

/** Up to this size content is kept as one-byte text and leaves in one write with the head; above, a copy per hit would cost more. */
const textBytes = 16 * 1024

/** What an entry costs beyond its bytes: objects, index and recency list; measured with 1 KiB responses (see docs/caching.md). */
const overheadBytes = 900

/** Bytes per field line beyond its text: string headers and list slots. */
const lineOverheadBytes = 56

export interface EntryInput {
  readonly key: string
  readonly scope: string
  readonly statusCode: number
  /** End-to-end fields. */
  readonly fields: FieldMap
  readonly control: CacheControl
  readonly vary: readonly string[]
  readonly requestFields: FieldMap
  /** Epoch milliseconds. */
  readonly requestedAt: number
  readonly receivedAt: number
  /** Seconds. */
  readonly freshnessLifetime: number
  readonly stripSetCookie: boolean
  readonly body: Buffer | string
}

export function createEntry (input: EntryInput): StoredEntry {
  const { control, receivedAt } = input
  const fields = storableFields(input)
  const contentBytes = input.body.length
  const body = typeof input.body !== 'string' && contentBytes <= textBytes ? input.body.toString('latin1') : input.body
  const lines = responseLines(fields, input.statusCode === 204 ? null : contentBytes)

  return {
    key: input.key,
    scope: input.scope,
    response: {
      statusCode: input.statusCode,
      fields,
      control,
      selecting: selectingValues(input.requestFields, input.vary),
      etag: parseEntityTag(fieldValue(fields, 'etag')),
      lastModifiedAt: lastModifiedOf(fields, receivedAt),
      dateAt: dateOf(fields, receivedAt),
      receivedAt,
      initialAge: initialAge(input.fields, input.requestedAt, receivedAt),
      freshnessLifetime: input.freshnessLifetime
    },
    lines,
    notModifiedLines: notModifiedLines(fields),
    body,
    sizeBytes: overheadBytes + contentBytes + input.key.length + lines.reduce((bytes, part) => bytes + part.length, 0) + lines.length / 2 * lineOverheadBytes
  }
}

/** Fields as they are stored: without those limited to one user or to the first response, and with a date. */
function storableFields (input: EntryInput): FieldMap {
  const fields: MutableFieldMap = Object.assign(Object.create(null), input.fields)
  // 5.2.2.4 and 5.2.2.7: named fields must not be used again unvalidated, or not be stored at all.
  for (const names of [input.control.noCache, input.control.private]) {
    if (typeof names === 'object') for (const name of names) delete fields[name]
  }
  if (input.stripSetCookie) delete fields['set-cookie']
  // RFC 9110 6.6.1: a recipient with a clock gives a response without a date the time of receipt.
  if (fields['date'] === undefined) fields['date'] = formatHttpDate(input.receivedAt)
  return fields
}

/** @param contentBytes null for a 204, which must not have the field (RFC 9110 8.6) */
function responseLines (fields: FieldMap, contentBytes: number | null): string[] {
  const lines: string[] = []
  for (const name of Object.keys(fields)) {
    // Made for each response, see `sendStored`.
    if (name === 'age' || name === 'content-length') continue
    addLines(lines, name, fields[name])
  }
  // A stored response is complete, so its length is known also where it came chunked.
  if (contentBytes !== null) lines.push('content-length', String(contentBytes))
  return lines
}

/** Description of the content itself: left out of a 304, which has none (RFC 9110 15.4.5). */
const contentDescription: ReadonlySet<string> = new Set(['age', 'content-length', 'content-type', 'content-encoding', 'content-language', 'content-range', 'accept-ranges'])

function notModifiedLines (fields: FieldMap): string[] {
  const lines: string[] = []
  for (const name of Object.keys(fields)) {
    if (!contentDescription.has(name)) addLines(lines, name, fields[name])
  }
  return lines
}

function addLines (lines: string[], name: string, value: FieldMap[string]): void {
  if (typeof value === 'string') lines.push(name, value)
  else if (value !== undefined) for (const one of value) lines.push(name, one)
}
