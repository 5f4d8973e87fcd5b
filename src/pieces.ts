/**
 * Long work written once, as a generator that yields wherever others may have their turn: done at once where nobody waits,
 * as at the start, or in pieces with requests answered in between.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Returns its result; what it yields says nothing. */
export type Pieces<T> = Generator<undefined, T, undefined>

/** Does all of a work. */
export type Run = <T>(work: Pieces<T>) => Promise<T>

/** Milliseconds of a turn of the event loop: what takes longer than this is between two yields. */
const pieceMs = 3

export function atOnce<T> (work: Pieces<T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

/** Begins in the next turn of the event loop, and gives way after some milliseconds of each. Rejects with what the work throws. */
export async function inPieces<T> (work: Pieces<T>): Promise<T> {
  for (;;) {
    await nextTurn()
    const endsAt = performance.now() + pieceMs
    do {
      const step = work.next()
      if (step.done === true) return step.value
    } while (performance.now() < endsAt)
  }
}
