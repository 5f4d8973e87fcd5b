/**
 * Writes responses that came from the cache or the upstream.
 *
 * The quick way: the reply is hijacked and head and content are handed to Node as they are, without Fastify's
 * serialisation, header objects or streams in between. When an application has registered `onSend` hooks, or the client
 * speaks HTTP/2, the response goes through `reply.send`, so that the hooks run on hits as well.
 */
import type { ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { StoredResponse } from '../src/cache/stored-response.ts'
import type { ExtensionFailure } from '../src/extensions/extension.ts'
import { noteExtensionFailure } from '../src/extensions/note-failure.ts'
import { Body } from '../src/http/body.ts'
import { isEncrypted } from '../src/http/encrypted.ts'
import { http2Values } from '../src/http/repeated-lines.ts'
import { discard } from '../src/proxy/discard.ts'
import { passBody } from '../src/proxy/pass-body.ts'
import type { StoredBlock } from '../src/proxy/stored-block.ts'
import { sendError } from './errors.ts'
import { finish } from './finish.ts'
import { canWriteBlock, endWith, mayGather, pieceBytes, presetText, writeBlock, writePieces, writesPlainly, writeTextHead } from './wire.ts'

/** What a response consists of; `lines` is `[name, value, ...]` and is not changed. */
export interface OutgoingResponse {
  readonly statusCode: number
  /** The same head, and content if it is small, as it goes over the wire: then the rest is only asked for where that cannot be used. */
  readonly block?: StoredBlock
  /** Lines that were made once, when the response was stored or received. */
  readonly lines: readonly string[]
  /** Lines made for this response: `age`, `cache-status`. */
  readonly ownLines: readonly string[]
  /** The stored response it is made from; of a 304 or 206 it says what the whole is. */
  readonly from?: StoredResponse
  /** One-byte text, bytes, what arrives, or null for none. */
  readonly body: string | Buffer | Body | null
}

const wire = { endWith, mayGather, writePieces, writesPlainly }

const sendHooks = Symbol('holdfast.sendHooks')

/** Called once the application is ready: does anybody want to see responses before they leave? */
export function noteSendHooks (app: FastifyInstance): void {
  const symbol = hooksSymbolOf(app)
  const hooks = symbol === undefined ? undefined : (app as unknown as Record<symbol, { onSend?: unknown[] } | undefined>)[symbol]
  // Not knowing is taken for yes: slower, and never a hook that silently did not run.
  ;(app as unknown as Record<symbol, boolean>)[sendHooks] = hooks?.onSend === undefined || hooks.onSend.length > 0
}

/** Fastify keeps the hooks of an instance under a symbol it does not export. */
function hooksSymbolOf (app: FastifyInstance): symbol | undefined {
  for (let level: object | null = app; level !== null; level = Object.getPrototypeOf(level) as object | null) {
    const symbol = Object.getOwnPropertySymbols(level).find(candidate => candidate.description === 'fastify.hooks')
    if (symbol !== undefined) return symbol
  }
  return undefined
}

export function respond (request: FastifyRequest, reply: FastifyReply, given: OutgoingResponse): void {
  // A limit on clients may have answered, or the client have left, while the upstream was asked.
  if (isOver(reply.raw)) {
    if (given.body instanceof Body) given.body.destroy()
    reply.hijack()
    return
  }
  const response = request.forwarding?.route.finishes === true ? finish(request, reply, given) : given
  const own = request.forwarding?.route.filters.own ?? null
  if (own === null) return write(request, reply, response)
  let lines: readonly string[] | null
  try {
    lines = own.beforeSending(request, reply, response.statusCode, () => response.lines.concat(response.ownLines))
  } catch (error) {
    if (response.body instanceof Body) response.body.destroy()
    noteExtensionFailure(request, error as ExtensionFailure)
    // It said what happens to a response that nobody gets.
    request.cacheOutcome = null
    return sendError(request, reply, 500, 'extension_failed')
  }
  write(request, reply, lines === null ? response : { statusCode: response.statusCode, lines, ownLines: [], body: response.body })
}

function write (request: FastifyRequest, reply: FastifyReply, response: OutgoingResponse): void {
  const hooked = (reply.server as unknown as Record<symbol, boolean | undefined>)[sendHooks] !== false
  if (hooked || request.raw.httpVersionMajor !== 1) return respondThroughFastify(request, reply, response)

  const { statusCode, block } = response
  // What filters have put on the reply so far, such as rate limit fields and the request id.
  const preset = reply.getHeaders()
  if (block !== undefined && canWriteBlock(reply.raw)) {
    const own = ownBlock(response.ownLines, preset)
    if (own !== null) {
      reply.hijack()
      writeBlock(reply.raw, own, block)
      return
    }
  }

  reply.hijack()
  const { raw } = reply
  const { body } = response
  const isEmpty = body === null || request.method === 'HEAD'
  if (!canWriteBlock(raw) || !writeTextHead(raw, statusCode, [response.lines, response.ownLines], preset)) raw.writeHead(statusCode, withPreset(response.lines.concat(response.ownLines), preset))
  if (isEmpty) {
    if (body instanceof Body) discard(body)
    raw.end()
  } else if (body instanceof Body) {
    resetWhenCutShort(request, body)
    passBody(body, raw, wire)
  } else {
    endWith(raw, body)
  }
}

function withPreset (head: string[], preset: Record<string, unknown>): string[] {
  for (const name in preset) {
    const value = preset[name]
    if (value === undefined) continue
    if (Array.isArray(value)) for (const one of value) head.push(name, String(one))
    else head.push(name, String(value))
  }
  return head
}

/** Lines of this response as text; null when one of them has to go through Node's own checks. */
function ownBlock (ownLines: readonly string[], preset: Record<string, unknown>): string | null {
  let text = ''
  for (let i = 0; i + 1 < ownLines.length; i += 2) text += `${ownLines[i]}: ${ownLines[i + 1]}\r\n`
  const more = presetText(preset)
  return more === null ? null : text + more
}

/** No response can be written any more. */
export function isOver (raw: ServerResponse): boolean {
  const { stream } = raw as ServerResponse & { stream?: ServerHttp2Stream }
  return raw.headersSent || raw.writableEnded || (stream ?? raw).destroyed
}

function respondThroughFastify (request: FastifyRequest, reply: FastifyReply, response: OutgoingResponse): void {
  const { statusCode, body } = response
  reply.code(statusCode)
  // Together: `Cache-Status` may be on both, and a second call would take the place of the first.
  addLines(reply, response.lines.concat(response.ownLines), request.raw.httpVersionMajor === 2)
  if (body === null || request.method === 'HEAD') {
    if (body instanceof Body) discard(body)
    reply.send()
  } else if (typeof body === 'string') {
    sendBytes(reply, Buffer.from(body, 'latin1'))
  } else if (Buffer.isBuffer(body)) {
    sendBytes(reply, body)
  } else {
    resetWhenCutShort(request, body)
    reply.raw.once('pipe', () => { sendHeadAlone(reply.raw, body) })
    reply.send(body.stream())
  }
}

/**
 * An HTTP/1.0 client takes the end of the connection for the end of the content, so that a body cut short would look whole:
 * it gets a reset instead (RFC 9112 section 8). In TLS the missing closure alert says the same.
 */
function resetWhenCutShort (request: FastifyRequest, body: Body): void {
  if (request.raw.httpVersionMajor !== 1 || request.raw.httpVersionMinor !== 0) return
  const { socket } = request.raw
  body.onClose((error, complete) => {
    if (complete || error === null) return
    if (isEncrypted(socket)) socket.destroy()
    else socket.resetAndDestroy()
  })
}

/**
 * Node keeps a head back until there is content to go with it, which saves a packet; a client of a stream that is silent at
 * first would wait for ever. Content that came with the head has come by the end of this turn of the event loop.
 */
function sendHeadAlone (raw: ServerResponse, body: Body): void {
  setImmediate(() => { if (!body.begun && !raw.writableEnded && !raw.destroyed) raw.flushHeaders() })
}

/**
 * In pieces where they are many: a slow reader of an HTTP/2 stream shows only by pieces that leave, and TLS encrypts all that it is given.
 * Fastify invents a content type for a Buffer without one, and not for a stream.
 */
function sendBytes (reply: FastifyReply, bytes: Buffer): void {
  const { httpVersionMajor, socket } = reply.request.raw
  const many = bytes.length > pieceBytes && (httpVersionMajor === 2 || isEncrypted(socket))
  if (reply.hasHeader('content-type') && !many) reply.send(bytes)
  else reply.send(Readable.from(many ? pieces(bytes) : [bytes], { objectMode: false }))
}

function * pieces (bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

function addLines (reply: FastifyReply, lines: readonly string[], http2: boolean): void {
  const together = new Map<string, string[]>()
  // What a filter says that its answer depends on stands beside what the origin server says.
  const vary = reply.getHeader('vary')
  if (vary !== undefined) together.set('vary', [vary].flat().map(String))
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const name = lines[i] as string
    const values = together.get(name)
    if (values === undefined) together.set(name, [lines[i + 1] as string])
    else values.push(lines[i + 1] as string)
  }
  for (const [name, values] of together) {
    const value = http2 ? http2Values(name, values) : values.length === 1 ? values[0] as string : values
    // A reply keeps its fields in a plain object, Node in one without prototype.
    if (name === '__proto__') reply.raw.setHeader(name, value)
    else reply.header(name, value)
  }
}
