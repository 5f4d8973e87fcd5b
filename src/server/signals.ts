/** How a process ends: drained on a signal, at once on a second one, and never half-dead after an error nobody caught. */
import { Unavailable } from '../admin/request-error.ts'
import type { ProcessLog } from './logger.ts'

export interface SignalActions {
  readonly log: ProcessLog
  readonly drain: () => Promise<void>
  readonly reload: () => Promise<unknown>
  /** Called before a second signal ends the process without regard to what it still does. */
  readonly abandon?: () => void
}

export function endWithSignals ({ log, drain, reload, abandon }: SignalActions): void {
  let ending = false
  const end = (signal: string): void => {
    if (ending) {
      log.logger.warn({ signal }, 'second signal, exiting at once')
      abandon?.()
      log.flush()
      process.exit(1)
    }
    ending = true
    log.logger.info({ signal }, 'shutting down')
    drain().then(() => exit(0), (error: unknown) => {
      log.logger.error({ err: error }, 'shutting down failed')
      exit(1)
    })
  }
  const exit = (code: number): void => {
    log.flush()
    process.exit(code)
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.on('SIGHUP', () => {
    reload().catch((error: unknown) => {
      const what = error instanceof Unavailable ? 'not every worker has reloaded the configuration' : 'the configuration was not reloaded; nothing changed'
      log.logger.error({ err: error, code: 'reload_failed' }, what)
    })
  })
}

/** Another process acts on the signals and tells this one. */
export function ignoreSignals (): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => {})
}

export function endWithErrors (log: ProcessLog): void {
  const end = (error: unknown, kind: string): void => {
    log.logger.fatal({ err: error, kind }, 'uncaught error')
    log.flush()
    process.exit(1)
  }
  process.on('uncaughtException', error => { end(error, 'uncaughtException') })
  process.on('unhandledRejection', reason => { end(reason, 'unhandledRejection') })
}
