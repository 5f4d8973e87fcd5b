/**
 * Several processes behind one listener (`--workers N`). The primary proxies nothing: it keeps the workers alive and serves
 * the admin listener for all of them. Each worker has its own memory cache.
 */
import cluster, { type Worker } from 'node:cluster'
import { aggregate } from './aggregate-metrics.ts'
import { createAdminApp } from '../admin-app.ts'
import { formatRouteTable } from '../cli/routes-table.ts'
import type { Config } from '../config/schema.ts'
import type { ReloadResult } from '../../routes/admin.ts'
import { startInstance } from './instance.ts'
import type { ProcessLog } from './logger.ts'
import { endWithSignals, ignoreSignals } from './signals.ts'

export interface WorkersInput {
  readonly config: Config
  readonly log: ProcessLog
  readonly read: () => Promise<Config>
}

type Question = 'state' | 'metrics' | 'reload' | 'drain'
interface Asked { readonly id: number, readonly question: Question }
interface Answered { readonly id: number, readonly answer?: unknown, readonly error?: string }

/** A worker that dies is replaced after a pause that doubles up to this. */
const maxPauseMs = 30_000
const answerMs = 10_000

export async function startPrimary ({ config, log, read }: WorkersInput): Promise<void> {
  const { logger } = log
  let ending = false
  let pauseMs = 100
  let current = config
  const pending = new Map<number, (answer: Answered) => void>()
  let asked = 0

  function spawn (): void {
    const worker = cluster.fork()
    const startedAt = Date.now()
    worker.on('message', (message: Answered) => {
      pending.get(message.id)?.(message)
      pending.delete(message.id)
    })
    worker.on('error', error => { logger.error({ err: error }, 'worker error') })
    worker.once('exit', (code, signal) => {
      if (ending) return
      // One that had run for a while did not die of its start.
      pauseMs = Date.now() - startedAt > maxPauseMs ? 100 : Math.min(pauseMs * 2, maxPauseMs)
      logger.error({ worker: worker.process.pid, code, signal, pauseMs }, 'worker died, starting another')
      setTimeout(() => { if (!ending) spawn() }, pauseMs)
    })
  }

  function ask (worker: Worker, question: Question): Promise<unknown> {
    const id = ++asked
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        pending.delete(id)
        reject(new Error(`worker ${worker.process.pid} did not answer`))
      }, answerMs)
      pending.set(id, ({ answer, error }) => {
        clearTimeout(timer)
        if (error === undefined) resolve(answer)
        else reject(new Error(error))
      })
      worker.send({ id, question } satisfies Asked, error => { if (error !== null) pending.get(id)?.({ id, error: 'the worker is gone' }) })
    })
  }

  const workers = (): Worker[] => Object.values(cluster.workers ?? {}).filter((worker): worker is Worker => worker?.isConnected() === true)
  const askAll = <T>(question: Question): Promise<T[]> => Promise.all(workers().map(worker => ask(worker, question))) as Promise<T[]>

  // Readiness is asked for synchronously; the workers are asked in the background.
  let reasons: readonly string[] = ['starting']
  const poll = setInterval(() => {
    if (ending) return
    askAll<readonly string[]>('state').then(states => {
      reasons = states.length < config.server.workers ? ['starting'] : [...new Set(states.flat())]
    }, () => { reasons = ['a worker does not answer'] })
  }, 250)

  async function reload (): Promise<ReloadResult> {
    // Validated here once, so that what no worker could use is not sent to any.
    current = await read()
    const results = await askAll<ReloadResult>('reload')
    return results[0] ?? { changed: [], needsRestart: [] }
  }

  cluster.setupPrimary({ serialization: 'advanced' })
  for (let i = 0; i < config.server.workers; i++) spawn()

  const admin = !config.admin.enabled
    ? null
    : await createAdminApp({
      logger,
      token: config.admin.token,
      reasonsNotReady: () => ending ? ['draining'] : reasons,
      metrics: async () => aggregate(await askAll<string>('metrics')),
      metricsContentType: 'text/plain; version=0.0.4; charset=utf-8',
      routeTable: () => formatRouteTable(current),
      statistics: () => ({ workers: workers().length }),
      reload
    })
  if (admin !== null) {
    await admin.listen({ host: config.admin.host, port: config.admin.port })
    const address = admin.server.address() as { address: string, port: number }
    logger.info({ role: 'admin', host: address.address, port: address.port, url: `http://${address.address}:${address.port}` }, 'listening')
    log.flush()
  }

  endWithSignals({
    log,
    reload,
    abandon: () => { for (const worker of workers()) worker.process.kill('SIGKILL') },
    drain: async () => {
      ending = true
      clearInterval(poll)
      await Promise.all(workers().map(worker => new Promise<void>(resolve => {
        worker.once('exit', () => { resolve() })
        worker.send({ id: ++asked, question: 'drain' } satisfies Asked)
      })))
      await admin?.close()
    }
  })
}

export async function startWorker ({ config, log, read }: WorkersInput): Promise<void> {
  const instance = await startInstance({ config, log, read, admin: false })
  const answers: Readonly<Record<Question, () => unknown>> = {
    state: instance.reasonsNotReady,
    metrics: () => instance.listener.metrics.metrics(),
    reload: instance.reload,
    drain: () => { end() }
  }
  const end = (): void => {
    instance.drain().catch((error: unknown) => { log.logger.error({ err: error }, 'shutting down failed') }).finally(() => {
      log.flush()
      process.exit(0)
    })
  }
  process.on('message', (message: Asked) => {
    Promise.resolve().then(() => answers[message.question]()).then(
      answer => { process.send?.({ id: message.id, answer } satisfies Answered) },
      (error: unknown) => { process.send?.({ id: message.id, error: (error as Error).message } satisfies Answered) }
    )
  })
  // The primary is gone: so is whoever would stop or replace this worker.
  process.on('disconnect', end)
  // Terminals and service managers signal the whole group; the primary decides then.
  ignoreSignals()
  log.flush()
}
