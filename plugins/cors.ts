/**
 * Cross-origin requests (`@fastify/cors`): its decisions, without the rest of it.
 *
 * As a plugin of a Fastify instance it would add a route `OPTIONS *` and a decorator to the application around us, which
 * may have both already; it would take every OPTIONS for a preflight, or refuse those that are none; and it has one set of
 * options for all routes, or a function that is called for each request. So it is given a stand-in for the instance, which
 * takes its hook and nothing else: once for preflights and once for all other requests of a route. The hook is synchronous.
 *
 * What it sets is on the reply and never in the store: a stored response gets the fields of the request it answers. Where
 * they depend on `Origin`, `Vary: Origin` is on all responses, as the Fetch standard asks (CORS protocol and HTTP caches).
 */
import cors, { type FastifyCorsOptions } from '@fastify/cors'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { isPreflight, parseOriginPattern } from '../src/access/cors.ts'
import type { CorsConfig } from '../src/config/schema.ts'
import { closeAfterUnreadContent } from '../src/proxy/linger.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes the filter of one route. */
    createRouteCors: (config: CorsConfig) => onRequestHookHandler
  }
}

type CorsHook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

export default fp(async function corsPlugin (app) {
  app.decorate('createRouteCors', (config: CorsConfig): onRequestHookHandler => {
    const options = optionsOf(config)
    // 200 in place of its 204, to which it gives a Content-Length (RFC 9110 8.6 forbids it).
    const answerPreflight = hookOf({ ...options, preflight: true, optionsSuccessStatus: 200 })
    const setFields = hookOf({ ...options, preflight: false })
    const forwards = config.preflight === 'forward'
    return function handleCors (request, reply, done) {
      if (forwards && request.method === 'OPTIONS') return done()
      if (isPreflight(request.method, request.headers)) {
        closeAfterUnreadContent(request, reply)
        return answerPreflight(request, reply, done as (error?: Error) => void)
      }
      setFields(request, reply, done as (error?: Error) => void)
    }
  })
}, { name: 'cors', fastify: '5.x' })

function optionsOf (config: CorsConfig): FastifyCorsOptions {
  return {
    origin: config.origins.includes('*') ? '*' : config.origins.map(patternOf),
    methods: config.methods,
    credentials: config.credentials,
    ...(config.allowedFields === undefined ? {} : { allowedHeaders: config.allowedFields }),
    ...(config.exposedFields.length === 0 ? {} : { exposedHeaders: config.exposedFields }),
    ...(config.maxAge === undefined ? {} : { maxAge: Math.floor(config.maxAge / 1000) })
  }
}

function patternOf (text: string): string | RegExp {
  const parsed = parseOriginPattern(text)
  if (!parsed.ok) throw new TypeError(`the origin ${text} ${parsed.reason}`)
  return parsed.pattern
}

/** The hook that the plugin adds to its instance. */
function hookOf (options: FastifyCorsOptions): CorsHook {
  let hook: CorsHook | null = null
  const standIn = {
    decorateRequest () {},
    options () {},
    addHook (_name: string, added: CorsHook) { hook = added }
  }
  let failure: Error | undefined
  ;(cors as unknown as (instance: FastifyInstance, options: FastifyCorsOptions, done: (error?: Error) => void) => void)(standIn as unknown as FastifyInstance, options, error => { failure = error })
  if (failure !== undefined) throw failure
  if (hook === null) throw new TypeError('@fastify/cors added no hook')
  return hook
}
