/** Makes stored entries: all that a hit needs is worked out here, so that the hit itself only copies references. */
import { parseEntityTag } from '../http/entity-tag.ts'
import { formatHttpDate } from '../http/date.ts'
import { copyFields, fieldValue, type FieldMap } from '../http/fields.ts'
import type { CacheControl } from '../http/cache-control.ts'
import { linesOf } from '../forward/response-fields.ts'
import { dateOf, initialAge, lastModifiedOf } from './freshness.ts'
import { createInterner } from './intern.ts'
import { PackedEntry } from './packed-entry.ts'
import { wholeContent } from './parts.ts'
import type { ReasonWord } from './reasons.ts'
import type { StoredEntry, StoredParts } from './store.ts'
import { hasValidator, type StoredResponse } from './stored-response.ts'
import { presents, selectingFields, type SelectingField, type VaryMode } from './vary.ts'

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
  /** As sent, without `Content-Length`: lines that a 304 has as well, and those that describe content. */
  readonly commonLines: readonly string[]
  readonly contentLines: readonly string[]
  /** Lines that clients do not get. */
  readonly hiddenLines: readonly string[]
}

/** Equal values of many responses, made one. */
export const sharedControl = createInterner<CacheControl>(JSON.stringify)
export const sharedSelecting = createInterner<readonly SelectingField[]>(selecting => JSON.stringify(selecting.map(({ name, raw, value }) => [name, raw ?? null, value ?? null])))

/** By the names of a `Vary`, which are one list for all that say the same: what was selected by last, in which most are alike. */
const selectedLast = new WeakMap<readonly string[], { readonly mode: VaryMode, readonly selecting: readonly SelectingField[] }>()

function selectedBy ({ requestFields, vary, varyMode: mode }: HeadInput): readonly SelectingField[] {
  const last = selectedLast.get(vary)
  if (last !== undefined && last.mode === mode && presents(requestFields, last.selecting)) return last.selecting
  const selecting = sharedSelecting(selectingFields(requestFields, vary, mode))
  selectedLast.set(vary, { mode, selecting })
  return selecting
}

export function createHead (input: HeadInput): EntryHead {
  const { control, receivedAt } = input
  const fields = storableFields(input)
  const { commonLines, contentLines, hiddenLines } = headLines(fields, input.consumed)
  return {
    commonLines,
    contentLines,
    hiddenLines,
    response: {
      statusCode: input.statusCode,
      fields,
      control: sharedControl(control),
      selecting: selectedBy(input),
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

/**
 * An entry of the whole content.
 * @param isOwn nobody else has the content
 */
export function createEntry (place: EntryPlace, head: EntryHead, content: Buffer | string, isOwn = false): PackedEntry {
  return pack(place, head, content, null, isOwn)
}

/** An entry of what is here of the content; the same as `createEntry` where that is all of it. */
export function createPartialEntry (place: EntryPlace, head: EntryHead, parts: StoredParts): PackedEntry {
  const whole = wholeContent(parts)
  return whole === null ? pack(place, head, null, parts) : pack(place, { ...head, contentLines: withAcceptRanges(head.contentLines) }, whole, null)
}

/** A server that sent parts takes ranges; some say so only beside the whole (RFC 9110 14.3). */
export function withAcceptRanges (lines: readonly string[]): readonly string[] {
  return lines.includes('accept-ranges') ? lines : [...lines, 'accept-ranges', 'bytes']
}

/** The same content under another head. */
export function withHead (entry: StoredEntry, place: EntryPlace, head: EntryHead): PackedEntry {
  const renewed = entry.parts === null ? createEntry(place, head, entry.body) : createPartialEntry(place, head, entry.parts)
  renewed.hits = entry.hits
  return renewed
}

/** The head of an entry, to be changed in a few places. */
export function headOf ({ response, lines, notModifiedLines }: StoredEntry): EntryHead {
  const { statusCode, fields, control, selecting, etag, lastModifiedAt, dateAt, receivedAt, initialAge, freshnessLifetime, override } = response
  const kept = lines.at(-2) === 'content-length' ? lines.slice(0, -2) : lines
  return {
    response: { statusCode, fields, control, selecting, etag, lastModifiedAt, dateAt, receivedAt, initialAge, freshnessLifetime, override },
    commonLines: notModifiedLines,
    contentLines: kept.slice(notModifiedLines.length),
    hiddenLines: linesOf(fields).slice(lines.length)
  }
}

export function placeOfEntry ({ key, uri, scope, groups, tags }: StoredEntry, moment: number): EntryPlace {
  return { key, uri, scope, groups, tags, moment }
}

function pack ({ key, uri, scope, groups, tags, moment }: EntryPlace, { response, commonLines, contentLines, hiddenLines }: EntryHead, content: Buffer | string | null, parts: StoredParts | null, isOwn = false): PackedEntry {
  const { statusCode, control, selecting, receivedAt, initialAge, freshnessLifetime, override } = response
  // A stored response is complete, so its length is known also where it came chunked; a 204 must not say one (RFC 9110 8.6).
  const described = content === null || statusCode === 204 ? contentLines : [...contentLines, 'content-length', String(content.length)]
  const state = { hasValidator: hasValidator(response), key, uri, scope, groups, tags, moment, statusCode, control, selecting, receivedAt, initialAge, freshnessLifetime, override, parts }
  return PackedEntry.pack(state, { commonLines, contentLines: described, hiddenLines }, content, isOwn)
}

/** Fields as they are stored: without those limited to one user or to the first response, and with a date. */
function storableFields (input: HeadInput): FieldMap {
  const { noCache, private: limited } = input.control
  if (typeof noCache !== 'object' && typeof limited !== 'object' && !input.stripSetCookie && input.fields['date'] !== undefined) return input.fields
  const fields = copyFields(input.fields)
  // 5.2.2.4 and 5.2.2.7: named fields must not be used again unvalidated, or not be stored at all.
  for (const names of [noCache, limited]) {
    if (typeof names === 'object') for (const name of names) delete fields[name]
  }
  if (input.stripSetCookie) delete fields['set-cookie']
  // RFC 9110 6.6.1: a recipient with a clock gives a response without a date the time of receipt.
  if (fields['date'] === undefined) fields['date'] = formatHttpDate(input.receivedAt)
  return fields
}

/** Description of the content itself: left out of a 304, which has none (RFC 9110 15.4.5). */
const contentDescription: ReadonlySet<string> = new Set(['content-type', 'content-encoding', 'content-language', 'content-range', 'accept-ranges'])

function headLines (fields: FieldMap, consumed: readonly string[]): Omit<EntryHead, 'response'> {
  const commonLines: string[] = []
  const contentLines: string[] = []
  const hiddenLines: string[] = []
  for (const name of Object.keys(fields)) {
    // `Age` is made for each response; the length is that of what is sent.
    if (name === 'age' || name === 'content-length') continue
    // `Cache-Status` goes in front of our own member, in one line with it (RFC 9211 2).
    addLines(name === 'cache-status' || consumed.includes(name) ? hiddenLines : contentDescription.has(name) ? contentLines : commonLines, name, fields[name])
  }
  return { commonLines, contentLines, hiddenLines }
}

function addLines (lines: string[], name: string, value: FieldMap[string]): void {
  if (typeof value === 'string') lines.push(name, value)
  else if (value !== undefined) for (const one of value) lines.push(name, one)
}
