/**
 * Writes a stored response to an HTTP/2 stream by Node's own functions for it, past the request and response that Node puts
 * around a stream to make it look like HTTP/1, which cost as much as the stream itself.
 */
import type { ServerHttp2Stream } from 'node:http2'
import { isSince } from '../src/node-version.ts'
import type { StoredBlock } from '../src/proxy/stored-block.ts'

/** Fields about an HTTP/1 connection, which HTTP/2 must not have (RFC 9113 8.2.2) and Node refuses to send. */
const forbidden: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'http2-settings', 'te'])

/** Fields that are known to be lists: of others Node may take a second line for a mistake. */
const lists: ReadonlySet<string> = new Set(['cache-control', 'link', 'set-cookie', 'vary', 'via'])

/** Lines of this response alone, which stored ones must not repeat. */
const own = ['age', 'cache-status', 'x-request-id']

/** What one write takes at most. In pieces where they are many: a slow reader of a stream shows only by pieces that leave. */
const pieceBytes = 64 * 1024

/** A head as Node takes it: `:status`, then lines `[name, value, ...]`; null where it has to look closer. */
export function streamHead ({ statusCode, stored, headLength }: StoredBlock): string[] | null {
  if (statusCode > 599) return null
  const head = [':status', String(statusCode)]
  addLines(head, stored, headLength)
  let isDated = false
  for (let i = 2; i < head.length; i += 2) {
    const name = head[i] as string
    if (name === 'date') isDated = true
    if (forbidden.has(name) || own.includes(name) || (head.indexOf(name) !== i && !lists.has(name))) return null
  }
  return isDated ? head : null
}

/** Adds lines that stand in a text, each with its CRLF, up to `length`. */
export function addLines (head: string[], text: string, length: number): void {
  for (let at = 0; at < length;) {
    const colon = text.indexOf(': ', at)
    const end = text.indexOf('\r\n', colon)
    head.push(text.slice(at, colon), text.slice(colon + 2, end))
    at = end + 2
  }
}

const withoutContent = { endStream: true }

/** Whether Node takes a head as a list of lines: since 22.20 and 24.7. */
const takesLines = isSince([22, 20], [24, 7])

/** As `ServerHttp2Stream.respond` takes a head. */
type Head = Parameters<ServerHttp2Stream['respond']>[0]

/** Of the head that `streamHead` begins, what Node takes. */
export function headFor (lines: string[], asLines = takesLines): Head {
  if (asLines) return lines as unknown as Head
  const head: Record<string, string | string[]> = Object.create(null)
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] as string
    const value = lines[i + 1] as string
    const before = head[name]
    head[name] = before === undefined ? value : [before, value].flat()
  }
  return head
}

/**
 * Sends the head and what content there is, without keeping a copy of it.
 * @param head complete; it is Node's from now on
 */
export function writeStream (stream: ServerHttp2Stream, method: string, head: string[], { statusCode, stored, headLength, withContent, bytes, contentBytes }: StoredBlock): void {
  if (contentBytes === 0 || statusCode === 204 || statusCode === 304 || method === 'HEAD') {
    stream.respond(headFor(head), withoutContent)
    return
  }
  stream.respond(headFor(head))
  if (withContent) stream.end(stored.slice(headLength + 2), 'latin1')
  else if (bytes !== null && bytes.length > pieceBytes) writePieces(stream, bytes)
  else stream.end(bytes)
}

function writePieces (stream: ServerHttp2Stream, bytes: Buffer): void {
  let at = 0
  const write = (): void => {
    const piece = bytes.subarray(at, at += pieceBytes)
    if (at >= bytes.length) stream.end(piece)
    else if (stream.write(piece)) write()
  }
  stream.on('drain', write)
  write()
}
