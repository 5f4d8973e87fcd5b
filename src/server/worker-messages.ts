/** What primary and workers say to each other. */
import { RequestError, Unavailable } from '../admin/request-error.ts'
import { TurnsBusy } from '../cache/turns.ts'
import type { Batch } from './outbox.ts'

export type Question = 'state' | 'metrics' | 'reload' | 'drain' | 'statistics' | 'purge' | 'entries' | 'entry' | 'routes'
/** Asked of a worker; or, `purge` alone, of the primary, for all of them. */
export interface Asked { readonly id: number, readonly question: Question, readonly detail?: unknown }
export interface Answered {
  readonly id: number
  readonly answer?: unknown
  readonly error?: string
  readonly refused?: Pick<RequestError, 'code' | 'problems'>
  /** Code of what can not be done now. */
  readonly unavailable?: string
}
/** Told by a worker to the primary, and by that to all others; no answer comes. */
interface Invalidated { readonly invalidated: Batch }

export type ToWorker = Asked | Answered | Invalidated | {
  /** It has heard all that was invalidated, and may end. */
  readonly finish: true
}
export type ToPrimary = Asked | Answered | Invalidated | {
  /** From now on the worker hears what was invalidated; it has started, and does all that it is asked; or nothing is in flight any more. */
  readonly now: 'hearing' | 'started' | 'drained'
}

/** Does what was asked and sends what came of it. */
export function answer ({ id }: Asked, act: () => unknown, send: (answered: Answered) => void): void {
  Promise.resolve().then(act).then(
    answer => { send({ id, answer }) },
    (error: unknown) => { send({ id, error: error instanceof Error ? error.message : String(error), ...reasonOf(error) }) }
  )
}

function reasonOf (error: unknown): Pick<Answered, 'refused' | 'unavailable'> {
  if (error instanceof RequestError) return { refused: { code: error.code, problems: error.problems } }
  return error instanceof Unavailable || error instanceof TurnsBusy ? { unavailable: error.code } : {}
}

/** Ends the promise of who asked. A refusal stays one, with its code and places. */
export function settle ({ answer, error, refused, unavailable }: Answered, resolve: (answer: unknown) => void, reject: (error: Error) => void): void {
  if (refused !== undefined) reject(new RequestError(refused.code, refused.problems))
  else if (error === undefined) resolve(answer)
  else reject(unavailable === undefined ? new Error(error) : new Unavailable(unavailable, error))
}
