/** The admin listener: health for everybody who reaches it, the rest for holders of the token, where there is one. */
import Fastify, { LogController, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifyServerOptions } from 'fastify'
import Type from './config/schema/type.ts'
import { createHash, timingSafeEqual } from 'node:crypto'
import adminCacheRoutes, { type AdminCacheRoutesOptions } from '../routes/admin-cache.ts'
import adminRoutes, { type AdminRoutesOptions } from '../routes/admin.ts'
import { collectRoutes, useOwnValidation } from './admin/documented.ts'
import { refuseOthers } from './admin/no-route.ts'
import { createOpenapi } from './admin/openapi.ts'
import { RequestError, Unavailable } from './admin/request-error.ts'
import { TurnsBusy } from './cache/turns.ts'
import { schemaController } from './server/schema-compilers.ts'
import { packageVersion } from './version.ts'
import healthRoutes, { type HealthRoutesOptions } from '../routes/health.ts'

export interface AdminAppOptions extends AdminRoutesOptions, AdminCacheRoutesOptions, HealthRoutesOptions {
  readonly token: string | undefined
  readonly logger: FastifyServerOptions['loggerInstance']
}

export async function createAdminApp (options: AdminAppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    ...(options.logger === undefined ? { logger: false } : { loggerInstance: options.logger }),
    logController: new LogController({ disableRequestLogging: true }),
    schemaController,
    forceCloseConnections: true,
    connectionTimeout: 30_000,
    bodyLimit: 64 * 1024,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1000 },
    // A path that cannot be decoded has no route, and passes no handler of ours.
    frameworkErrors: (_error: Error, _request: FastifyRequest, reply: FastifyReply) => {
      reply.code(400).send({ error: { code: 'bad_request', status: 400, message: 'The path cannot be read.' } })
    }
  } as unknown as FastifyServerOptions)
  app.server.maxConnections = 256

  const parseJson = app.getDefaultJsonParser('error', 'error')
  // Clients that always send the field do so with a request that has no content, too.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body !== '') return parseJson(request, body as string, done)
    done(null)
  })
  const routes = collectRoutes(app)
  refuseOthers(app, routes)
  useOwnValidation(app)

  app.setErrorHandler((error: Error & { statusCode?: number, code?: string }, request, reply) => {
    const { code = '', message } = error
    if (error instanceof RequestError) {
      reply.code(400).send({ error: { code, status: 400, message, problems: error.problems } })
      return
    }
    if (error instanceof Unavailable || error instanceof TurnsBusy) {
      reply.code(503).send({ error: { code, status: 503, message } })
      return
    }
    const status = error.statusCode ?? 500
    if (status >= 500) request.log.error({ err: error }, 'admin request failed')
    const text = status >= 500 ? 'Something went wrong here.' : status === 415 ? 'The content must be JSON and say so: Content-Type: application/json.' : message
    reply.code(status).send({ error: { code: status >= 500 ? 'internal_error' : 'bad_request', status, message: text } })
  })

  await app.register(healthRoutes, options)
  await app.register(async guarded => {
    const { token } = options
    if (token !== undefined) {
      const expected = digest(token)
      guarded.addHook('onRequest', (request, reply, done) => {
        const given = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
        if (given !== undefined && timingSafeEqual(digest(given), expected)) return done()
        reply.code(401).header('www-authenticate', 'Bearer').send({ error: { code: 'unauthorized', status: 401, message: 'The admin token is needed.' } })
      })
    }
    await guarded.register(adminRoutes, options)
    await guarded.register(adminCacheRoutes, options)
    guarded.get('/', { config: { doc: { summary: 'What there is', answer: 'text' } } }, async (_request, reply) => {
      return reply.type('text/plain; charset=utf-8').send(routes.map(({ method, url, doc }) => `${method.padEnd(4)}  ${url.padEnd(16)}  ${doc.summary}\n`).join(''))
    })
    guarded.get('/openapi.json', { config: { doc: { summary: 'This description', answer: Type.Object({}) } } }, async () => createOpenapi(routes, packageVersion(), token !== undefined))
  })
  return app
}

function digest (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
