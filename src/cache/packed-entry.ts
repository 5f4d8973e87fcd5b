/**
 * A stored response in as few bytes as it can be: one object, and one text that holds the field lines as they go over
 * the wire, with small content right behind them. What is seldom needed (the fields as a map, validators) is read from
 * that text when it is asked for; values that many responses have in common are shared. In a store the text is in memory
 * that is used again once the response has left (`text-arena.ts`); before, and after where somebody keeps the entry, V8 has it.
 *
 * The text is `name: value CRLF` for each line: first what a 304 also has, then what describes the content, its length
 * last, then an empty line and the content. So a 304 and a 206 are made by cutting.
 */
import { parseEntityTag, type EntityTag } from '../http/entity-tag.ts'
import { fieldsFromLines, type FieldMap } from '../http/fields.ts'
import { parseHttpDate } from '../http/date.ts'
import { Placed } from './eviction/place.ts'
import { flatText, linesLength, piecesLength, writePieces, type Pieces } from './flat-text.ts'
import { createInterner, sharedNumber } from './intern.ts'
import { heldBytes } from './parts.ts'
import type { StoredEntry } from './store.ts'
import { hasValidator, type StoredResponse } from './stored-response.ts'
import { tagOverheadBytes } from './tag-index.ts'
import { arenaBytes, mostTextBytes, workspace, type TextArena } from './text-arena.ts'

/** What many responses have in common, as one value that they share. */
type Kind = Pick<StoredEntry, 'scope'> & Pick<StoredResponse, 'statusCode' | 'control' | 'selecting' | 'override'>

/** What is decided on, as values. */
export type PackedState = Kind &
  Pick<StoredEntry, 'key' | 'uri' | 'groups' | 'tags' | 'moment' | 'parts'> &
  Pick<StoredResponse, 'receivedAt' | 'initialAge' | 'freshnessLifetime'> &
  { /** An entity tag, or an instant of its last change. */ readonly hasValidator: boolean }

/** Where the text has what. */
export interface PackedText {
  /** Head, and small content behind an empty line. */
  readonly text: string | Pieces
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

/** What small responses without tags and further keys do not have. */
interface Rare extends Pick<StoredEntry, 'uri' | 'groups' | 'tags' | 'parts'>, Pick<PackedText, 'hidden'> {
  /** Null also once it was released. */
  bytes: Buffer | null
  readonly bytesLength: number
  /** Nobody else has `bytes`, or ever had it. */
  isOwn: boolean
}

/** Up to this size content is kept as one-byte text behind its head and leaves in one write with it; above, a copy per hit would cost more. */
export const textBytes = 16 * 1024

/** Places of an entry in its policy: 54 bytes in typed arrays, which are a tenth larger than they need be, on average. */
export const policyBytes = 60

/**
 * What an entry costs beyond its bytes, measured with `npm run bench:memory`: the object 152, its key 20, its place
 * in the index (29 to 51 by `key-table.ts`, as full as it is) and in the policy.
 */
const entryOverheadBytes = 152 + 20 + 51 + policyBytes

/** A string's own, and what its last word has too much. */
const stringOverheadBytes = 20

/** What it costs to have any of what is rare: an object of eight fields, and lists. */
const rareOverheadBytes = 136

/** Beyond the bytes of each content or part of it: a Buffer, its memory's own bookkeeping, and where its pages begin and end. */
const bufferOverheadBytes = 400

/** Its parts are shared values already, told apart by their numbers; beside one that is too long to be shared it is not, either. */
const sharedKind = createInterner<Kind>(({ scope, statusCode, override, control, selecting }) => {
  const [directives, fields] = [sharedNumber(control), sharedNumber(selecting)]
  return directives === undefined || fields === undefined ? null : `${statusCode} ${directives} ${fields} ${override} ${scope}`
})
/** Those asked for lately, where the text that tells them apart need not be made: a power of two. */
const lately: Array<Kind | undefined> = Array.from({ length: 256 })

function kindOf ({ scope, statusCode, control, selecting, override }: Kind): Kind {
  const place = (sharedNumber(control) ?? 0) * 31 + (sharedNumber(selecting) ?? 0) * 7 + statusCode & lately.length - 1
  const known = lately[place]
  if (known !== undefined && known.control === control && known.selecting === selecting && known.statusCode === statusCode && known.scope === scope && known.override === override) return known
  const kind = sharedKind({ scope, statusCode, control, selecting, override })
  lately[place] = kind
  return kind
}

const [lent, validated] = [1, 2]

const none: readonly string[] = Object.freeze([])

export class PackedEntry extends Placed implements StoredEntry, StoredResponse {
  readonly key: string
  readonly moment: number
  hits = 0
  readonly commonLength: number
  readonly headLength: number
  /** What the text is, or where; null once it has left with nobody who may still read it. */
  private held: string | Pieces | TextArena | null
  /** Where it begins in an arena. */
  private chunk = -1
  readonly textLength: number
  /** Bits: somebody may keep it; it has a validator. */
  private flags: number
  private readonly kind: Kind
  private readonly rare: Rare | null
  // Numbers of more than 32 bits, and fractions, would each be an object of their own: instants and durations are whole seconds,
  // and their milliseconds are together in one number.
  private readonly receivedSeconds: number
  private readonly initialSeconds: number
  private lifetimeSeconds: number
  private milliseconds: number

  /** @param isOwn nobody else has the bytes */
  private constructor (state: PackedState, packed: PackedText, isOwn: boolean) {
    super()
    const { key, uri, groups, tags, parts } = state
    const { hidden, bytes } = packed
    this.key = key
    this.held = packed.text
    this.textLength = typeof packed.text === 'string' ? packed.text.length : piecesLength(packed.text)
    this.moment = state.moment
    this.commonLength = packed.commonLength
    this.headLength = packed.headLength
    this.flags = state.hasValidator ? validated : 0
    this.kind = kindOf(state)
    this.rare = uri === key && groups.length === 0 && tags.length === 0 && parts === null && hidden === '' && bytes === null
      ? null
      : { uri: uri === key ? key : uri, groups, tags, parts, hidden, bytes, bytesLength: bytes?.length ?? 0, isOwn: isOwn && bytes?.length === bytes?.buffer.byteLength }
    const [received, initial, lifetime] = [Math.round(state.receivedAt), toMilliseconds(state.initialAge), toMilliseconds(state.freshnessLifetime)]
    this.receivedSeconds = wholeSeconds(received)
    this.initialSeconds = wholeSeconds(initial)
    this.lifetimeSeconds = wholeSeconds(lifetime)
    this.milliseconds = fraction(received) | fraction(initial) << initialBits | fraction(lifetime) << lifetimeBits
  }

  /**
   * @param content in full; null beside `parts`
   * @param isOwn nobody else has the content: its memory is freed with the entry (see `release`)
   */
  static pack (state: PackedState, lines: PackedLines, content: Buffer | string | null, isOwn: boolean): PackedEntry {
    const { commonLines, contentLines, hiddenLines } = lines
    const commonLength = linesLength(commonLines)
    const bytes = typeof content !== 'string' && content !== null && content.length > textBytes ? content : null
    return new PackedEntry(state, {
      commonLength,
      headLength: commonLength + linesLength(contentLines),
      hidden: hiddenLines.length === 0 ? '' : flatText({ lines: hiddenLines, content: null }),
      bytes,
      text: { lines: [...commonLines, ...contentLines], content: bytes === null ? content : null }
    }, isOwn)
  }

  /** Puts an entry together again from what `state`, `text` and the contents were. */
  static restore (saved: Omit<PackedState, 'hasValidator'> & PackedText): PackedEntry {
    const entry = new PackedEntry({ ...saved, hasValidator: false }, saved, true)
    if (hasValidator(entry)) entry.flags |= validated
    return entry
  }

  /** Everything but text and contents, to be saved. */
  state () {
    const { key, uri, scope, groups, tags, statusCode, control, selecting, receivedAt, initialAge, freshnessLifetime, override, commonLength, headLength, hidden, sizeBytes } = this
    return { key, uri, scope, groups, tags, statusCode, control, selecting, receivedAt, initialAge, freshnessLifetime, override, commonLength, headLength, hidden, sizeBytes }
  }

  get scope () { return this.kind.scope }
  get statusCode () { return this.kind.statusCode }
  get control () { return this.kind.control }
  get selecting () { return this.kind.selecting }
  get override () { return this.kind.override }

  get uri () { return this.rare === null ? this.key : this.rare.uri }
  get groups () { return this.rare === null ? none : this.rare.groups }
  get tags () { return this.rare === null ? none : this.rare.tags }
  get parts () { return this.rare === null ? null : this.rare.parts }
  private get hidden () { return this.rare === null ? '' : this.rare.hidden }

  get receivedAt (): number { return (this.receivedSeconds + shift) * 1000 + (this.milliseconds & fractionMask) }
  get initialAge (): number { return this.initialSeconds + shift + (this.milliseconds >> initialBits & fractionMask) / 1000 }
  get freshnessLifetime (): number { return this.lifetimeSeconds + shift + (this.milliseconds >> lifetimeBits) / 1000 }

  /** Rounded down: who makes it end now must not find it fresh. */
  set freshnessLifetime (seconds: number) {
    const lifetime = Math.floor(seconds * 1000)
    this.lifetimeSeconds = wholeSeconds(lifetime)
    this.milliseconds = this.milliseconds & (1 << lifetimeBits) - 1 | fraction(lifetime) << lifetimeBits
  }

  get sizeBytes (): number {
    const { key, textLength, rare, selecting } = this
    let bytes = entryOverheadBytes + key.length + (textLength <= mostTextBytes ? arenaBytes(textLength) : textLength + stringOverheadBytes)
    // Of clients, who may write much into them.
    for (const { raw = '', value = '' } of selecting) bytes += raw.length + (value === raw ? 0 : value.length)
    return rare === null ? bytes : bytes + rareBytes(rare, key)
  }

  get text (): string { return this.textUpTo(this.textLength) }

  /** The beginning of the text. Throws when it was released. */
  textUpTo (length: number): string {
    const { held, chunk } = this
    if (chunk !== -1) return (held as TextArena).read(chunk, length)
    if (held === null) throw gone()
    if (typeof held !== 'string') this.held = flatText(held as Pieces)
    return (this.held as string).slice(0, length)
  }

  get head (): string { return this.textUpTo(this.headLength) }

  /** Copies the text to where a word begins, and up to three bytes more; false, and nothing is copied, where it is no text of a store. */
  copyText (words: Int32Array, at: number): boolean {
    const { held } = this
    if (this.chunk === -1) return false
    ;(held as TextArena).copy(this.chunk, this.textLength, words, at)
    return true
  }

  /** Has what a hit reads brought near. */
  touch (): number { return this.chunk === -1 ? 0 : (this.held as TextArena).touch(this.chunk) }

  /** Puts the text into the memory of a store, which has to call `release` once the entry has left it. */
  keepIn (arena: TextArena): void {
    const { held } = this
    if (this.textLength > mostTextBytes) {
      // Its lines, each a text, take more than it has as one.
      if (held !== null && typeof held === 'object') this.held = this.text
      return
    }
    if (held !== null && typeof held === 'object' && this.chunk === -1) writePieces(held as Pieces, workspace)
    else workspace.write(this.text, 'latin1')
    this.chunk = arena.keep(this.textLength)
    this.held = arena
  }

  /** Moves what stands in memory that is to be given back. */
  moveIn (arena: TextArena): void {
    if (this.held === arena) this.chunk = arena.moved(this.chunk)
  }

  /** Head and response are one object: two would cost more than some contents. */
  get response (): StoredResponse { return this }

  get body (): Buffer | string {
    return this.bytesApart ?? (this.parts === null ? this.text.slice(this.headLength + 2) : '')
  }

  /** Of a content that is complete the octets from `start` to before `end`, without reading all of it. */
  bodyBetween (start: number, end: number): Buffer | string {
    const { bytesApart, chunk } = this
    if (bytesApart !== null) return bytesApart.subarray(start, end)
    const begin = this.headLength + 2
    if (chunk !== -1) return (this.held as TextArena).slice(chunk, begin + start, begin + end)
    return this.text.slice(begin + start, begin + end)
  }

  get bodyBytes (): number {
    const { rare } = this
    if (rare !== null && rare.bytesLength > 0) return rare.bytesLength
    return this.parts === null ? this.textLength - this.headLength - 2 : 0
  }

  /** The content where it is not in `text`. Throws when it was released. */
  get bytesApart (): Buffer | null {
    const { rare } = this
    if (rare === null || rare.bytesLength === 0) return null
    rare.isOwn = false
    if (rare.bytes === null) throw gone()
    return rare.bytes
  }

  /** The content is not in `text`. */
  get isApart (): boolean { return this.rare !== null && this.rare.bytesLength > 0 }

  get isReleased (): boolean { return this.held === null || (this.isApart && this.rare?.bytes === null) }

  /** Somebody keeps the entry for longer than this turn of the event loop: what it has stays for as long. */
  lend (): void {
    this.flags |= lent
    if (this.rare !== null) this.rare.isOwn = false
  }

  /**
   * For an entry that leaves the store. Frees its text, of which somebody who keeps the entry gets a copy, and large content,
   * unless it was ever handed out: a socket may still read it. V8 collects such memory only when another 64 MB of it have come
   * up, which is much beside a small store.
   * @returns bytes that are free now
   */
  release (): number {
    return this.#releaseText() + this.#releaseBytes()
  }

  #releaseText (): number {
    const { held, chunk, textLength } = this
    const isLent = (this.flags & lent) !== 0
    if (chunk === -1) return 0
    this.held = isLent ? this.text : null
    this.chunk = -1
    ;(held as TextArena).free(chunk)
    return isLent ? 0 : arenaBytes(textLength)
  }

  #releaseBytes (): number {
    const { rare } = this
    if (rare === null || !rare.isOwn || rare.bytes === null) return 0
    ;(rare.bytes.buffer as ArrayBuffer).transfer(0)
    rare.bytes = null
    return rare.bytesLength
  }

  /** Known without reading the text. */
  get hasValidator (): boolean { return (this.flags & validated) !== 0 }

  get lines (): readonly string[] { return parseLines(this.head) }

  get notModifiedLines (): readonly string[] { return parseLines(this.textUpTo(this.commonLength)) }

  get fields (): FieldMap {
    const lines = parseLines(this.head)
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
    const { head } = this
    let value: string | undefined
    for (let at = head.startsWith(`${name}: `) ? 0 : next(head, name, 0); at !== -1; at = next(head, name, at)) {
      const start = at + name.length + 2
      const line = head.slice(start, head.indexOf('\r\n', start))
      value = value === undefined ? line : `${value}, ${line}`
    }
    return value
  }
}

function gone (): Error {
  return new Error('The content of a response that has left the store is asked for')
}

/** Where in `milliseconds` the initial age and the lifetime have theirs, behind those of the receipt. */
const initialBits = 10
const lifetimeBits = 20
const fractionMask = 1023

/** What is less than 2^32 (of instants, until 2106) is of 32 bits with a sign then, which V8 keeps in place; more is right, too. */
const shift = 2 ** 31

function toMilliseconds (seconds: number): number {
  return Math.round(seconds * 1000)
}

function wholeSeconds (milliseconds: number): number {
  return Math.floor(milliseconds / 1000) - shift
}

function fraction (milliseconds: number): number {
  return milliseconds - Math.floor(milliseconds / 1000) * 1000
}

function rareBytes ({ uri, groups, tags, hidden, bytesLength, parts }: Rare, key: string): number {
  let sum = rareOverheadBytes + hidden.length + (uri === key ? 0 : uri.length)
  for (const group of groups) sum += group.length + tagOverheadBytes
  for (const tag of tags) sum += tag.length + tagOverheadBytes
  if (bytesLength > 0) sum += bytesLength + bufferOverheadBytes
  return parts === null ? sum : sum + heldBytes(parts) + parts.segments.length * bufferOverheadBytes
}

/** Where the next line of this name begins, or -1. */
function next (text: string, name: string, from: number): number {
  const at = text.indexOf(`\r\n${name}: `, from)
  return at === -1 ? -1 : at + 2
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
