/** Questions to several workers at once, and what it means when not all of them answer. */
import type { Worker } from 'node:cluster'
import { RequestError, Unavailable } from '../admin/request-error.ts'
import type { FromWorker } from './worker-answers.ts'
import type { WorkerLine } from './worker-line.ts'
import type { Question } from './worker-messages.ts'

export interface WorkerQuestions {
  /** What is asked of those that have started: one that is starting has nothing stored, and nothing to tell. */
  askStarted<T> (question: Question, detail?: unknown): Promise<Array<FromWorker<T>>>
  /** What is asked of every worker; of one that is gone its cache is, too. */
  askEach<T> (question: Question, detail?: unknown): Promise<Array<FromWorker<T>>>
}

/** Both reject with what a worker refuses, or with `Unavailable` where not all answer. @param lines those that there are, at any time */
export function createQuestions (lines: ReadonlyMap<Worker, WorkerLine>): WorkerQuestions {
  async function ask<T> (asked: ReadonlyArray<[Worker, WorkerLine]>, question: Question, detail: unknown): Promise<Array<FromWorker<T>>> {
    const settled = await Promise.allSettled(asked.map(async ([worker, line]) => ({ worker: worker.process.pid ?? 0, answer: await line.ask(question, detail) as T })))
    const failures = settled.flatMap((one, i) => one.status === 'rejected' && lines.has(asked[i]?.[0] as Worker) ? [one.reason as Error] : [])
    const answers = settled.flatMap(one => one.status === 'fulfilled' ? [one.value] : [])
    const failure = failures.find(failure => failure instanceof RequestError) ?? failures.find(failure => !(failure instanceof Unavailable)) ?? failures[0]
    if (failure !== undefined && !(failure instanceof Unavailable)) throw failure
    if (failure !== undefined || answers.length === 0) {
      const reason = failure === undefined ? '' : ` (${failure.message})`
      throw new Unavailable(failure?.code ?? 'workers_silent', `${answers.length} of ${asked.length} workers answered${reason}; what these did is done. Ask again.`)
    }
    return answers
  }

  return {
    async askStarted (question, detail) {
      const started = [...lines].filter(([, line]) => line.isStarted)
      if (started.length === 0) throw new Unavailable('workers_silent', 'No worker has started. Ask again.')
      return await ask(started, question, detail)
    },

    askEach: async (question, detail) => await ask([...lines], question, detail)
  }
}
