/** What operators ask for: metrics, routes, cache numbers, reload. */
import type { FastifyInstance } from 'fastify'
import { ConfigError } from '../src/config/load.ts'

export interface ReloadResult { readonly changed: readonly string[], readonly needsRestart: readonly string[] }

export interface AdminRoutesOptions {
  readonly metrics: () => Promise<string>
  readonly metricsContentType: string
  readonly routeTable: () => string
  readonly statistics: () => unknown
  /** Rejects with a `ConfigError` when the configuration does not validate. */
  readonly reload: () => Promise<ReloadResult>
}

export default async function adminRoutes (app: FastifyInstance, options: AdminRoutesOptions): Promise<void> {
  let reloading = false

  app.get('/metrics', async (_request, reply) => reply.type(options.metricsContentType).send(await options.metrics()))
  app.get('/routes', (_request, reply) => { reply.type('text/plain; charset=utf-8').send(options.routeTable()) })
  app.get('/cache/stats', (_request, reply) => { reply.send(options.statistics()) })

  app.post('/reload', async (_request, reply) => {
    if (reloading) return reply.code(409).send({ error: { code: 'reload_running', status: 409, message: 'A reload is running.' } })
    reloading = true
    try {
      return await options.reload()
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [{ message: (error as Error).message }]
      return await reply.code(422).send({ error: { code: 'config_invalid', status: 422, message: 'The configuration does not validate; nothing was changed.', problems } })
    } finally {
      reloading = false
    }
  })
}
