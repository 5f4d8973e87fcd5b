/** Answers to what is no HTTP request, or one that the server will not take up: always an answer, then the end. */
import { METHODS, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { messageOf } from '../errors/error-body.ts'
import { writeContinue } from '../forward/interim.ts'
import { formatHttpDate } from '../http/date.ts'
import { noteCut, type CutCode } from '../proxy/cut.ts'
import { hasSentTooMuch, lingerAtEnd } from '../proxy/linger.ts'
import type { ConnectionGuard } from './connection-guard.ts'
import type { NoteRefusal } from './refusals.ts'
import { hasLongTarget, hasOddMethod, type ParserError } from './request-line.ts'

type Refusal = readonly [status: number, code: CutCode | 'method_not_supported']

const statusOf: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: [431, 'too_many_fields'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'payload_too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout']
}

const methods: ReadonlySet<string> = new Set(METHODS)

/** Node says of each further piece that arrives that it is broken. */
const answered = new WeakSet<Duplex>()

/** Answers to what the parser of `node:http` refuses, or has waited too long for. */
export function answerClientError (error: ParserError, socket: Socket, note: NoteRefusal, connections: ConnectionGuard): void {
  if (answered.has(socket)) return endTooMuch(socket)
  answered.add(socket)
  socket.on('error', () => {})
  if (error.code === 'ECONNRESET' || !socket.writable || (socket as { secureConnecting?: boolean }).secureConnecting === true) {
    socket.destroy()
    return
  }
  lingerAtEnd(socket)
  // RFC 9112 9.6: what is sent behind the request that ends the connection is not looked at, and the answer to that request stays what it is.
  if (error.code === 'HPE_CLOSED_CONNECTION') return
  const [status, code] = refusalOf(error, socket)
  // So do those to all that stand in front of what is refused.
  if (connections.endBehind(socket)) return note(socket, status, code)
  // To the request whose content it is: what the connection sends just now may be the response to one in front of that.
  const response = connections.unfinished(socket) ?? sending(socket)
  if (response === null) {
    note(socket, status, code)
    return answerRaw(socket, status, code)
  }
  // Behind a response that has begun, another status line would be taken for its content.
  if (response.headersSent && !response.writableEnded) {
    return whenItsTurn(socket, response, () => {
      // While it waited it came whole.
      if (response.writableEnded) return socket.destroySoon()
      noteCut(response, code === 'method_not_supported' ? 'bad_request' : code)
      socket.destroy()
    })
  }
  response.once('close', () => { socket.destroySoon() })
  // The request has its answer, which is on its way: what is refused came behind it.
  if (response.headersSent && response.req.complete) note(socket, status, code)
  answer(response, status, code)
}

/** Nobody looks at what it sends, however long the responses take that it waits for. */
function endTooMuch (socket: Socket): void {
  if (!hasSentTooMuch(socket)) return
  const response = sending(socket)
  if (response !== null) noteCut(response, 'bad_request')
  socket.destroy()
}

/** The response whose octets the connection takes now. */
export function sending (socket: Socket): ServerResponse | null {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? null
}

/** When all responses in front of it have left. */
function whenItsTurn (socket: Socket, response: ServerResponse, act: () => void): void {
  const first = sending(socket)
  if (first === null || first === response) act()
  else first.once('close', () => { whenItsTurn(socket, response, act) })
}

function refusalOf (error: ParserError, { bytesRead }: Socket): Refusal {
  // RFC 9110 9.1, RFC 9112 3.
  if (hasOddMethod(error)) return [501, 'method_not_supported']
  if (hasLongTarget(error, bytesRead)) return [414, 'uri_too_long']
  return statusOf[error.code ?? ''] ?? [400, 'bad_request']
}

/** Answers to HTTP where TLS was expected. */
export function refusePlainHttp (socket: Socket, note: NoteRefusal): void {
  note(socket, 400, 'tls_required')
  answerRaw(socket, 400, 'tls_required')
  socket.on('data', () => { endTooMuch(socket) })
}

export function answerOddRequests (server: Server, note: NoteRefusal, connections: () => ConnectionGuard): void {
  // HTTP/2 connections that break the protocol.
  server.on('sessionError', () => {})
  // No tunnels: the proxy connects to configured upstreams only (RFC 9110 9.3.6). HTTP/2 hands over a response.
  server.on('connect', (_request: IncomingMessage, target: Duplex | ServerResponse) => {
    if ('writeHead' in target) return refuseMethod(target, note)
    note(target, 501, 'method_not_supported')
    target.on('error', () => {})
    const socket = target as Socket
    lingerAtEnd(socket)
    if (connections().endBehind(socket)) keepWriting(socket)
    else answerRaw(socket, 501, 'method_not_supported')
  })
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    writeContinue(response)
    server.emit('request', request, response)
  })
  // Judged with everything else that is said in a head, so that it is logged and counted.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    // Node knows it in lower case only when it comes by HTTP/2.
    if (request.headers.expect?.toLowerCase() === '100-continue') writeContinue(response)
    server.emit('request', request, response)
  })
}

/** Node has let go of the socket: who still writes to it would not be told when it takes more, and nobody reads what comes. */
function keepWriting (socket: Socket): void {
  socket.on('drain', () => {
    const response = sending(socket)
    if (response?.writableNeedDrain === true) response.emit('drain')
  })
  socket.on('data', () => { endTooMuch(socket) })
}

/** Of HTTP/1 the parser refuses it (`hasOddMethod`); HTTP/2 knows no list of methods, and Fastify's router has no hooks for what it has no routes for. */
export function hasUnknownMethod (request: IncomingMessage): boolean {
  return request.httpVersionMajor === 2 && !methods.has(request.method as string)
}

/** Answers 501 to a request that came by HTTP/2. */
export function refuseMethod (response: ServerResponse, note: NoteRefusal): void {
  note(response.req.socket, 501, 'method_not_supported')
  answer(response, 501, 'method_not_supported')
}

/** Answers 408, where nothing was answered yet. Whoever waits for the response is told by its end. */
export function answerTimeout (response: ServerResponse): void {
  answer(response, 408, 'request_timeout')
}

function answer (response: ServerResponse, status: number, code: CutCode | 'method_not_supported'): void {
  if (response.headersSent) return
  if (code !== 'method_not_supported') noteCut(response, code)
  const body = bodyOf(status, code)
  const close = response.req.httpVersionMajor === 1 ? { connection: 'close' } : {}
  response.writeHead(status, { ...close, 'content-type': 'application/json; charset=utf-8', 'content-length': String(body.length) })
  response.end(body)
}

function answerRaw (socket: Socket, status: number, code: string): void {
  const body = bodyOf(status, code)
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nDate: ${formatHttpDate(Date.now())}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
  lingerAtEnd(socket)
  socket.destroySoon()
}

function bodyOf (status: number, code: string): string {
  return JSON.stringify({ error: { code, status, message: messageOf({ statusCode: status, code }) } })
}
