/** The admin listener: health for everybody who reaches it, the rest for holders of the token, where there is one. */
import Fastify, { LogController, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { createHash, timingSafeEqual } from 'node:crypto'
import adminRoutes, { type AdminRoutesOptions } from '../routes/admin.ts'
import healthRoutes, { type HealthRoutesOptions } from '../routes/health.ts'

export interface AdminAppOptions extends AdminRoutesOptions, HealthRoutesOptions {
  readonly token: string | undefined
  readonly logger: FastifyServerOptions['loggerInstance']
}

export async function createAdminApp (options: AdminAppOptions): Promise<FastifyInstance> {
  const app = Fastify({
    ...(options.logger === undefined ? { logger: false } : { loggerInstance: options.logger }),
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
    connectionTimeout: 30_000,
    bodyLimit: 64 * 1024,
    http: { headersTimeout: 10_000, connectionsCheckingInterval: 1000 }
  } as unknown as FastifyServerOptions)
  app.server.maxConnections = 256

  app.setNotFoundHandler((_request, reply) => {
    reply.code(404).send({ error: { code: 'not_found', status: 404, message: 'There is no such page; see docs/operations.md.' } })
  })
  app.setErrorHandler((error: Error & { statusCode?: number }, request, reply) => {
    const status = error.statusCode ?? 500
    if (status >= 500) request.log.error({ err: error }, 'admin request failed')
    reply.code(status).send({ error: { code: status >= 500 ? 'internal_error' : 'bad_request', status, message: status >= 500 ? 'Something went wrong here.' : error.message } })
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
  })
  return app
}

function digest (text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
