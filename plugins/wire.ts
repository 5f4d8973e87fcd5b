/**
 * Writes a stored response to an HTTP/1 connection as one block: the status line and the lines of this response, then the
 * stored head, which is kept as it goes over the wire, with small content right behind it. Node's `writeHead` would look
 * at every field again and put them together anew, for each hit.
 *
 * Node keeps the head of a response in `_header` until the first octets of content go out with it, and asks nothing more
 * than that it is set. Where that should ever change, `canWriteBlock` says so and the public way is taken.
 */
import { OutgoingMessage, ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { isEncrypted } from '../src/http/encrypted.ts'
import { knownNames } from '../src/http/known-names.ts'
import type { StoredBlock } from '../src/proxy/stored-block.ts'
import { writeJoined, type KeptText } from './joined-write.ts'

/** What of Node's response is used here; all of it has been there since Node 0.6 or 8. */
interface Internals {
  _header: string | null
  _headerSent: boolean
  readonly outputData: readonly unknown[]
  /** Of a connection: the response whose turn it is. */
  readonly _httpMessage: unknown
  _hasBody: boolean
  _last: boolean
  _removedConnection: boolean
  _defaultKeepAlive: boolean
  _keepAliveTimeout: number
  _maxRequestsPerSocket: number | null
  _expect_continue: boolean
  _sent100: boolean
  _contentLength: number | null
  chunkedEncoding: boolean
  useChunkedEncodingByDefault: boolean
  maxRequestsOnConnectionReached: boolean
}

const prototype = OutgoingMessage.prototype as unknown as Record<string, unknown>

/** Whether this Node keeps responses in the way that is relied on. */
const knowsInternals = typeof prototype['_send'] === 'function' && ['_header', '_headerSent', 'outputData', '_hasBody'].every(name => Object.hasOwn(new OutgoingMessage(), name))
const { writeHead, write, end } = ServerResponse.prototype

/** Whether a block may be written: not to what only looks like a response (`app.inject`), nor past somebody's own `writeHead`. */
export function canWriteBlock (raw: ServerResponse): boolean {
  return knowsInternals && raw.writeHead === writeHead && raw.end === end
}

/**
 * @param own lines of this response alone, each with its CRLF
 * @param left called when the response was handed to its connection, or cannot be any more
 * The stored lines include `Date`, and `Content-Length` wherever the response has content.
 */
export function writeBlock (raw: ServerResponse, own: string, block: StoredBlock, left: () => void = () => {}): void {
  const { statusCode, withContent, bytes, contentBytes, from } = block
  const message = raw as unknown as Internals
  message._contentLength = contentBytes
  const head = `${statusLine(raw, statusCode)}${own}${connectionLines(raw, message)}`
  const whole = withContent && message._hasBody
  const content = message._hasBody ? bytes : null
  if (content === null && endJoined(raw, message, head, whole && from !== null ? from : restOf(block, whole), left)) return
  message._header = head + restOf(block, whole)
  endWith(raw, content)
  left()
}

/** What stands behind the lines of this response alone. */
function restOf ({ stored, headLength, withContent }: StoredBlock, whole: boolean): string {
  return whole ? stored : withContent ? stored.slice(0, headLength + 2) : `${stored}\r\n`
}

/** Begins a response as Node would. */
function statusLine (raw: ServerResponse, statusCode: number): string {
  const message = raw as unknown as Internals
  raw.statusCode = statusCode
  raw.statusMessage = STATUS_CODES[statusCode] ?? 'unknown'
  if (statusCode === 204 || statusCode === 304) message._hasBody = false
  // The client may still send the content it was not told to send.
  if (message._expect_continue && !message._sent100) raw.shouldKeepAlive = false
  return `HTTP/1.1 ${statusCode} ${raw.statusMessage}\r\n`
}

/** The connection, where what is written to it is what comes next of this response; null where Node has to see to the order or the framing. */
function turnOf (raw: ServerResponse, message: Internals): Socket | null {
  const { socket } = raw
  if (!canWriteBlock(raw) || socket === null || socket.destroyed || message.outputData.length > 0 || message.chunkedEncoding) return null
  return (socket as unknown as Internals)._httpMessage === raw ? socket : null
}

/** Ends a response with a text, with others at the end of the turn of the event loop; false, and nothing has been done, where that may not be. */
function endJoined (raw: ServerResponse, message: Internals, head: string, rest: string | KeptText, left: () => void): boolean {
  const socket = turnOf(raw, message)
  const end = (): void => {
    // One that was ended would look whole; the client of this one has left, and got nothing.
    if (socket?.destroyed === false) raw.end()
    left()
  }
  if (socket === null || message._headerSent || message._header !== null) return false
  // Before it is written, which may be at once.
  message._header = head
  message._headerSent = true
  if (writeJoined(socket, head, rest, end)) return true
  message._header = null
  message._headerSent = false
  return false
}

/**
 * Ends a response whose head stands ready, with content behind it: written to the connection directly, and the rest left
 * to Node, which asks nothing but whether the head has been sent. `end` with content takes a way of corks and queues
 * that costs as much as all the rest of a hit.
 * @param content text of one character per octet, or bytes; null where it is in the head already, or there is none
 */
export function endWith (raw: ServerResponse, content: string | Buffer | null): void {
  const message = raw as unknown as Internals
  const socket = turnOf(raw, message)
  if (socket === null || message._headerSent || message._header === null) {
    if (content === null) raw.end()
    else raw.end(content, 'latin1')
    return
  }
  const text = content === null || !message._hasBody ? '' : content
  if (typeof text !== 'string') {
    if (text.length > pieceBytes && isEncrypted(socket)) return endInPieces(raw, text)
    message._headerSent = true
    socket.cork()
    socket.write(message._header, 'latin1')
    socket.write(text)
    socket.uncork()
  } else if (isEncrypted(socket)) {
    // What is written to TLS is never gone at once, and behind what is not `end` sends an empty write, which is a system
    // call: so `end` gets all there is.
    message._header += text
  } else {
    message._headerSent = true
    socket.write(message._header + text, 'latin1')
  }
  raw.end()
}

/** Of what is written to TLS all is encrypted at once, and held until the client has taken it: no more than this at a time. */
export const pieceBytes = 64 * 1024

function endInPieces (raw: ServerResponse, bytes: Buffer): void {
  let at = 0
  const write = (): void => {
    while (bytes.length - at > pieceBytes) {
      const full = writeContent(raw, bytes.subarray(at, at += pieceBytes))
      if (full !== null) {
        full.once('drain', write)
        return
      }
    }
    endWith(raw, bytes.subarray(at))
  }
  write()
}

/** Whether content goes to the system and to nobody else who may keep it: not to `app.inject`, nor to somebody's own `write`. */
export function writesPlainly (raw: ServerResponse): boolean {
  return canWriteBlock(raw) && raw.write === write
}

/**
 * Writes some of the content. It goes to the connection directly: Node would keep it until the
 * end of the tick, and take every piece as large as a read for one too many, also where the system has taken all of it.
 * @returns null when more may follow at once, else what emits `drain` when it may
 */
export function writeContent (raw: ServerResponse, chunk: Buffer): ServerResponse | Socket | null {
  const message = raw as unknown as Internals
  const socket = direct(raw)
  // The connection says when it has taken all. So does a response, but in the middle of what others write to its connection, too.
  if (socket === null || message._header === null) return raw.write(chunk) ? null : raw.socket ?? raw
  let takesMore = false
  if (message._headerSent) {
    takesMore = socket.write(chunk)
  } else {
    // Both at once, so that it shows whether the system takes them.
    message._headerSent = true
    socket.cork()
    socket.write(message._header, 'latin1')
    takesMore = socket.write(chunk)
    socket.uncork()
  }
  return takesMore || socket.writableLength === 0 ? null : socket
}

/** The connection, where content may be written to it as it is, behind the head; null where Node has to see to it. */
function direct (raw: ServerResponse): Socket | null {
  const message = raw as unknown as Internals
  const socket = turnOf(raw, message)
  return socket === null || raw.write !== write || socket.writableCorked > 0 || !message._hasBody ? null : socket
}

/** The same, where the head has left. */
function bare (raw: ServerResponse): Socket | null {
  return (raw as unknown as Internals)._headerSent ? direct(raw) : null
}

/** Whether pieces of content may be written together at the end of this turn of the event loop: nothing waits on the connection, which is a plain one. */
export function mayGather (raw: ServerResponse): boolean {
  const socket = bare(raw)
  return socket !== null && socket.writableLength === 0 && !isEncrypted(socket)
}

/** As `writeContent` for each of them, by one system call. */
export function writePieces (raw: ServerResponse, pieces: readonly Buffer[]): ServerResponse | Socket | null {
  const socket = pieces.length > 1 ? bare(raw) : null
  let full: ServerResponse | Socket | null = null
  if (socket === null) {
    for (const piece of pieces) full = writeContent(raw, piece)
    return full
  }
  socket.cork()
  for (const piece of pieces) full = socket.write(piece) ? null : socket
  socket.uncork()
  // Of what is less than a connection may hold it does not tell when it has left.
  return socket.writableLength === 0 ? null : full
}

/** Fields that decide on framing or the connection are Node's to write. */
const framing: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date', 'trailer'])
const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** Fields put on the reply as text; null when one of them has to go through Node's own checks. */
export function presetText (preset: Record<string, unknown>): string | null {
  let text = ''
  for (const name in preset) {
    const value = preset[name]
    if (value === undefined) continue
    const line = typeof value === 'number' ? String(value) : value
    if (typeof line !== 'string' || framing.has(name) || !fieldName.test(name) || !fieldValue.test(line)) return null
    text += `${name}: ${line}\r\n`
  }
  return text
}

/**
 * Writes the head of a response whose content is to follow, as Node's `writeHead` would. Returns false, and has done
 * nothing, where Node has to look closer: at an invalid line, one about the connection, or a client of HTTP/1.0.
 * @param lists lines `[name, value, ...]`, names in lower case
 */
export function writeTextHead (raw: ServerResponse, statusCode: number, lists: readonly (readonly string[])[], preset: Record<string, unknown>): boolean {
  const message = raw as unknown as Internals
  if (!message.useChunkedEncodingByDefault || message._removedConnection || raw.statusMessage !== undefined) return false
  const more = presetText(preset)
  if (more === null) return false
  let text = ''
  let length = -1
  let isDated = false
  for (const lines of lists) {
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const name = lines[i] as string
      const value = lines[i + 1] as string
      if ((!knownNames.has(name) && !fieldName.test(name)) || !fieldValue.test(value)) return false
      if (framing.has(name)) {
        if (name === 'date') {
          isDated = true
        } else if (name === 'content-length' && length === -1 && decimal.test(value)) {
          length = Number(value)
        } else {
          return false
        }
      }
      text += `${name}: ${value}\r\n`
    }
  }
  if (!isDated) return false

  const begin = statusLine(raw, statusCode)
  if (length >= 0) message._contentLength = length
  message.chunkedEncoding = length < 0 && message._hasBody
  message._header = `${begin}${text}${more}${connectionLines(raw, message)}${message.chunkedEncoding ? 'Transfer-Encoding: chunked\r\n' : ''}\r\n`
  return true
}

const decimal = /^\d{1,15}$/

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
