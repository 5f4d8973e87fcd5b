/**
 * What the primary says to a worker. It waits until the worker says that it hears: `node:cluster` listens itself from the first
 * moment on, so that Node does not keep for us what comes before we do. Questions wait until it has started, and answers: here,
 * where they can be taken back when nobody waits for the answer any more.
 */
import type { Worker } from 'node:cluster'
import { Unavailable } from '../admin/request-error.ts'
import { createOutbox, type Outbox } from './outbox.ts'
import { settle, type Answered, type Asked, type Question, type ToWorker } from './worker-messages.ts'

export interface WorkerLine {
  /** The worker hears. */
  open (): void
  /** The worker has started. */
  start (): void
  readonly isStarted: boolean
  /** @param done with an error when it is gone */
  send (message: ToWorker, done?: (error: Error | null) => void): void
  /** Rejects with `Unavailable` when the worker does not answer in time, has too much to answer, or never will. */
  ask (question: Question, detail?: unknown): Promise<unknown>
  /** It has answered. */
  answered (answer: Answered): void
  /** Tells it to end: no answer comes. One that is starting has nothing to bring to an end. */
  end (): void
  /** It is gone: nobody waits for it any more. */
  close (): void
  /** What was invalidated by the others. */
  readonly invalidated: Outbox
}

export interface WorkerLineLimits {
  readonly answerMs: number
  readonly purgeMs: number
  /** Questions that are not answered, and messages that the system has not taken because the worker takes none. */
  readonly maxWaiting: number
}

/** A purge goes through a whole store in small pieces between requests; a thousand at once are what a cache takes. */
const usualLimits: WorkerLineLimits = { answerMs: 10_000, purgeMs: 60_000, maxWaiting: 1000 }

const silent = 'workers_silent'

export function createWorkerLine (worker: Pick<Worker, 'send' | 'process'>, { answerMs, purgeMs, maxWaiting }: WorkerLineLimits = usualLimits): WorkerLine {
  let open = (): void => {}
  const hears = new Promise<void>(resolve => { open = resolve })
  const pending = new Map<number, (answer: Answered) => void>()
  /** Asked of a worker that is starting; null when it has started. */
  let held: Map<number, Asked> | null = new Map()
  /** A reload for which nobody waits any more is due all the same: the worker may have read its configuration before. */
  let owesReload = false
  let asked = 0
  let untaken = 0
  const name = (): string => `worker ${worker.process.pid}`

  function send (message: ToWorker, done: (error: Error | null) => void = () => {}): void {
    untaken++
    const taken = (error: Error | null): void => {
      untaken--
      done(error)
    }
    hears.then(() => worker.send(message, taken)).catch(taken)
  }

  function answered (answer: Answered): void {
    held?.delete(answer.id)
    const end = pending.get(answer.id)
    pending.delete(answer.id)
    end?.(answer)
  }

  function sendQuestion (question: Asked): void {
    send(question, error => { if (error !== null) answered({ id: question.id, error: `${name()} is gone`, unavailable: silent }) })
  }

  return {
    open,
    send,
    answered,
    invalidated: createOutbox((batch, done) => { send({ invalidated: batch }, done) }),
    get isStarted () { return held === null },

    start () {
      const questions = [...held?.values() ?? []]
      held = null
      questions.forEach(sendQuestion)
      if (owesReload) sendQuestion({ id: ++asked, question: 'reload' })
    },

    ask (question, detail) {
      if (pending.size >= maxWaiting || untaken >= maxWaiting) return Promise.reject(new Unavailable('too_busy', `${name()} has too much to answer`))
      const id = ++asked
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          owesReload ||= held !== null && question === 'reload'
          answered({ id, error: held === null ? `${name()} did not answer` : `${name()} is still starting`, unavailable: silent })
        }, question === 'purge' ? purgeMs : answerMs)
        pending.set(id, answer => {
          clearTimeout(timer)
          settle(answer, resolve, reject)
        })
        if (held === null) sendQuestion({ id, question, detail })
        else held.set(id, { id, question, detail })
      })
    },

    end () {
      if (held !== null) worker.process.kill('SIGTERM')
      // It may have started this moment.
      send({ id: ++asked, question: 'drain' })
    },

    close () { for (const id of [...pending.keys()]) answered({ id, error: `${name()} is gone`, unavailable: silent }) }
  }
}
