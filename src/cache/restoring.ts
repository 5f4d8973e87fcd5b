/** Stored responses that outlive a restart: which are kept for it, and which may come back. */
import { isInvalidated, isSuperseded, type CacheContext } from './context.ts'
import { currentAge } from './freshness.ts'
import type { StoredEntry } from './store.ts'

/** Whether an entry is worth keeping: a stale one would only be validated. */
export function mayReturn (context: CacheContext, entry: StoredEntry, now: number): boolean {
  return isFresh(entry, now) && !isInvalidated(context, entry)
}

/** Stores an entry again, at its moment in the order of removals; false when it may not return. */
export function restore (context: CacheContext, entry: StoredEntry, now: number, scopes: ReadonlySet<string>): boolean {
  // What comes from the future would stay fresh for longer than its lifetime: the clock was set back.
  if (!isFresh(entry, now) || entry.response.receivedAt > now || !scopes.has(entry.scope)) return false
  if (isSuperseded(context, entry) || context.store.variants(entry.key).some(other => isFirst(other, entry))) return false
  // Before any request says so: an invalidation that comes first has to find it.
  if (entry.key !== entry.uri) context.severalKeys = true
  return context.store.put(entry, null)
}

function isFresh ({ response }: StoredEntry, now: number): boolean {
  return currentAge(response, now) < response.freshnessLifetime
}

/** Whether what is stored leaves no place for the entry: it is for the same requests, or younger and not told apart. */
function isFirst ({ response: stored }: StoredEntry, { response }: StoredEntry): boolean {
  const sameNames = stored.selecting.length === response.selecting.length && stored.selecting.every(({ name }, i) => name === response.selecting[i]?.name)
  if (!sameNames) return stored.receivedAt >= response.receivedAt
  return stored.selecting.every(({ value }, i) => value === response.selecting[i]?.value)
}
