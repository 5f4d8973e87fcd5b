/** The one logger of a process: JSON lines through a buffered asynchronous destination. */
import pino, { type Logger } from 'pino'

/** Lines are gathered up to this size, so that a busy proxy does not pay a system call per line. */
const bufferBytes = 16 * 1024 - 1
/** Whoever reads the log has stopped: lines beyond this are dropped, and told of when it goes on. */
const maxHeldBytes = 64 * 1024 * 1024
const flushMs = 1000

export interface ProcessLog {
  readonly logger: Logger
  /** Writes out what is buffered, before the process ends. */
  flush (): void
}

export function createProcessLog (level: string): ProcessLog {
  const destination = pino.destination({ fd: 1, sync: false, minLength: bufferBytes, maxLength: maxHeldBytes })
  // The destination looks at all that it holds for each write, so it gets the lines of one turn of the event loop together.
  let lines = ''
  const handOver = (): void => {
    const text = lines
    lines = ''
    if (text !== '') destination.write(text)
  }
  const gathering = {
    write (line: string): void {
      if (lines === '') setImmediate(handOver)
      lines += line
    }
  }
  const logger = pino({ level, base: { pid: process.pid } }, gathering)
  const flush = (): void => {
    try {
      handOver()
      destination.flushSync()
    } catch {
      // Nothing was written yet, or whoever reads the log is gone.
    }
  }
  let dropped = 0
  destination.on('drop', (text: string) => { for (const char of text) if (char === '\n') dropped++ })
  // Told where it goes on: before, there is no room to tell it.
  destination.on('drain', () => {
    if (dropped === 0) return
    const lost = dropped
    dropped = 0
    logger.warn({ code: 'log_lines_dropped', lines: lost }, 'nobody read the log: lines were dropped')
  })
  const timer = setInterval(() => { destination.flush() }, flushMs)
  timer.unref()
  destination.on('error', () => {})
  return { logger, flush }
}
