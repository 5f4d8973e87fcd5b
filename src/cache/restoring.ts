/** Stored responses that outlive a restart: which are kept for it, and which may come back. */
import type { RouteCacheConfig } from '../config/schema.ts'
import { isInvalidated, isSuperseded, type CacheContext } from './context.ts'
import { currentAge } from './freshness.ts'
import { parseUriKey } from './key.ts'
import { PackedEntry } from './packed-entry.ts'
import { searchVariance } from './search-variance.ts'
import type { StoredEntry } from './store.ts'

/** The scopes in force, and what the rules of each say of `No-Vary-Search`. */
export type ScopeRules = ReadonlyMap<string, Pick<RouteCacheConfig, 'noVarySearch'>>

/** Whether an entry is worth keeping: a stale one would only be validated. */
export function mayReturn (context: CacheContext, entry: StoredEntry, now: number): boolean {
  return isFresh(entry, now) && !isInvalidated(context, entry)
}

/** Stores an entry again, at its moment in the order of removals; false when it may not return. */
export function restore (context: CacheContext, entry: StoredEntry, now: number, scopes: ScopeRules): boolean {
  const rules = scopes.get(entry.scope)
  // What comes from the future would stay fresh for longer than its lifetime: the clock was set back.
  if (!isFresh(entry, now) || entry.response.receivedAt > now || rules === undefined) return false
  if (isSuperseded(context, entry) || context.store.variants(entry.key).some(other => isFirst(other, entry))) return false
  // Before any request says so: an invalidation that comes first has to find it.
  if (entry.key !== entry.uri) context.severalKeys = true
  if (!context.put(entry, null)) return false
  if (rules.noVarySearch) noteSearch(context, entry)
  return true
}

/** Lets equivalent queries find it again. */
function noteSearch ({ searches }: CacheContext, entry: StoredEntry): void {
  // Few responses have the field, and to read all fields of each would take most of the time of a start.
  if (entry instanceof PackedEntry && !entry.head.includes('no-vary-search: ')) return
  const { key, uri } = entry
  const variance = searchVariance(entry.response.fields)
  const parts = parseUriKey(uri)
  if (variance !== null && parts !== null) searches.note({ ...parts, extra: key.slice(uri.length + 1) }, key, variance)
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
