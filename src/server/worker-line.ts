/**
 * What the primary says to a worker. It waits until the worker says that it hears: `node:cluster` listens itself from the first
 * moment on, so that Node does not keep for us what comes before we do.
 */
import type { Worker } from 'node:cluster'
import { createOutbox, type Outbox } from './outbox.ts'
import { settle, type Answered, type Question, type ToWorker } from './worker-messages.ts'

export interface WorkerLine {
  /** The worker hears. */
  open (): void
  /** @param done with an error when it is gone */
  send (message: ToWorker, done?: (error: Error | null) => void): void
  /** Rejects when the worker does not answer in time, or never will. */
  ask (question: Question, detail?: unknown): Promise<unknown>
  /** It has answered. */
  answered (answer: Answered): void
  /** It is gone: nobody waits for it any more. */
  close (): void
  /** What was invalidated by the others. */
  readonly invalidated: Outbox
}

const answerMs = 10_000
/** A purge goes through a whole store in small pieces between requests. */
const purgeMs = 60_000

const gone = 'the worker is gone'

export function createWorkerLine (worker: Worker): WorkerLine {
  let open = (): void => {}
  const hears = new Promise<void>(resolve => { open = resolve })
  const pending = new Map<number, (answer: Answered) => void>()
  let asked = 0

  function send (message: ToWorker, done: (error: Error | null) => void = () => {}): void {
    hears.then(() => worker.send(message, done)).catch(done)
  }

  function answered (answer: Answered): void {
    pending.get(answer.id)?.(answer)
    pending.delete(answer.id)
  }

  return {
    open,
    send,
    answered,
    invalidated: createOutbox((batch, done) => { send({ invalidated: batch }, done) }),

    ask (question, detail) {
      const id = ++asked
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => { answered({ id, error: `worker ${worker.process.pid} did not answer` }) }, question === 'purge' ? purgeMs : answerMs)
        pending.set(id, answer => {
          clearTimeout(timer)
          settle(answer, resolve, reject)
        })
        send({ id, question, detail }, error => { if (error !== null) answered({ id, error: gone }) })
      })
    },

    close () { for (const id of [...pending.keys()]) answered({ id, error: gone }) }
  }
}
