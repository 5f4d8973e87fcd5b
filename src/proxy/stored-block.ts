/** A hit as it goes over the wire: stored lines cut out of what is kept, with the content behind them where it is small. */
import type { CacheHit } from '../cache/http-cache.ts'
import { PackedEntry } from '../cache/packed-entry.ts'

export interface StoredBlock {
  readonly statusCode: number
  /** Stored lines, each with its CRLF; with `content` right behind an empty line where `withContent`. */
  readonly stored: string
  /** Whose text `stored` is: it may be copied to where it is needed instead. Null where it was put together. */
  readonly from: PackedEntry | null
  /** Where the lines end in it. */
  readonly headLength: number
  readonly withContent: boolean
  /** Content apart from the head; null for none, or when it is in `stored`. */
  readonly bytes: Buffer | null
  /** Length of the content, which the access log asks Node for. */
  readonly contentBytes: number
}

/** Null where the lines have to be put together one by one: what a store of somebody else's keeps, several ranges, a 416. */
export function blockOf ({ entry, notModified, range }: Pick<CacheHit, 'entry' | 'notModified' | 'range'>): StoredBlock | null {
  if (!(entry instanceof PackedEntry)) return null
  if (notModified) return { statusCode: 304, stored: entry.textUpTo(entry.commonLength), from: null, headLength: entry.commonLength, withContent: false, bytes: null, contentBytes: 0 }
  if (range !== null) {
    if (range.contentRange === null) return null
    const kept = entry.textUpTo(lengthAt(entry))
    if (kept.includes('\r\ncontent-range: ')) return null
    const head = `${kept}content-range: ${range.contentRange}\r\ncontent-length: ${range.body.length}\r\n`
    const { body } = range
    return typeof body === 'string'
      ? { statusCode: 206, stored: `${head}\r\n${body}`, from: null, headLength: head.length, withContent: true, bytes: null, contentBytes: body.length }
      : { statusCode: 206, stored: head, from: null, headLength: head.length, withContent: false, bytes: body, contentBytes: body.length }
  }
  return new WholeBlock(entry)
}

/** All of a stored response. Its text is read where it is asked for: most writers have it copied. */
class WholeBlock implements StoredBlock {
  readonly from: PackedEntry
  readonly bytes: Buffer | null
  #stored: string | null = null

  constructor (entry: PackedEntry) {
    this.from = entry
    this.bytes = entry.bytesApart
  }

  get statusCode (): number { return this.from.statusCode }
  get stored (): string {
    this.#stored ??= this.from.text
    return this.#stored
  }

  get headLength (): number { return this.from.headLength }
  get withContent (): boolean { return this.bytes === null }
  get contentBytes (): number { return this.from.bodyBytes }
}

/** Where the line with the length of the whole content begins: it is the last one, and of parts there is none. */
function lengthAt ({ headLength, bodyBytes, parts }: PackedEntry): number {
  return parts === null ? headLength - `content-length: ${bodyBytes}\r\n`.length : headLength
}
