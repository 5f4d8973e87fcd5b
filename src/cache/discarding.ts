/** Takes out what can never be used again and that nobody may ask for any more: it would lie there in the place of others. */
import { isInvalidated, type CacheContext } from './context.ts'
import type { StoredEntry } from './store.ts'
import { TurnsBusy } from './turns.ts'
import { covers, type VaryMode } from './vary.ts'

/**
 * Removes those that were invalidated, some milliseconds in a turn of the event loop. A lookup knows them by itself: what is
 * not reached for lack of turns costs room, never a wrong answer. Does not throw.
 */
export function discardInvalidated (context: CacheContext, entries: () => Iterable<StoredEntry>): void {
  const { clearings } = context
  const walk = { [Symbol.iterator]: () => entries()[Symbol.iterator]() }
  context.turns.run(walk, entry => {
    if (context.clearings !== clearings) return false
    if (isInvalidated(context, entry)) context.store.remove(entry)
    return true
  }).catch((error: unknown) => {
    if (!(error instanceof TurnsBusy)) context.safely(undefined, () => { throw error })
  })
}

/**
 * Removes the variants that are chosen for no request any more, because a younger response that is stored now is selected by
 * each of them (RFC 9111 4 and 4.1: the most recent of those that match). By meaning a variant may be chosen all the same.
 */
export function discardHidden (context: CacheContext, entry: StoredEntry, mode: VaryMode): void {
  const { selecting } = entry.response
  // What does not vary steps back behind what does; a part may not hold what is asked for.
  if (mode === 'meaning' || selecting.length === 0 || entry.parts !== null) return
  const variants = context.store.variants(entry.key)
  if (variants.length < 2) return
  const { dateAt } = entry.response
  for (const other of [...variants]) {
    if (other !== entry && other.response.dateAt <= dateAt && covers(selecting, other.response.selecting)) context.store.remove(other)
  }
}
