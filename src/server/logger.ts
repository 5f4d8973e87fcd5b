/** The one logger of a process: JSON lines through a buffered asynchronous destination. */
import pino, { type Logger } from 'pino'

/** Lines are gathered up to this many characters, or for this long, so that a busy proxy does not pay a system call per line. */
const gatheredLength = 32 * 1024
const flushMs = 1000
/** Whoever reads the log has stopped: lines beyond this are dropped, and told of when it goes on. */
const maxHeldBytes = 64 * 1024 * 1024

const newline = 0x0a

export interface ProcessLog {
  readonly logger: Logger
  /** Writes out what is buffered, before the process ends. */
  flush (): void
}

export function createProcessLog (level: string): ProcessLog {
  // As bytes: of text the destination works out the length of all that it holds anew for each line. They are
  // gathered already: it is not to join them once more.
  const destination = pino.destination({ fd: 1, sync: false, minLength: 0, maxWrite: 1, maxLength: maxHeldBytes, contentMode: 'buffer' } as object)
  let lines = ''
  const handOver = (): void => {
    const text = lines
    lines = ''
    if (text !== '') (destination as unknown as { write (bytes: Buffer): boolean }).write(Buffer.from(text))
  }
  const gathering = {
    write (line: string): void {
      lines += line
      if (lines.length >= gatheredLength) handOver()
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
  destination.on('drop', (bytes: Buffer) => { for (const byte of bytes) if (byte === newline) dropped++ })
  // Told where it goes on: before, there is no room to tell it.
  destination.on('drain', () => {
    if (dropped === 0) return
    const lost = dropped
    dropped = 0
    logger.warn({ code: 'log_lines_dropped', lines: lost }, 'nobody read the log: lines were dropped')
  })
  const timer = setInterval(handOver, flushMs)
  timer.unref()
  destination.on('error', () => {})
  return { logger, flush }
}
