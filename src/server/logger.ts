/** The one logger of a process: JSON lines through a buffered asynchronous destination. */
import pino, { type Logger } from 'pino'

/** Lines are gathered up to this size, so that a busy proxy does not pay a system call per line. */
const bufferBytes = 4096
const flushMs = 1000

export interface ProcessLog {
  readonly logger: Logger
  /** Writes out what is buffered, before the process ends. */
  flush (): void
}

export function createProcessLog (level: string): ProcessLog {
  const destination = pino.destination({ fd: 1, sync: false, minLength: bufferBytes })
  const logger = pino({ level, base: { pid: process.pid } }, destination)
  const flush = (): void => {
    try {
      destination.flushSync()
    } catch {
      // Nothing was written yet, or whoever reads the log is gone.
    }
  }
  const timer = setInterval(() => { destination.flush() }, flushMs)
  timer.unref()
  destination.on('error', () => {})
  return { logger, flush }
}
