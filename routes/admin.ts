/** What operators ask for: metrics, routes, cache numbers, reload. */
import type { FastifyInstance } from 'fastify'
import { Unavailable } from '../src/admin/request-error.ts'
import { ReloadResultSchema, StatsSchema } from '../src/admin/schemas.ts'
import { ConfigError } from '../src/config/load.ts'

export interface ReloadResult { readonly changed: readonly string[], readonly needsRestart: readonly string[] }

export interface AdminRoutesOptions {
  readonly metrics: () => Promise<string>
  readonly metricsContentType: string
  readonly routeTable: () => string | Promise<string>
  readonly statistics: () => unknown
  /** Rejects with a `ConfigError` when the configuration does not validate. */
  readonly reload: () => Promise<ReloadResult>
}

export default async function adminRoutes (app: FastifyInstance, options: AdminRoutesOptions): Promise<void> {
  let reloading = false
  const errors = { 503: 'Not every worker answered.' }

  app.get('/metrics', { config: { doc: { summary: 'Metrics in the text format of Prometheus', answer: 'text', errors } } }, async (_request, reply) => {
    return reply.type(options.metricsContentType).send(await options.metrics())
  })

  app.get('/routes', { config: { doc: { summary: 'The route table, most specific first, and what the requests of each route pass', answer: 'text', errors } } }, async (_request, reply) => {
    return reply.type('text/plain; charset=utf-8').send(await options.routeTable())
  })

  app.get('/cache/stats', { config: { doc: { summary: 'Numbers of cache and upstreams', answer: StatsSchema, errors } } }, async () => await options.statistics())

  // A reload takes nothing, whatever a client sends along.
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => { done(null) })
  app.post('/reload', {
    config: { doc: { summary: 'Reads the configuration again and puts it in force', answer: ReloadResultSchema, errors: { ...errors, 409: 'Another reload is running.', 413: 'The content is larger than 64 KiB.', 422: 'The configuration does not validate; nothing was changed.' } } }
  }, async (_request, reply) => {
    if (reloading) return reply.code(409).send({ error: { code: 'reload_running', status: 409, message: 'A reload is running.' } })
    reloading = true
    try {
      return await options.reload()
    } catch (error) {
      // Some workers may have reloaded.
      if (error instanceof Unavailable) throw error
      const problems = error instanceof ConfigError ? error.problems : [{ message: (error as Error).message }]
      return await reply.code(422).send({ error: { code: 'config_invalid', status: 422, message: 'The configuration does not validate; nothing was changed.', problems } })
    } finally {
      reloading = false
    }
  })
}
