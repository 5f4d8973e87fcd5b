/**
 * Field lines and small content as one string, of one byte for each character. Put together in memory that is always the same:
 * of strings that are added to one another each is an object, forty for a usual head.
 */
import { workspace } from './text-arena.ts'

/** Lines `[name, value, ...]`; behind them an empty line and the content, where that is not null. */
export interface Pieces {
  readonly lines: readonly string[]
  readonly content: Buffer | string | null
}

export function flatText (pieces: Pieces): string {
  const length = piecesLength(pieces)
  const bytes = length <= workspace.length ? workspace : Buffer.allocUnsafe(length)
  writePieces(pieces, bytes)
  return bytes.toString('latin1', 0, length)
}

/** `name: value CRLF` for each line, and what is behind them. */
export function writePieces ({ lines, content }: Pieces, bytes: Buffer): void {
  let at = 0
  for (let i = 0; i + 1 < lines.length; i += 2) {
    at = put(bytes, lines[i] as string, at)
    bytes[at++] = colon
    bytes[at++] = space
    at = put(bytes, lines[i + 1] as string, at)
    bytes[at++] = carriageReturn
    bytes[at++] = lineFeed
  }
  if (content === null) return
  bytes[at++] = carriageReturn
  bytes[at++] = lineFeed
  if (typeof content === 'string') bytes.write(content, at, 'latin1')
  else content.copy(bytes, at)
}

/** Characters, and bytes, that they have as text. */
export function piecesLength ({ lines, content }: Pieces): number {
  return linesLength(lines) + (content === null ? 0 : 2 + content.length)
}

/** The same of lines alone. */
export function linesLength (lines: readonly string[]): number {
  let length = 0
  for (let i = 0; i + 1 < lines.length; i += 2) length += (lines[i] as string).length + (lines[i + 1] as string).length + 4
  return length
}

const [colon, space, carriageReturn, lineFeed] = [0x3a, 0x20, 0x0d, 0x0a]

/** One by one: names and values are short, and a call out of JavaScript takes as long as thirty of them. */
function put (bytes: Buffer, text: string, at: number): number {
  const { length } = text
  for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i)
  return at + length
}
