/**
 * A snapshot file: one line that says what it is, records, and an end that says how many. A record is its length, the
 * CRC-32 of its payload, and the payload: a JSON head, the text of the entry, and content that is not text.
 */
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import { crc32 } from 'node:zlib'
import { sharedControl, sharedSelecting } from '../cache/entry.ts'
import { createInterner } from '../cache/intern.ts'
import { PackedEntry } from '../cache/packed-entry.ts'
import type { CacheControl } from '../http/cache-control.ts'

/** A file of another version is not read: the meaning of what is in it may have changed. */
const version = 1
export const mark = Buffer.from('holdfast snapshot ')
export const firstLine = Buffer.from(`${String(mark)}${version}\n`)
const endMark = 0xffffffff
export const frameBytes = 8
export const endBytes = 12

/** Longest payload that is read: a length beyond it is no length. */
export const maxPayloadBytes = 2 ** 30

const Names = Type.Union([Type.Boolean(), Type.Array(Type.String())])
const Seconds = Type.Optional(Type.Number({ minimum: 0 }))
const ControlSchema = Type.Object({
  maxAge: Seconds,
  sMaxage: Seconds,
  noStore: Type.Boolean(),
  noCache: Names,
  private: Names,
  public: Type.Boolean(),
  mustRevalidate: Type.Boolean(),
  proxyRevalidate: Type.Boolean(),
  mustUnderstand: Type.Boolean(),
  noTransform: Type.Boolean(),
  immutable: Type.Boolean(),
  staleWhileRevalidate: Seconds,
  staleIfError: Seconds
})
const count = Type.Integer({ minimum: 0 })
const HeadSchema = Type.Object({
  state: Type.Object({
    key: Type.String(),
    uri: Type.String(),
    scope: Type.String(),
    groups: Type.Array(Type.String()),
    tags: Type.Array(Type.String()),
    statusCode: Type.Integer({ minimum: 200, maximum: 599 }),
    control: ControlSchema,
    selecting: Type.Array(Type.Object({ name: Type.String(), raw: Type.Optional(Type.String()), value: Type.Optional(Type.String()) })),
    receivedAt: Type.Number(),
    initialAge: Type.Number({ minimum: 0 }),
    freshnessLifetime: Type.Number({ minimum: 0 }),
    override: Type.Union([Type.String(), Type.Null()]),
    commonLength: count,
    headLength: count,
    hidden: Type.String(),
    sizeBytes: count
  }),
  textBytes: count,
  /** Length of the content behind the text; null when it is in the text. */
  contentBytes: Type.Union([count, Type.Null()]),
  parts: Type.Union([Type.Object({ totalBytes: count, segments: Type.Array(Type.Object({ start: count, length: count })) }), Type.Null()])
})
const head = Compile(HeadSchema)

const sharedScope = createInterner<string>(scope => scope)
const none: readonly string[] = Object.freeze([])

/** Whether a file that begins so is a snapshot of any version, or what is left of one; an empty file may be. */
export function mayBeSnapshot (start: Buffer): boolean {
  const length = Math.min(start.length, mark.length)
  return start.subarray(0, length).equals(mark.subarray(0, length))
}

/** The bytes of a record, in pieces so that large content is not copied. */
export function encodeRecord (entry: PackedEntry): readonly Buffer[] {
  const state = entry.state()
  const content = entry.bytesApart
  const segments = entry.parts?.segments ?? []
  const described: Static<typeof HeadSchema> = {
    state: { ...state, control: state.control as Static<typeof ControlSchema>, groups: [...state.groups], tags: [...state.tags], selecting: state.selecting.map(field => ({ ...field })) as never, override: state.override },
    textBytes: entry.text.length,
    contentBytes: content?.length ?? null,
    parts: entry.parts === null ? null : { totalBytes: entry.parts.totalBytes, segments: segments.map(({ start, bytes }) => ({ start, length: bytes.length })) }
  }
  const json = Buffer.from(JSON.stringify(described))
  const jsonLength = Buffer.alloc(4)
  jsonLength.writeUInt32LE(json.length)
  const payload = [jsonLength, json, Buffer.from(entry.text, 'latin1'), ...(content === null ? [] : [content]), ...segments.map(({ bytes }) => bytes)]
  const frame = Buffer.alloc(frameBytes)
  frame.writeUInt32LE(payload.reduce((bytes, piece) => bytes + piece.length, 0))
  frame.writeUInt32LE(payload.reduce((sum, piece) => crc32(piece, sum), 0), 4)
  return [frame, ...payload]
}

export function encodeEnd (records: number): Buffer {
  const end = Buffer.alloc(endBytes)
  end.writeUInt32LE(endMark)
  end.writeUInt32LE(records, 4)
  end.writeUInt32LE(endMark, 8)
  return end
}

/** Number of records that an end announces; null for what is no end. */
export function decodeEnd (end: Buffer): number | null {
  if (end.length !== endBytes || end.readUInt32LE(0) !== endMark || end.readUInt32LE(8) !== endMark) return null
  return end.readUInt32LE(4)
}

/** Length and checksum of the payload that follows; null for the end, or for a length that cannot be one. */
export function decodeFrame (frame: Buffer): { readonly length: number, readonly checksum: number } | null {
  const length = frame.readUInt32LE(0)
  return length > maxPayloadBytes ? null : { length, checksum: frame.readUInt32LE(4) }
}

/**
 * The entry of a payload; null when it is damaged.
 * @param moment in the order of removals at which it counts as asked for
 */
export function decodePayload (payload: Buffer, checksum: number, moment: number): PackedEntry | null {
  if (payload.length < 4 || crc32(payload) !== checksum) return null
  const jsonEnd = 4 + payload.readUInt32LE(0)
  const described = parseHead(payload.subarray(4, jsonEnd))
  if (described === null) return null

  const { state, textBytes, contentBytes, parts } = described
  let at = jsonEnd
  const take = (length: number): Buffer => {
    // A copy of its own: the payload would stay alive as long as a view of it.
    const taken = Buffer.allocUnsafeSlow(length)
    payload.copy(taken, 0, at, at + length)
    at += length
    return taken
  }
  const announced = textBytes + (contentBytes ?? 0) + (parts?.segments ?? []).reduce((bytes, { length }) => bytes + length, 0)
  if (at + announced !== payload.length || state.commonLength > state.headLength || state.headLength > textBytes) return null
  const text = take(textBytes).toString('latin1')
  return PackedEntry.restore({
    ...state,
    // As with entries that were recorded, what is equal is one value: their size counts on it.
    uri: state.uri === state.key ? state.key : state.uri,
    scope: sharedScope(state.scope),
    groups: state.groups.length === 0 ? none : state.groups,
    tags: state.tags.length === 0 ? none : state.tags,
    override: state.override as never,
    selecting: sharedSelecting(state.selecting.map(({ name, raw, value }) => ({ name, raw, value }))),
    control: sharedControl({ maxAge: undefined, sMaxage: undefined, onlyIfCached: false, minFresh: undefined, maxStale: undefined, staleWhileRevalidate: undefined, staleIfError: undefined, malformed: false, ...state.control } as CacheControl),
    moment,
    text,
    bytes: contentBytes === null ? null : take(contentBytes),
    parts: parts === null ? null : { totalBytes: parts.totalBytes, segments: parts.segments.map(({ start, length }) => ({ start, bytes: take(length) })) }
  })
}

function parseHead (json: Buffer): Static<typeof HeadSchema> | null {
  try {
    const value: unknown = JSON.parse(json.toString())
    return head.Check(value) ? value : null
  } catch {
    return null
  }
}
