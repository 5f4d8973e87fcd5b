/** Request modification: what changes on the way to the upstream, before the cache key is made. */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, onRequestHookHandler, preHandlerHookHandler, preParsingHookHandler } from 'fastify'
import { withoutNominated } from '../src/forward/hop-by-hop.ts'
import type { TemplateInput } from '../src/forward/template.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { templateInput } from '../src/proxy/template-input.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** onRequest: takes a POST for the method that its client names, where the route lets it. */
    overrideMethod: onRequestHookHandler
    /** preHandler: applies the route's rules for path, query and fields to `request.forwarding`. */
    rewriteRequest: preHandlerHookHandler
    /** preParsing: lets content of any declared type pass; Fastify would answer 415 to a type it cannot parse. */
    passUnparsed: preParsingHookHandler
  }
}

export default fp(async function rewrite (app) {
  app.decorate('overrideMethod', (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const rules = request.forwarding?.route.config.rewrite.methodOverride
    const field = rules?.field.toLowerCase()
    if (rules === undefined || field === undefined || request.method !== 'POST' || request.headers[field] === undefined) return done()
    const { route, runtime, target, path } = request.forwarding as Forwarding
    const method = String(request.headers[field]).trim().toUpperCase()
    // Where the method would have led to another route, the filters of that one would have had to let it pass.
    if (!rules.methods.includes(method) || runtime.table.match(target.host, path, method) !== route) {
      return sendError(request, reply, 400, 'bad_method_override')
    }
    request.raw.method = method
    delete request.raw.headers[field]
    done()
  })

  app.decorate('rewriteRequest', (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const { forwarding } = request
    if (forwarding === null) return done()
    const { route: { urlRules, requestRules }, target: { scheme, host }, query } = forwarding
    const path = urlRules.path(forwarding.path)
    if (path === null) return sendError(request, reply, 400, 'bad_target', 'The path cannot be asked for any more once it was rewritten.')
    const input = (): TemplateInput => templateInput(request, forwarding)
    const url = { scheme, host, path: forwarding.path, query }
    if (urlRules.queryOfRequest) {
      forwarding.query = urlRules.query(url, input())
      forwarding.keyed = { query: urlRules.query(url, null), sent: forwarding.query }
    } else {
      forwarding.query = urlRules.query(url, null)
    }
    forwarding.path = path
    const fields = requestRules.apply(withoutNominated(request.headers, forwarding.ownFields), input)
    // The upstream is told by authentication who asks, whatever own filters and rules have made of these fields: so must the cache be.
    if (forwarding.identityFields !== null) Object.assign(fields, forwarding.identityFields)
    forwarding.fields = fields
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
}, { name: 'rewrite', fastify: '5.x', dependencies: ['request-context', 'errors'] })

/** What Fastify understands as a media type; anything else is the upstream's business. */
const mediaType = /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:[ \t]*;[ \t]*[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"\\]*"))*$/

declare module 'fastify' {
  interface FastifyRequest {
    /** A `content-type` that Fastify does not understand, out of its sight until the filters have run. */
    hiddenContentType: string
  }
}
