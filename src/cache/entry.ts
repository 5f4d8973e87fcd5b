/** Makes stored entries: all that a hit needs is worked out here, so that the hit itself only copies references. */
import { parseEntityTag } from '../http/entity-tag.ts'
import { formatHttpDate } from '../http/date.ts'
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { CacheControl } from '../http/cache-control.ts'
import { dateOf, initialAge, lastModifiedOf } from './freshness.ts'
import { heldBytes, wholeContent } from './parts.ts'
import type { ReasonWord } from './reasons.ts'
import type { StoredEntry, StoredParts } from './store.ts'
import type { StoredResponse } from './stored-response.ts'
import { tagOverheadBytes } from './tag-index.ts'
import { selectingFields, type VaryMode } from './vary.ts'

/** Up to this size content is kept as one-byte text and leaves in one write with the head; above, a copy per hit would cost more. */
const textBytes = 16 * 1024

/** What an entry costs beyond its bytes: objects, index and recency list; measured with 1 KiB responses (see docs/caching.md). */
const overheadBytes = 900

/** Bytes per field line beyond its text: string headers and list slots. */
const lineOverheadBytes = 56

/** Where an entry belongs. */
export interface EntryPlace {
  readonly key: string
  readonly uri: string
  readonly scope: string
  readonly groups: readonly string[]
  readonly tags: readonly string[]
  readonly moment: number
}

export interface HeadInput {
  readonly statusCode: number
  /** End-to-end fields. */
  readonly fields: FieldMap
  readonly control: CacheControl
  readonly vary: readonly string[]
  readonly varyMode: VaryMode
  readonly requestFields: FieldMap
  /** Epoch milliseconds. */
  readonly requestedAt: number
  readonly receivedAt: number
  /** Seconds. */
  readonly freshnessLifetime: number
  readonly override: ReasonWord | null
  readonly stripSetCookie: boolean
  /** Fields that clients do not get, in lower case. */
  readonly consumed: readonly string[]
}

/** A response without its content, ready to be kept or passed on. */
export interface EntryHead {
  readonly response: StoredResponse
  /** As sent, without `Content-Length`. */
  readonly lines: readonly string[]
  readonly notModifiedLines: readonly string[]
}

export function createHead (input: HeadInput): EntryHead {
  const { control, receivedAt } = input
  const fields = storableFields(input)
  return {
    ...headLines(fields, input.consumed),
    response: {
      statusCode: input.statusCode,
      fields,
      control,
      selecting: selectingFields(input.requestFields, input.vary, input.varyMode),
      etag: parseEntityTag(fieldValue(fields, 'etag')),
      lastModifiedAt: lastModifiedOf(fields, receivedAt),
      dateAt: dateOf(fields, receivedAt),
      receivedAt,
      initialAge: initialAge(input.fields, input.requestedAt, receivedAt),
      freshnessLifetime: input.freshnessLifetime,
      override: input.override
    }
  }
}

/** An entry of the whole content. */
export function createEntry (place: EntryPlace, head: EntryHead, content: Buffer | string): StoredEntry {
  const contentBytes = content.length
  const body = typeof content !== 'string' && contentBytes <= textBytes ? content.toString('latin1') : content
  // A stored response is complete, so its length is known also where it came chunked; a 204 must not say one (RFC 9110 8.6).
  const lines = head.response.statusCode === 204 ? head.lines : [...head.lines, 'content-length', String(contentBytes)]
  return { ...placed(place, head), lines, body, parts: null, sizeBytes: sizeOf(place, lines, contentBytes) }
}

/** An entry of what is here of the content; the same as `createEntry` where that is all of it. */
export function createPartialEntry (place: EntryPlace, head: EntryHead, parts: StoredParts): StoredEntry {
  const whole = wholeContent(parts)
  if (whole !== null) return createEntry(place, head, whole)
  return { ...placed(place, head), lines: head.lines, body: '', parts, sizeBytes: sizeOf(place, head.lines, heldBytes(parts)) }
}

/** The same content under another head. */
export function withHead (entry: StoredEntry, place: EntryPlace, head: EntryHead): StoredEntry {
  const renewed = entry.parts === null ? createEntry(place, head, entry.body) : createPartialEntry(place, head, entry.parts)
  renewed.hits = entry.hits
  return renewed
}

function placed ({ key, uri, scope, groups, tags, moment }: EntryPlace, { response, notModifiedLines }: EntryHead) {
  return { key, uri, scope, groups, tags, moment, hits: 0, response, notModifiedLines }
}

function sizeOf (place: EntryPlace, lines: readonly string[], contentBytes: number): number {
  const keyBytes = place.key.length + (place.uri === place.key ? 0 : place.uri.length) + place.groups.reduce((bytes, group) => bytes + group.length, 0) + place.tags.reduce((bytes, tag) => bytes + tag.length + tagOverheadBytes, 0)
  return overheadBytes + contentBytes + keyBytes + lines.reduce((bytes, part) => bytes + part.length, 0) + lines.length / 2 * lineOverheadBytes
}

/** Fields as they are stored: without those limited to one user or to the first response, and with a date. */
function storableFields (input: HeadInput): FieldMap {
  const fields: MutableFieldMap = Object.assign(Object.create(null), input.fields)
  // 5.2.2.4 and 5.2.2.7: named fields must not be used again unvalidated, or not be stored at all.
  for (const names of [input.control.noCache, input.control.private]) {
    if (typeof names === 'object') for (const name of names) delete fields[name]
  }
  if (input.stripSetCookie) delete fields['set-cookie']
  // Of the transfer of one part, not of what is stored.
  delete fields['content-range']
  // RFC 9110 6.6.1: a recipient with a clock gives a response without a date the time of receipt.
  if (fields['date'] === undefined) fields['date'] = formatHttpDate(input.receivedAt)
  return fields
}

/** Description of the content itself: left out of a 304, which has none (RFC 9110 15.4.5). */
const contentDescription: ReadonlySet<string> = new Set(['content-type', 'content-encoding', 'content-language', 'accept-ranges'])

function headLines (fields: FieldMap, consumed: readonly string[]): Pick<EntryHead, 'lines' | 'notModifiedLines'> {
  const lines: string[] = []
  const notModifiedLines: string[] = []
  for (const name of Object.keys(fields)) {
    // `Age` is made for each response; the length is that of what is sent.
    if (name === 'age' || name === 'content-length' || consumed.includes(name)) continue
    addLines(lines, name, fields[name])
    if (!contentDescription.has(name)) addLines(notModifiedLines, name, fields[name])
  }
  return { lines, notModifiedLines }
}

function addLines (lines: string[], name: string, value: FieldMap[string]): void {
  if (typeof value === 'string') lines.push(name, value)
  else if (value !== undefined) for (const one of value) lines.push(name, one)
}
