/**
 * A stored response in as few bytes as it can be: one object, and one string that holds the field lines as they go over
 * the wire, with small content right behind them. What is seldom needed (the fields as a map, validators) is read from
 * that string when it is asked for; values that many responses have in common are shared.
 *
 * The string is `name: value CRLF` for each line: first what a 304 also has, then what describes the content, its length
 * last, then an empty line and the content. So a 304 and a 206 are made by cutting.
 */
import type { CacheControl } from '../http/cache-control.ts'
import { parseEntityTag, type EntityTag } from '../http/entity-tag.ts'
import { fieldsFromLines, type FieldMap } from '../http/fields.ts'
import { parseHttpDate } from '../http/date.ts'
import type { ReasonWord } from './reasons.ts'
import type { StoredEntry, StoredParts } from './store.ts'
import type { StoredResponse } from './stored-response.ts'
import type { SelectingField } from './vary.ts'

/** What is decided on, as values. */
export interface PackedState {
  readonly key: string
  readonly uri: string
  readonly scope: string
  readonly groups: readonly string[]
  readonly tags: readonly string[]
  readonly moment: number
  readonly statusCode: number
  readonly control: CacheControl
  readonly selecting: readonly SelectingField[]
  readonly receivedAt: number
  readonly initialAge: number
  readonly freshnessLifetime: number
  readonly override: ReasonWord | null
  readonly parts: StoredParts | null
  readonly sizeBytes: number
}

/** Where the text has what. */
export interface PackedText {
  /** Head, and small content behind an empty line. */
  readonly text: string
  /** Where the lines end that a 304 has as well, and where all end. */
  readonly commonLength: number
  readonly headLength: number
  /** Lines that clients do not get; empty for almost all. */
  readonly hidden: string
  /** Content that is too large to be text; null when it is in `text`, or in `parts`. */
  readonly bytes: Buffer | null
}

export interface PackedLines {
  /** Lines `[name, value, ...]` that a 304 has as well, and those that it has not. */
  readonly commonLines: readonly string[]
  readonly contentLines: readonly string[]
  /** Lines kept for later decisions that clients do not get. */
  readonly hiddenLines: readonly string[]
}

/** Up to this size content is kept as one-byte text behind its head and leaves in one write with it; above, a copy per hit would cost more. */
export const textBytes = 16 * 1024

export class PackedEntry implements StoredEntry, StoredResponse {
  readonly key: string
  readonly uri: string
  readonly scope: string
  readonly groups: readonly string[]
  readonly tags: readonly string[]
  readonly moment: number
  readonly statusCode: number
  readonly control: CacheControl
  readonly selecting: readonly SelectingField[]
  readonly receivedAt: number
  readonly initialAge: number
  readonly freshnessLifetime: number
  readonly override: ReasonWord | null
  readonly parts: StoredParts | null
  readonly sizeBytes: number
  hits = 0
  readonly text: string
  readonly commonLength: number
  readonly headLength: number
  private readonly hidden: string
  private readonly bytes: Buffer | null

  private constructor (state: PackedState, text: PackedText) {
    this.key = state.key
    this.uri = state.uri
    this.scope = state.scope
    this.groups = state.groups
    this.tags = state.tags
    this.moment = state.moment
    this.statusCode = state.statusCode
    this.control = state.control
    this.selecting = state.selecting
    this.receivedAt = state.receivedAt
    this.initialAge = state.initialAge
    this.freshnessLifetime = state.freshnessLifetime
    this.override = state.override
    this.parts = state.parts
    this.sizeBytes = state.sizeBytes
    this.text = text.text
    this.commonLength = text.commonLength
    this.headLength = text.headLength
    this.hidden = text.hidden
    this.bytes = text.bytes
  }

  /** @param content in full; null beside `parts` */
  static pack (state: PackedState, lines: PackedLines, content: Buffer | string | null): PackedEntry {
    const common = formatLines(lines.commonLines)
    const head = common + formatLines(lines.contentLines)
    const bytes = typeof content !== 'string' && content !== null && content.length > textBytes ? content : null
    return new PackedEntry(state, {
      commonLength: common.length,
      headLength: head.length,
      hidden: formatLines(lines.hiddenLines),
      bytes,
      text: bytes !== null || content === null ? flat(head) : flat(`${head}\r\n`, content)
    })
  }

  /** Puts an entry together again from what `state`, `text` and the contents were. */
  static restore (saved: PackedState & PackedText): PackedEntry {
    return new PackedEntry(saved, saved)
  }

  /** Everything but text and contents, to be saved. */
  state () {
    const { key, uri, scope, groups, tags, statusCode, control, selecting, receivedAt, initialAge, freshnessLifetime, override, commonLength, headLength, hidden, sizeBytes } = this
    return { key, uri, scope, groups, tags, statusCode, control, selecting, receivedAt, initialAge, freshnessLifetime, override, commonLength, headLength, hidden, sizeBytes }
  }

  /** Head and response are one object: two would cost more than some contents. */
  get response (): StoredResponse { return this }

  get body (): Buffer | string {
    if (this.bytes !== null) return this.bytes
    return this.parts === null ? this.text.slice(this.headLength + 2) : ''
  }

  get bodyBytes (): number {
    if (this.bytes !== null) return this.bytes.length
    return this.parts === null ? this.text.length - this.headLength - 2 : 0
  }

  /** The content where it is not in `text`. */
  get bytesApart (): Buffer | null { return this.bytes }

  get lines (): readonly string[] { return parseLines(this.text.slice(0, this.headLength)) }

  get notModifiedLines (): readonly string[] { return parseLines(this.text.slice(0, this.commonLength)) }

  get fields (): FieldMap {
    const lines = parseLines(this.text.slice(0, this.headLength))
    if (this.hidden !== '') lines.push(...parseLines(this.hidden))
    return fieldsFromLines(lines)
  }

  /** `Cache-Status` of caches nearer to the origin server; undefined for almost all. */
  get cacheStatus (): FieldMap[string] { return this.hidden === '' ? undefined : fieldsFromLines(parseLines(this.hidden))['cache-status'] }

  get etag (): EntityTag | null { return parseEntityTag(this.value('etag')) }

  get lastModifiedAt (): number | null {
    const value = this.value('last-modified')
    return value === undefined ? null : parseHttpDate(value, this.receivedAt)
  }

  get dateAt (): number {
    const value = this.value('date')
    return (value === undefined ? null : parseHttpDate(value, this.receivedAt)) ?? this.receivedAt
  }

  /** The value of a field that stands on one line; of several lines their combination, which is no single value. */
  private value (name: string): string | undefined {
    const { text, headLength } = this
    let value: string | undefined
    for (let at = text.startsWith(`${name}: `) ? 0 : next(text, name, 0); at !== -1 && at < headLength; at = next(text, name, at)) {
      const start = at + name.length + 2
      const line = text.slice(start, text.indexOf('\r\n', start))
      value = value === undefined ? line : `${value}, ${line}`
    }
    return value
  }
}

/** Where the next line of this name begins, or -1. */
function next (text: string, name: string, from: number): number {
  const at = text.indexOf(`\r\n${name}: `, from)
  return at === -1 ? -1 : at + 2
}

function formatLines (lines: readonly string[]): string {
  let text = ''
  for (let i = 0; i + 1 < lines.length; i += 2) text += `${lines[i]}: ${lines[i + 1]}\r\n`
  return text
}

function parseLines (text: string): string[] {
  const lines: string[] = []
  for (let at = 0; at < text.length;) {
    const colon = text.indexOf(': ', at)
    const end = text.indexOf('\r\n', colon)
    lines.push(text.slice(at, colon), text.slice(colon + 2, end))
    at = end + 2
  }
  return lines
}

/** One string without the pieces it was put together from, one byte for each of its characters. */
function flat (head: string, content: Buffer | string = ''): string {
  const joined = Buffer.allocUnsafe(head.length + content.length)
  joined.write(head, 0, 'latin1')
  if (typeof content === 'string') joined.write(content, head.length, 'latin1')
  else content.copy(joined, head.length)
  return joined.toString('latin1')
}
