/** Request modification: what changes on the way to the upstream, before the cache key is made. */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, preHandlerHookHandler, preParsingHookHandler } from 'fastify'
import { rewritePath } from '../src/forward/rewrite.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** preHandler: applies the route's path rules to `request.forwarding`. */
    rewriteRequest: preHandlerHookHandler
    /** preParsing: lets content of any declared type pass; Fastify would answer 415 to a type it cannot parse. */
    passUnparsed: preParsingHookHandler
  }
}

export default fp(async function rewrite (app) {
  app.decorate('rewriteRequest', (request: FastifyRequest, _reply: FastifyReply, done: () => void): void => {
    const { forwarding } = request
    if (forwarding !== null) forwarding.path = rewritePath(forwarding.path, forwarding.route.config.rewrite)
    done()
  })

  app.decorate('passUnparsed', (request: FastifyRequest, _reply: FastifyReply, payload: unknown, done: (error: null, payload: never) => void): void => {
    const type = request.headers['content-type']
    if (type !== undefined && !mediaType.test(type)) {
      // Kept for the upstream, hidden from Fastify's parser selection.
      request.hiddenContentType = type
      delete request.raw.headers['content-type']
    }
    done(null, payload as never)
  })
  app.decorateRequest('hiddenContentType', '')

  app.addHook('preHandler', (request, _reply, done) => {
    if (request.hiddenContentType !== '') request.raw.headers['content-type'] = request.hiddenContentType
    done()
  })
}, { name: 'rewrite', fastify: '5.x', dependencies: ['request-context'] })

/** What Fastify understands as a media type; anything else is the upstream's business. */
const mediaType = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"\\]*"))*$/

declare module 'fastify' {
  interface FastifyRequest {
    /** A `content-type` that Fastify does not understand, out of its sight until the filters have run. */
    hiddenContentType: string
  }
}
