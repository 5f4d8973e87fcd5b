/**
 * Closing a connection whose client is still sending. Closed at once, it would be reset by the octets that arrive, and the
 * reset may overtake the response; RFC 9112 9.6 says how to do better: end our direction, read on for a while, then close.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** How long the client has to read the end of the response and to close, while what it still sends is read. */
const lingerMs = 2000
/** And how much at most; a client that sends more than this has had the time to see the response. */
const lingerBytes = 64 * 1024 * 1024

/**
 * A reply that leaves request content unread must not let the rest of it be taken for the next request
 * (CVE-2025-4366 is that mistake elsewhere): read a bounded rest, then close.
 * @param mayRead what is sent may be made of the content: only what is left of it at the end is nobody's
 */
export function closeAfterUnreadContent (request: FastifyRequest, reply: FastifyReply, mayRead = false): void {
  const { raw } = request
  if (raw.httpVersionMajor === 2 || raw.complete) return
  const length = raw.headers['content-length']
  if ((length === undefined || length === '0') && raw.headers['transfer-encoding'] === undefined) return
  reply.header('connection', 'close')
  if (mayRead) reply.raw.once('prefinish', () => { lingerAfter(reply.raw, raw) })
  else lingerAfter(reply.raw, raw)
}

/** Reads and drops the rest of the content that nobody wants; if it is not over when the response is, the connection ends. */
export function lingerAfter (response: ServerResponse, content: IncomingMessage): void {
  content.resume()
  // A stream of HTTP/2 can be ended alone; Node does so.
  if (content.httpVersionMajor !== 1 || content.complete || content.destroyed) return
  const socket = content.socket as Socket & { destroySoon?: () => void }
  if (Object.hasOwn(socket, 'destroySoon')) return

  let bytes = 0
  let closing = false
  content.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes > lingerBytes) socket.destroy()
  })
  content.once('end', () => {
    if (socket.destroySoon !== close) return
    delete (socket as { destroySoon?: unknown }).destroySoon
    if (closing) socket.destroySoon()
  })
  // Node calls this when a response was the last one of its connection.
  socket.destroySoon = close
  response.once('finish', () => { if (!content.complete) close() })

  function close (): void {
    if (closing) return
    closing = true
    endFirst(socket)
  }
}

/** Octets that had come when it was known that nobody will look at more. */
const readBefore = new WeakMap<Socket, number>()

/** Its client sends what nobody will look at: whoever closes it soon, as Node does behind the last response, ends our direction first. */
export function lingerAtEnd (socket: Socket): void {
  if (!readBefore.has(socket)) readBefore.set(socket, socket.bytesRead)
  let closing = false
  socket.destroySoon = () => {
    if (closing) return
    closing = true
    endFirst(socket)
    socket.resume()
  }
}

/** More has come since `lingerAtEnd` than is read of what nobody will look at. */
export function hasSentTooMuch (socket: Socket): boolean {
  return socket.bytesRead - (readBefore.get(socket) ?? 0) > lingerBytes
}

function endFirst (socket: Socket): void {
  socket.end()
  const timer = setTimeout(() => { socket.destroy() }, lingerMs).unref()
  socket.once('close', () => { clearTimeout(timer) })
}
