/** Answers to what is no HTTP request, or one that the server will not take up: always an answer, then the end. */
import { STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

const statusOf: Readonly<Record<string, readonly [number, string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'too_many_fields'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'payload_too_large'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'request_timeout']
}

export function answerClientErrors (server: Server): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const [status, code] = statusOf[error.code ?? ''] ?? [400, 'bad_request']
    answer(socket, status, code, error.code === 'ECONNRESET')
  })
  // HTTP/2 connections that break the protocol.
  server.on('sessionError', () => {})
  server.on('tlsClientError', () => {})
  // No tunnels: the proxy connects to configured upstreams only (RFC 9110 9.3.6).
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => { answer(socket, 501, 'method_not_supported') })
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(417, { connection: 'close', 'content-type': 'application/json; charset=utf-8' })
    response.end(JSON.stringify({ error: { code: 'expectation_failed', status: 417 } }))
  })
}

function answer (socket: Duplex, status: number, code: string, gone = false): void {
  socket.on('error', () => {})
  // Behind a response that has begun, another status line would be taken for its content.
  const begun = (socket as Duplex & { _httpMessage?: { headersSent?: boolean } | null })._httpMessage?.headersSent === true
  if (gone || begun || !socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify({ error: { code, status } })
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => { socket.destroy() })
}
