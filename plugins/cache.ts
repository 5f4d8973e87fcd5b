/**
 * The cache in the filter chain: decorates the instance with `httpCache`, answers from it in `preHandler`, and leaves
 * word in `request.cacheOutcome` of what it did. On a hit the story of the request ends here.
 */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify'
import type { CacheHit, HttpCache } from '../src/cache/http-cache.ts'
import { formatCacheStatus, type CacheOutcome } from '../src/cache/status.ts'
import { sendError } from './errors.ts'
import { respond } from './respond.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The HTTP cache of this proxy (RFC 9111). */
    httpCache: HttpCache
    /** preHandler: sends the reply when a stored response may be used. */
    answerFromCache: preHandlerHookHandler
    /** Sends a stored response, as 304 or 412 where the client's preconditions say so. */
    sendStored: SendStored
  }
  interface FastifyRequest {
    /** How the cache handled this request; `null` until the lookup has run. */
    cacheOutcome: CacheOutcome | null
  }
}

/** Named outside of the augmentation: `FastifyReply` in it loses its import in the published declarations. */
export type SendStored = (request: FastifyRequest, reply: FastifyReply, hit: CacheHit) => void

export interface CachePluginOptions {
  readonly cache: HttpCache
  /** Name of this cache as clients see it in `Cache-Status`. */
  readonly identifier: string
  /** Current time in epoch milliseconds. */
  readonly now: () => number
}

export default fp<CachePluginOptions>(async function cache (app, options) {
  const { cache, identifier, now } = options
  app.decorate('httpCache', cache)
  app.decorateRequest('cacheOutcome', null)

  app.decorate('sendStored', (request: FastifyRequest, reply: FastifyReply, hit: CacheHit): void => {
    request.cacheOutcome = hit.outcome
    respond(request, reply, {
      statusCode: hit.notModified ? 304 : hit.entry.response.statusCode,
      lines: hit.notModified ? hit.entry.notModifiedLines : hit.entry.lines,
      ownLines: ['age', String(hit.age), 'cache-status', formatCacheStatus(identifier, hit.outcome)],
      body: hit.notModified ? null : hit.entry.body
    })
  })

  app.decorate('answerFromCache', (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const forwarding = request.forwarding as NonNullable<typeof request.forwarding>
    const lookup = cache.lookup({
      method: request.method,
      fields: request.headers,
      scheme: forwarding.target.scheme,
      authority: forwarding.target.authority,
      path: forwarding.path,
      query: forwarding.query,
      scope: forwarding.route.cacheScope,
      rules: forwarding.route.config.cache,
      enabled: forwarding.route.cacheEnabled,
      hasContent: forwarding.hasContent,
      authenticated: forwarding.route.authenticate !== null
    }, now())
    forwarding.lookup = lookup
    request.cacheOutcome = lookup.outcome
    if (lookup.action === 'hit') return app.sendStored(request, reply, lookup)
    if (lookup.action === 'unsatisfiable') return sendError(request, reply, 504, 'not_in_cache')
    done()
  })
}, { name: 'cache', fastify: '5.x', dependencies: ['request-context', 'errors'] })
