/** What a client is told, and what the log says, where the upstream has failed or its response does not come whole. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { TooSlow } from '../src/cache/shared-body.ts'
import { ExtensionFailure } from '../src/extensions/extension.ts'
import { noteExtensionFailure } from '../src/extensions/note-failure.ts'
import { lineId } from '../src/observe/line-id.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { ContentTooLarge } from '../src/proxy/limit-content.ts'
import { TransformError } from '../src/transform/transform.ts'
import { UpstreamError } from '../src/upstream/exchange.ts'
import { sendError } from './errors.ts'

/** There is no response from the upstream. */
export function failed (request: FastifyRequest, reply: FastifyReply, cause: UpstreamError): void {
  const forwarding = request.forwarding as Forwarding
  if (cause.code === 'cancelled') return cancelled(request, reply)
  const broken = cause.cause instanceof TransformError ? cause.cause : forwarding.content?.errored
  if (broken instanceof TransformError) {
    request.server.noteTransformError(request, broken)
    return sendUpstreamError(request, reply, cause.code === broken.code ? cause : new UpstreamError(broken.code, cause.target, broken))
  }
  if (cause.cause instanceof ContentTooLarge || forwarding.content?.errored instanceof ContentTooLarge) return sendError(request, reply, 413, 'payload_too_large')
  if (cause.cause instanceof ExtensionFailure) {
    noteExtensionFailure(request, cause.cause)
    return sendError(request, reply, cause.statusCode, cause.code)
  }
  forwarding.upstreamTarget = cause.target ?? ''
  request.log.warn({ ...lineId(request), upstream: forwarding.upstreamName, target: cause.target, code: cause.code, cause: describe(cause.cause) }, 'upstream failed')
  sendUpstreamError(request, reply, cause)
}

/** The upstream has cut short the response that is passed on. */
export function noteCutShort (request: FastifyRequest, error: UpstreamError): void {
  const forwarding = request.forwarding as Forwarding
  forwarding.errorCode = error.code
  request.errorCode = error.code
  if (error.cause instanceof TransformError) return request.server.noteTransformError(request, error.cause)
  request.log.warn({ ...lineId(request), upstream: forwarding.upstreamName, target: error.target, code: error.code, cause: describe(error.cause) }, 'upstream response cut short')
}

/** Of many who read a response under way one is not given all of it: its access line says why. */
export function noteCutOff (request: FastifyRequest, error: Error): void {
  // What it heard as the one who asked says more.
  if (request.errorCode !== '') return
  const code = error instanceof TooSlow ? 'too_slow' : error instanceof UpstreamError || error instanceof TransformError ? error.code : 'upstream_reset'
  request.errorCode = code
  if (request.forwarding !== null) request.forwarding.errorCode = code
}

/** Its client has left. */
export function cancelled (request: FastifyRequest, reply: FastifyReply): void {
  const forwarding = request.forwarding as Forwarding
  forwarding.errorCode = 'cancelled'
  request.errorCode = 'cancelled'
  reply.hijack()
}

export function sendUpstreamError (request: FastifyRequest, reply: FastifyReply, error: UpstreamError): void {
  if (error.statusCode === 503) reply.header('retry-after', '1')
  const { lookup } = request.forwarding as Forwarding
  // RFC 9111 5.2.2.2: a cache that cannot reach the origin server says so where the stored response may not stand in.
  const isDisconnected = error.code === 'upstream_unreachable' && lookup?.action === 'forward' && lookup.stored?.response.control.mustRevalidate === true
  sendError(request, reply, isDisconnected ? 504 : error.statusCode, error.code)
}

/** What of a cause goes into the log. */
export function describe (cause: unknown): { code?: string, message: string } | undefined {
  if (!(cause instanceof Error)) return undefined
  const code = (cause as NodeJS.ErrnoException).code
  return code === undefined ? { message: cause.message } : { code, message: cause.message }
}
