/** One of several processes behind a listener (see `workers.ts`): proxies, and does what the primary asks. */
import type { EntriesQuery, EntryQuery, PurgeRequest, PurgeResult, PurgeSelector } from '../admin/schemas.ts'
import type { PurgeOptions } from '../cache/purging.ts'
import { startInstance, type Instance } from './instance.ts'
import type { ProcessLog } from './logger.ts'
import { createOutbox, type Batch } from './outbox.ts'
import { ignoreSignals } from './signals.ts'
import { answer, settle, type Answered, type Asked, type Question, type ToPrimary, type ToWorker } from './worker-messages.ts'
import type { WorkersInput } from './workers.ts'

export async function startWorker ({ config, log, read }: WorkersInput): Promise<void> {
  const pending = new Map<number, (answer: Answered) => void>()
  let asked = 0

  function tell (message: ToPrimary, done: (error: Error | null) => void = () => {}): void {
    process.send?.(message, undefined, undefined, done)
  }

  /** A PURGE reaches one worker, and is for all of them. */
  function purgeEverywhere (selector: PurgeSelector, options: PurgeOptions = {}): Promise<PurgeResult> {
    const id = ++asked
    return new Promise((resolve, reject) => {
      pending.set(id, answered => { settle(answered, resolve as (answer: unknown) => void, reject) })
      tell({ id, question: 'purge', detail: { ...selector, ...options } })
    })
  }

  const invalidated = createOutbox((batch, done) => { tell({ invalidated: batch }, done) })
  let finish = (): void => {}
  const mayFinish = new Promise<void>(resolve => { finish = resolve })
  /** Others may still change something, which must not come back with the snapshot of this one. */
  function waitForOthers (): Promise<void> {
    invalidated.whenEmpty(() => { tell({ now: 'drained' }) })
    return mayFinish
  }

  const started = startInstance({
    config, log, read, admin: false, onDrained: waitForOthers, holdfast: { purge: purgeEverywhere, onInvalidation: one => { invalidated.add([one]) } }
  })
  const act = started.then(instance => actionsOf(instance, log))
  // What it comes to when it does not start is for the caller.
  const onceStarted = (then: (actions: Awaited<typeof act>) => void): void => { act.then(then, () => {}) }
  // While this one starts it waits here, within the bounds of what is on its way.
  const heard = createOutbox((batch, done) => {
    onceStarted(({ invalidate }) => {
      invalidate(batch)
      done(null)
    })
  })
  process.on('message', (message: ToWorker) => {
    if ('invalidated' in message) return heard.add(message.invalidated)
    if ('finish' in message) return heard.whenEmpty(finish)
    if ('question' in message) return onceStarted(({ answer }) => { answer(message, tell) })
    pending.get(message.id)?.(message)
    pending.delete(message.id)
  })
  // Where the primary is gone `node:cluster` ends this process at once: the listener is gone with it, and whoever would stop this worker.
  tell({ now: 'hearing' })
  await started
  // Terminals and service managers signal the whole group; the primary decides then.
  ignoreSignals()
  tell({ now: 'started' })
  log.flush()
}

function actionsOf (instance: Instance, log: ProcessLog) {
  const { control } = instance.listener
  const end = (): void => {
    instance.drain().catch((error: unknown) => { log.logger.error({ err: error }, 'shutting down failed') }).finally(() => {
      log.flush()
      process.exit(0)
    })
  }
  const answers: Readonly<Record<Question, (detail: unknown) => unknown>> = {
    statistics: control.stats,
    purge: detail => {
      const { mode = 'hard', dryRun = false, ...selector } = detail as PurgeRequest
      return control.purge(selector, { mode, dryRun })
    },
    entries: detail => control.entries(detail as EntriesQuery),
    entry: detail => control.entry((detail as EntryQuery).url),
    routes: instance.routeTable,
    state: instance.reasonsNotReady,
    metrics: () => instance.listener.metrics.metrics(),
    reload: instance.reload,
    drain: end
  }
  return {
    answer (asked: Asked, send: (answered: Answered) => void): void { answer(asked, () => answers[asked.question](asked.detail), send) },
    invalidate (batch: Batch): void {
      if (batch !== null) return batch.forEach(control.invalidate)
      log.logger.warn({ code: 'invalidations_lost' }, 'more was invalidated in other workers than this one could be told: everything is dropped')
      control.purge({ all: true }).catch((error: unknown) => { log.logger.error({ err: error }, 'dropping everything failed') })
    }
  }
}
