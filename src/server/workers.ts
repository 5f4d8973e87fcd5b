/**
 * Several processes behind one listener (`--workers N`). The primary proxies nothing: it keeps the workers alive and serves
 * the admin listener for all of them. Each worker has its own memory cache; what is purged or invalidated in one is so in all.
 */
import cluster, { type Worker } from 'node:cluster'
import { Unavailable } from '../admin/request-error.ts'
import type { EntriesPage, EntryAnswer, PurgeRequest, PurgeResult } from '../admin/schemas.ts'
import { aggregate } from './aggregate-metrics.ts'
import { createAdminApp } from '../admin-app.ts'
import type { Config } from '../config/schema.ts'
import { createShared } from '../proxy/queue.ts'
import type { ReloadResult } from '../../routes/admin.ts'
import { removeOtherSnapshots, removeSnapshot, snapshotOf } from '../snapshot/files.ts'
import { announce, urlAt, urlOf } from './announce.ts'
import type { ProcessLog } from './logger.ts'
import { createQuestions } from './worker-questions.ts'
import { createWorkerLine, type WorkerLine } from './worker-line.ts'
import { answer, type ToPrimary } from './worker-messages.ts'
import { joinEntries, joinPages, joinPurges, joinStatistics, type FromWorker } from './worker-answers.ts'
import { endWithSignals } from './signals.ts'

export interface WorkersInput {
  readonly config: Config
  readonly log: ProcessLog
  readonly read: () => Promise<Config>
}

export interface PrimaryInput extends WorkersInput {
  /** Added to the environment of the workers. */
  readonly env?: Readonly<Record<string, string>>
  /** Told once, when there is a worker that listens. */
  readonly onListening?: (proxyUrl: string, adminUrl: string | null) => void
}

/** A worker that dies is replaced after a pause that doubles up to this. */
const maxPauseMs = 30_000

/** Beyond the drain limit the others do not wait for a worker that does nothing any more. */
const lateMs = 5000

export async function startPrimary ({ config, log, read, env = {}, onListening = () => {} }: PrimaryInput): Promise<void> {
  const { logger } = log
  const { file } = config.cache.snapshot
  let ending = false
  /** Some worker has listened: whatever ends one now is not the configuration, nor a port that others have. */
  let started = false
  let pauseMs = 100
  /** Those with nothing in flight any more, while all end; and whether all were. */
  const drained = new Set<Worker>()
  let finished = false
  const lines = new Map<Worker, WorkerLine>()

  function spawn (): void {
    const worker = cluster.fork(env)
    const line = createWorkerLine(worker)
    lines.set(worker, line)
    const startedAt = Date.now()
    worker.on('message', (message: ToPrimary) => {
      if ('now' in message) return heard(worker, line, message.now)
      if ('invalidated' in message) {
        for (const [other, { invalidated }] of lines) if (other !== worker) invalidated.add(message.invalidated)
        return
      }
      if ('question' in message) return answer(message, () => purge(message.detail as PurgeRequest), line.send)
      line.answered(message)
    })
    worker.on('error', error => { logger.error({ err: error }, 'worker error') })
    worker.once('listening', address => {
      if (!started) onListening(urlAt(address, config.server.tls === undefined ? 'http' : 'https'), adminUrl)
      started = true
    })
    worker.once('exit', (code, signal) => {
      lines.delete(worker)
      line.close()
      if (ending) {
        if (code !== 0) forgetSnapshot(worker)
        finishIfDrained()
        return
      }
      if (!started && signal === null) return fail(code)
      forgetSnapshot(worker)
      // One that had run for a while did not die of its start.
      pauseMs = Date.now() - startedAt > maxPauseMs ? 100 : Math.min(pauseMs * 2, maxPauseMs)
      logger.error({ worker: worker.process.pid, code, signal, pauseMs }, 'worker died, starting another')
      setTimeout(() => { if (!ending) spawn() }, pauseMs)
    })
  }

  function heard (worker: Worker, line: WorkerLine, now: 'hearing' | 'started' | 'drained'): void {
    if (now === 'hearing') return line.open()
    if (now === 'started') return line.start()
    drained.add(worker)
    finishIfDrained()
  }

  /** The last snapshots are written when nobody changes anything any more. */
  function finishIfDrained (): void {
    if (!finished && [...lines.keys()].every(worker => drained.has(worker))) finish()
  }

  function finish (): void {
    finished = true
    for (const line of lines.values()) line.invalidated.whenEmpty(() => { line.send({ finish: true }) })
  }

  /** Of a worker that died: what others are told before another one is there passes it by; and that one has another number. */
  function forgetSnapshot (worker: Worker): void {
    if (file !== undefined) removeSnapshot(snapshotOf(file, worker.id))
  }

  /** The next ones would fare no better, and who started this process must hear of it. */
  function fail (code: number): void {
    ending = true
    logger.fatal({ code }, 'the workers cannot start')
    for (const worker of lines.keys()) worker.process.kill('SIGKILL')
    log.flush()
    process.exit(1)
  }

  const { askStarted, askEach } = createQuestions(lines)

  async function purge (request: PurgeRequest): Promise<PurgeResult> {
    if (finished) throw new Unavailable('workers_silent', 'The workers are ending.')
    return joinPurges(await askEach<PurgeResult>('purge', request))
  }

  // Readiness is asked for synchronously; the workers are asked in the background.
  let reasons: readonly string[] = ['starting']
  let isPolling = false
  const poll = setInterval(() => {
    if (ending || isPolling) return
    const started = [...lines.values()].filter(line => line.isStarted)
    if (started.length < config.server.workers) reasons = ['starting']
    isPolling = true
    Promise.all(started.map(line => line.ask('state') as Promise<readonly string[]>)).then(states => {
      reasons = states.length < config.server.workers ? ['starting'] : [...new Set(states.flat())]
    }, () => { reasons = ['a worker does not answer'] }).finally(() => { isPolling = false })
  }, 250)

  const reload = createShared(async (): Promise<ReloadResult> => {
    // Validated here once, so that what no worker could use is not sent to any.
    await read()
    const [first] = await askEach<ReloadResult>('reload')
    return (first as FromWorker<ReloadResult>).answer
  })

  const admin = !config.admin.enabled
    ? null
    : await createAdminApp({
      logger,
      token: config.admin.token,
      reasonsNotReady: () => ending ? ['draining'] : reasons,
      metrics: async () => aggregate((await askStarted<string>('metrics')).map(({ answer }) => answer)),
      metricsContentType: 'text/plain; version=0.0.4; charset=utf-8',
      // Extensions are registered in the workers alone.
      routeTable: async () => (await askStarted<string>('routes'))[0]?.answer ?? '',
      statistics: async () => joinStatistics(await askStarted<object>('statistics')),
      purge,
      entries: async query => joinPages(await askStarted<EntriesPage>('entries', query), query),
      entry: async query => joinEntries(await askStarted<EntryAnswer>('entry', query)),
      reload
    })
  let adminUrl: string | null = null
  if (admin !== null) {
    await admin.listen({ host: config.admin.host, port: config.admin.port })
    adminUrl = urlOf(admin, 'http')
    announce(logger, 'admin', admin, 'http')
    log.flush()
  }

  // Not before: where its own port is taken, the primary ends, and has nobody to end with it.
  if (file !== undefined) removeOtherSnapshots(file, config.server.workers)
  cluster.setupPrimary({ serialization: 'advanced' })
  for (let i = 0; i < config.server.workers; i++) spawn()

  endWithSignals({
    log,
    reload,
    abandon: () => { for (const worker of lines.keys()) worker.process.kill('SIGKILL') },
    drain: async () => {
      ending = true
      clearInterval(poll)
      setTimeout(() => { if (!finished) finish() }, config.server.drainTimeout + lateMs).unref()
      await Promise.all([...lines].map(([worker, line]) => new Promise<void>(resolve => {
        worker.once('exit', () => { resolve() })
        line.end()
      })))
      await admin?.close()
    }
  })
}
