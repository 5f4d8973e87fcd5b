/**
 * The whole life of a proxied request, in the order in which it happens.
 *
 * There is one Fastify route and a route table of our own behind it: the table matches the normalised bytes that are
 * also keyed and forwarded (Fastify's router matches decoded ones), and a reload can replace it as one value while
 * requests in flight keep theirs. Before these hooks, in the same phase, `plugins/request-context.ts` has fixed target
 * and route, and hooks of plugins registered earlier have run.
 */
import type { FastifyInstance, onRequestHookHandler } from 'fastify'
import type { RouteFilters } from '../src/proxy/proxy-route.ts'

export default async function proxyRoutes (app: FastifyInstance): Promise<void> {
  // Content passes through unread; only a filter that asks for it would parse it.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => { done(null) })

  // Below a prefix, `/*` alone would not match the prefix itself.
  for (const url of ['/', '/*']) {
    app.route({
      method: [...app.supportedMethods],
      url,
      exposeHeadRoute: false,
      onRequest: [
        app.overrideMethod,      // first of all: filters, cache and upstream see the method that is meant
        filter('checkAccess'),   // 403, 405, 421: who is not to come in
        filter('handleCors'),    // a preflight ends here; else what another origin's page may read
        ownFilters('onRequest'), // of extensions that the route names
        filter('limitRate'),     // 429, before any work is spent
        filter('authenticate'),  // 401, before the cache may answer
        filter('limitIdentity')  // 429, by who asks
      ],
      preParsing: app.passUnparsed,
      preHandler: [
        ownFilters('preHandler'), // the last word on target, fields and key
        app.answerPurge,         // a PURGE from who may ends here
        app.rewriteRequest,      // fixes the upstream target, hence the cache key
        app.prepareTransforms,   // fixes the coding and the request's content, as cache and upstream see them
        app.answerFromCache,     // sends the reply on a hit: the story ends here
        filter('limitForwarded') // 429 for who may have hits alone
      ],
      handler: app.forward       // miss or validation: ask upstream, record the answer while it streams to the client
    })
  }
}

/** Runs the filter that the request's route has in this place, if it has one. */
function filter (name: Exclude<keyof RouteFilters, 'own' | 'transforms' | 'settleHit' | 'limitQuickly'>): onRequestHookHandler {
  return function runFilter (request, reply, done) {
    const act = request.forwarding?.route.filters[name] ?? null
    if (act === null) done()
    else act.call(this, request, reply, done)
  }
}

/** Runs the filters that extensions have for the request's route in this phase, if it uses any. */
function ownFilters (phase: 'onRequest' | 'preHandler'): onRequestHookHandler {
  return function runOwnFilters (request, reply, done) {
    const own = request.forwarding?.route.filters.own ?? null
    if (own === null) done()
    else own[phase].call(this, request, reply, done)
  }
}
