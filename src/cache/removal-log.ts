/**
 * Remembers what was removed lately, so that a response asked for before a removal is not stored after it.
 *
 * Bounded: of removals too old to be remembered it is only known when the latest of them was, and a response asked for
 * before that is taken as affected. Forgetting costs a stored response, never correctness.
 */
import { shortKey } from './short-key.ts'

/** Keys remembered; more than can be removed while one response is under way, short of an attack. */
const maxKeys = 10_000

/** The order in which removals happen, one for all logs of a cache. */
export interface RemovalClock { count: number }

export interface RemovalLog {
  /** This moment in the order of removals. */
  moment (): number
  note (key: string): void
  noteAll (): void
  /** Whether the key was, or may have been, removed after the moment. */
  happenedSince (key: string, moment: number): boolean
}

export function createRemovalLog (clock: RemovalClock): RemovalLog {
  const removedAt = new Map<string, number>()
  /** Every key counts as removed at this moment. */
  let floor = 0

  return {
    moment: () => clock.count,

    note (long) {
      const key = shortKey(long)
      removedAt.delete(key)
      removedAt.set(key, ++clock.count)
      if (removedAt.size <= maxKeys) return
      const [oldest, at] = removedAt.entries().next().value as [string, number]
      removedAt.delete(oldest)
      floor = at
    },

    noteAll () {
      removedAt.clear()
      floor = ++clock.count
    },

    happenedSince: (key, moment) => floor > moment || (removedAt.get(shortKey(key)) ?? 0) > moment
  }
}
