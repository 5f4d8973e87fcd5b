/**
 * Writes a stored response to an HTTP/1 connection as one block: the status line and the lines of this response, then the
 * stored head, which is kept as it goes over the wire, with small content right behind it. Node's `writeHead` would look
 * at every field again and put them together anew, for each hit.
 *
 * Node keeps the head of a response in `_header` until the first octets of content go out with it, and asks nothing more
 * than that it is set. Where that should ever change, `canWriteBlock` says so and the public way is taken.
 */
import { OutgoingMessage, ServerResponse, STATUS_CODES } from 'node:http'
import type { StoredBlock } from '../src/proxy/stored-block.ts'

/** What of Node's response is used here; all of it has been there since Node 0.6 or 8. */
interface Internals {
  _header: string | null
  _hasBody: boolean
  _last: boolean
  _removedConnection: boolean
  _defaultKeepAlive: boolean
  _keepAliveTimeout: number
  _maxRequestsPerSocket: number | null
  _expect_continue: boolean
  _sent100: boolean
  _contentLength: number | null
  maxRequestsOnConnectionReached: boolean
}

const prototype = OutgoingMessage.prototype as unknown as Record<string, unknown>

/** Whether this Node keeps responses in the way that is relied on. */
const knowsInternals = typeof prototype['_send'] === 'function' && Object.hasOwn(new OutgoingMessage(), '_header')
const { writeHead, end } = ServerResponse.prototype

/** Whether a block may be written: not to what only looks like a response (`app.inject`), nor past somebody's own `writeHead`. */
export function canWriteBlock (raw: ServerResponse): boolean {
  return knowsInternals && raw.writeHead === writeHead && raw.end === end
}

/**
 * @param own lines of this response alone, each with its CRLF
 * The stored lines include `Date`, and `Content-Length` wherever the response has content.
 */
export function writeBlock (raw: ServerResponse, own: string, { statusCode, stored, headLength, withContent, bytes, contentBytes }: StoredBlock): void {
  const message = raw as unknown as Internals
  raw.statusCode = statusCode
  raw.statusMessage = STATUS_CODES[statusCode] ?? 'unknown'
  if (statusCode === 204 || statusCode === 304) message._hasBody = false
  message._contentLength = contentBytes
  // The client may still send the content it was not told to send.
  if (message._expect_continue && !message._sent100) raw.shouldKeepAlive = false
  const head = `HTTP/1.1 ${statusCode} ${raw.statusMessage}\r\n${own}${connectionLines(raw, message)}`

  if (withContent && message._hasBody) {
    message._header = head
    raw.end(stored, 'latin1')
    return
  }
  message._header = withContent ? `${head}${stored.slice(0, headLength + 2)}` : `${head}${stored}\r\n`
  if (bytes === null || !message._hasBody) raw.end()
  else raw.end(bytes)
}

/** As Node does: whether the connection goes on, and for how long. */
function connectionLines (raw: ServerResponse, message: Internals): string {
  if (!raw.shouldKeepAlive) {
    message._last = true
    return 'Connection: close\r\n'
  }
  if (message.maxRequestsOnConnectionReached) return 'Connection: close\r\n'
  if (message._keepAliveTimeout === 0 || !message._defaultKeepAlive) return 'Connection: keep-alive\r\n'
  return keepAlive(message._keepAliveTimeout, message._maxRequestsPerSocket ?? 0)
}

let last = { timeout: -1, max: -1, lines: '' }

/** The same for all responses of a listener. */
function keepAlive (timeout: number, max: number): string {
  if (last.timeout !== timeout || last.max !== max) {
    last = { timeout, max, lines: `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(timeout / 1000)}${max > 0 ? `, max=${max}` : ''}\r\n` }
  }
  return last.lines
}
