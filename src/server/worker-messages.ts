/** What primary and workers say to each other. */
import { RequestError } from '../admin/request-error.ts'
import type { Batch } from './outbox.ts'

export type Question = 'state' | 'metrics' | 'reload' | 'drain' | 'statistics' | 'purge' | 'entries' | 'entry' | 'routes'
/** Asked of a worker; or, `purge` alone, of the primary, for all of them. */
export interface Asked { readonly id: number, readonly question: Question, readonly detail?: unknown }
export interface Answered { readonly id: number, readonly answer?: unknown, readonly error?: string, readonly refused?: Pick<RequestError, 'code' | 'problems'> }
/** Told by a worker to the primary, and by that to all others; no answer comes. */
interface Invalidated { readonly invalidated: Batch }

export type ToWorker = Asked | Answered | Invalidated
export type ToPrimary = Asked | Answered | Invalidated | {
  /** From now on the worker hears what it is told. */
  readonly hears: true
}

/** Does what was asked and sends what came of it. */
export function answer ({ id }: Asked, act: () => unknown, send: (answered: Answered) => void): void {
  Promise.resolve().then(act).then(
    answer => { send({ id, answer }) },
    (error: unknown) => { send({ id, error: (error as Error).message, ...error instanceof RequestError && { refused: { code: error.code, problems: error.problems } } }) }
  )
}

/** Ends the promise of who asked. A refusal stays one, with its code and places. */
export function settle ({ answer, error, refused }: Answered, resolve: (answer: unknown) => void, reject: (error: Error) => void): void {
  if (refused !== undefined) reject(new RequestError(refused.code, refused.problems))
  else if (error !== undefined) reject(new Error(error))
  else resolve(answer)
}
