/** One proxy process: both listeners, reload, and the way down. */
import cluster from 'node:cluster'
import { getHeapStatistics } from 'node:v8'
import type { FastifyInstance } from 'fastify'
import { createAdminApp } from '../admin-app.ts'
import type { HoldfastOptions } from '../app.ts'
import { collectByLimit } from '../cache/garbage.ts'
import { formatRoutes } from '../cli/print-routes.ts'
import { warningsFor } from '../config/load.ts'
import { formatProblem } from '../config/problems.ts'
import type { Config } from '../config/schema.ts'
import { createShared } from '../proxy/queue.ts'
import type { ReloadResult } from '../../routes/admin.ts'
import { announce, urlOf } from './announce.ts'
import { heapWarnings } from './heap-warnings.ts'
import { createProxyListener, type ProxyListener } from './listener.ts'
import type { ProcessLog } from './logger.ts'
import { createTlsContexts } from './tls.ts'

export interface Instance {
  readonly proxyUrl: string
  readonly adminUrl: string | null
  readonly listener: ProxyListener
  reload (): Promise<ReloadResult>
  reasonsNotReady (): readonly string[]
  /** The route table, and what the requests of each route pass. */
  routeTable (): string
  /** Stops taking requests, lets those in flight finish within the drain limit, closes everything. */
  drain (): Promise<void>
}

export interface InstanceInput {
  readonly config: Config
  readonly log: ProcessLog
  /** Reads the configuration again. */
  readonly read: () => Promise<Config>
  /** Serve the admin listener in this process. */
  readonly admin: boolean
  /** What makes the proxy one of several. */
  readonly holdfast?: Pick<HoldfastOptions, 'purge' | 'onInvalidation'>
  /** Waited for when nothing is in flight any more, before the last snapshot. */
  readonly onDrained?: () => Promise<void>
}

export async function startInstance (input: InstanceInput): Promise<Instance> {
  const { config, log: { logger } } = input
  if (config.cache.enabled) collectByLimit(config.cache.maxBytes)
  const tls = config.server.tls === undefined ? null : createTlsContexts(config.server.tls)
  let state: 'starting' | 'serving' | 'draining' = 'starting'
  // One that cannot start has nothing to bring to an end.
  const onDrained = async (): Promise<void> => { if (state === 'draining') await input.onDrained?.() }
  const listener = await createProxyListener({ config, logger, tls, onDrained, ...input.holdfast !== undefined && { holdfast: input.holdfast } })
  const { app, control, metrics } = listener
  for (const warning of [...warningsFor(config), ...heapWarnings(config, getHeapStatistics().heap_size_limit)]) logger.warn({ code: 'config_warning', path: warning.path }, formatProblem(warning))

  function reasonsNotReady (): readonly string[] {
    return state === 'serving' ? control.isReady().reasons : [state]
  }

  // A signal and a request may come together: what was read last is what is in force.
  const reload = createShared(async (): Promise<ReloadResult> => {
    const next = await input.read()
    // Certificates that cannot be used, or anything else that cannot, leave everything as it was.
    const useCertificates = tls !== null && next.server.tls !== undefined ? tls.prepare(next.server.tls) : null
    const result = await control.reload(next)
    useCertificates?.()
    logger.info({ ...result }, 'configuration reloaded')
    return result
  })

  const routeTable = (): string => formatRoutes(control.config, control)

  let admin: FastifyInstance | null = null
  try {
    if (input.admin && config.admin.enabled) {
      admin = await createAdminApp({
        logger,
        token: config.admin.token,
        reasonsNotReady,
        metrics: () => metrics.metrics(),
        metricsContentType: metrics.contentType,
        routeTable,
        statistics: () => control.stats(),
        purge: ({ mode, dryRun, ...selector }) => control.purge(selector, { ...mode !== undefined && { mode }, ...dryRun !== undefined && { dryRun } }),
        entries: control.entries,
        entry: ({ url }) => control.entry(url),
        reload
      })
      await admin.listen({ host: config.admin.host, port: config.admin.port })
    }
    await app.listen({ host: config.server.host, port: config.server.port, backlog: config.server.backlog })
    const { file } = config.cache.snapshot
    if (file !== undefined && cluster.isPrimary) (await import('../snapshot/files.ts')).removeOtherSnapshots(file, 0)
  } catch (error) {
    await Promise.all([app.close(), admin?.close()])
    throw error
  }

  const scheme = tls === null ? 'http' : 'https'
  const proxyUrl = urlOf(app, scheme)
  const adminUrl = admin === null ? null : urlOf(admin, 'http')
  announce(logger, 'proxy', app, scheme)
  if (admin !== null) announce(logger, 'admin', admin, 'http')
  state = 'serving'

  async function drain (): Promise<void> {
    state = 'draining'
    logger.info({ limitMs: config.server.drainTimeout }, 'draining')
    const cut = setTimeout(() => {
      logger.warn({ code: 'drain_timeout' }, 'requests were cut off at the drain limit')
      listener.connections.destroyAll()
    }, config.server.drainTimeout)
    listener.connections.closeGracefully()
    await app.close()
    clearTimeout(cut)
    await admin?.close()
    logger.info('stopped')
  }

  return { proxyUrl, adminUrl, listener, reload, reasonsNotReady, routeTable, drain }
}
