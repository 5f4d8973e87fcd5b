/** Answers that the proxy makes itself, and what happens to errors that nobody expected. */
import fp from 'fastify-plugin'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { formatCacheStatus, nothingForwarded, type CacheOutcome } from '../src/cache/status.ts'
import { createErrorBody, messageOf } from '../src/errors/error-body.ts'
import type { ErrorPage, ErrorPages } from '../src/errors/error-pages.ts'
import { mediaTypeOf } from '../src/forward/response-rules.ts'
import { fieldValue, noFields } from '../src/http/fields.ts'
import { templateInput } from '../src/proxy/template-input.ts'
import { ExtensionFailure } from '../src/extensions/extension.ts'
import { noteExtensionFailure } from '../src/extensions/note-failure.ts'
import { lineId } from '../src/observe/line-id.ts'
import { closeAfterUnreadContent } from '../src/proxy/linger.ts'

/**
 * Sends an error of the proxy's own: a stable code, and a body in JSON or HTML as the client prefers.
 * Nothing of the cause or of upstream addresses is in it.
 */
export function sendError (request: FastifyRequest, reply: FastifyReply, statusCode: number, code: string, message?: string): void {
  if (request.forwarding !== null) request.forwarding.errorCode = code
  request.errorCode = code
  // A limit on clients may have answered in the meantime.
  if (reply.raw.headersSent) return
  const facts = { statusCode, code, requestId: request.id, ...(message === undefined ? {} : { message }) }
  const page = pageFor(request, statusCode)
  const error = page === null
    ? createErrorBody(facts, request.headers.accept)
    : { contentType: page.contentType, body: page.render({ status: statusCode, code, message: messageOf(facts), requestId: request.id }) }
  reply.code(statusCode).header('content-type', error.contentType).header('cache-control', 'no-store')
  // The page may leave it out; programs still learn what it was (RFC 9209).
  if (page !== null) reply.header('proxy-status', `${reply.server.cacheIdentifier}; details="${code}"`)
  reply.header('cache-status', formatCacheStatus(reply.server.cacheIdentifier, request.cacheOutcome ?? nothingLookedUp))
  applyRules(request, reply, statusCode)
  closeAfterUnreadContent(request, reply)
  reply.send(request.method === 'HEAD' ? undefined : error.body)
}

/** One of the route's, else one of those for all. */
function pageFor (request: FastifyRequest, statusCode: number): ErrorPage | null {
  const { forwarding, headers: { accept }, server } = request
  const pages = forwarding === null ? server.errorPagesForAll() : forwarding.runtime.errorPages
  return forwarding?.route.errorPages?.find(statusCode, true, accept) ?? pages?.find(statusCode, true, accept) ?? null
}

/** The rules of the route that are for errors of our own. */
function applyRules (request: FastifyRequest, reply: FastifyReply, statusCode: number): void {
  const { forwarding } = request
  const own = forwarding?.route.responseRules.own ?? null
  if (forwarding === null || own === null) return
  const before = reply.getHeaders()
  const fields = noFields()
  for (const [name, value] of Object.entries(before)) if (value !== undefined) fields[name] = Array.isArray(value) ? value.map(String) : String(value)
  const contentType = mediaTypeOf(fieldValue(fields, 'content-type'))
  own(fields, forwarding.target.scheme === 'https', { statusCode, contentType: () => contentType, isHit: false, method: request.method }, () => templateInput(request, forwarding))
  for (const name of Object.keys(before)) if (fields[name] === undefined) reply.removeHeader(name)
  for (const [name, value] of Object.entries(fields)) if (value !== undefined && String(before[name]) !== String(value)) reply.removeHeader(name).header(name, value)
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Name of this cache in `Cache-Status`. */
    cacheIdentifier: string
    /** Error pages for all, of this moment. */
    errorPagesForAll: () => ErrorPages | null
  }
  interface FastifyRequest {
    /** Stable code of the error answered, or empty. */
    errorCode: string
  }
}

export interface ErrorsOptions {
  /** Name of this cache in `Cache-Status`. */
  readonly identifier: string
  /** Error pages for all, of this moment. */
  readonly pages: () => ErrorPages | null
}

/** The request was answered before the cache was asked. */
const nothingLookedUp: CacheOutcome = { ...nothingForwarded, hit: false, ttl: null, detail: null }

export default fp<ErrorsOptions>(async function errors (app, options) {
  app.decorate('cacheIdentifier', options.identifier)
  app.decorate('errorPagesForAll', options.pages)
  app.decorateRequest('errorCode', '')

  app.setErrorHandler((error: FastifyError, request, reply) => {
    if (error instanceof ExtensionFailure) {
      noteExtensionFailure(request, error)
      return sendError(request, reply, error.statusCode, error.code)
    }
    const statusCode = error.statusCode ?? 500
    if (statusCode >= 400 && statusCode < 500) {
      request.log.info({ err: { code: error.code, message: error.message }, ...lineId(request) }, 'request refused')
      return sendError(request, reply, statusCode, clientCodes[statusCode] ?? 'bad_request', error.message)
    }
    request.log.error({ err: error, ...lineId(request) }, 'unexpected error')
    sendError(request, reply, 500, 'internal_error')
  })
}, { name: 'errors', fastify: '5.x' })

const clientCodes: Readonly<Record<number, string>> = {
  401: 'unauthorized', 403: 'forbidden', 404: 'route_not_found', 408: 'request_timeout', 413: 'payload_too_large', 429: 'rate_limited', 431: 'too_many_fields'
}
