/**
 * What the primary says to a worker. It waits until the worker says that it hears: `node:cluster` listens itself from the first
 * moment on, so that Node does not keep for us what comes before we do.
 */
import type { Worker } from 'node:cluster'
import { createOutbox, type Outbox } from './outbox.ts'
import type { ToWorker } from './worker-messages.ts'

export interface WorkerLine {
  /** It hears. */
  open (): void
  /** @param done with an error when it is gone */
  send (message: ToWorker, done?: (error: Error | null) => void): void
  /** What was invalidated by the others. */
  readonly invalidated: Outbox
}

export function createWorkerLine (worker: Worker): WorkerLine {
  let open = (): void => {}
  const hears = new Promise<void>(resolve => { open = resolve })

  function send (message: ToWorker, done: (error: Error | null) => void = () => {}): void {
    hears.then(() => worker.send(message, done)).catch(done)
  }

  return { open, send, invalidated: createOutbox((batch, done) => { send({ invalidated: batch }, done) }) }
}
