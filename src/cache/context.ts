/** What the actions of the cache share: the store, the order of removals, the budget for recordings, the counts. */
import type { RecordingBudget } from './body-recorder.ts'
import { PackedEntry } from './packed-entry.ts'
import type { PurgeCounts } from './purging.ts'
import { createRemovalLog, type RemovalLog } from './removal-log.ts'
import { createSearchIndex, type SearchIndex } from './search-index.ts'
import type { CacheStore, StoredEntry } from './store.ts'
import { defaultTagRules, type TagRules } from './tags.ts'
import { createTurns, type Turns } from './turns.ts'

export interface CacheContext {
  readonly store: CacheStore
  /** Removals of URIs. Entries are removed at once; what is under way must not bring them back. */
  readonly removals: RemovalLog
  /** Invalidations of groups, and of URIs whose responses have several keys: members are recognised when they are looked up. */
  readonly invalidations: RemovalLog
  /** Purges of tags. Entries are purged at once; what is under way is recognised when its tags are known. */
  readonly tagPurges: RemovalLog
  readonly tagRules: TagRules
  /** The work of purges and listings. */
  readonly turns: Turns
  readonly purges: PurgeCounts
  readonly searches: SearchIndex
  readonly budget: RecordingBudget
  /** Requests of one URI are told apart somewhere, so that its responses have several keys. */
  severalKeys: boolean
  /** How often everything was dropped at once: what was being walked then is not stored any more. */
  clearings: number
  readonly counts: { failures: number, hits: number, misses: number, stale: number, collapsed: number }
  /** Stores an entry (`CacheStore.put`). */
  put: CacheStore['put']
  /** Told of all that is purged or invalidated, by key; null when it is not a matter of keys. */
  onRemoval (key: string | null): void
  /** Runs what may throw because the store does: a failure is counted, told, and answered by `fallback`. */
  safely<T> (fallback: T, act: () => T): T
}

/** Recordings under way may together hold as much as half the store, and never less than this. */
const minRecordingBytes = 1024 * 1024

/** @param onFailure called when the store throws */
export function createContext (store: CacheStore, onFailure: (error: unknown) => void, tagRules: TagRules = defaultTagRules, onRemoval: CacheContext['onRemoval'] = () => {}): CacheContext {
  const counts = { failures: 0, hits: 0, misses: 0, stale: 0, collapsed: 0 }
  const clock = { count: 0 }
  const { maxBytes, memory } = store.statistics()
  return {
    store,
    removals: createRemovalLog(clock),
    invalidations: createRemovalLog(clock),
    tagPurges: createRemovalLog(clock),
    tagRules,
    turns: createTurns(),
    purges: {},
    severalKeys: false,
    clearings: 0,
    searches: createSearchIndex(),
    budget: { maxBytes: Math.max(minRecordingBytes, maxBytes / 2), usedBytes: 0, promisedBytes: 0, running: 0, get waitingBytes () { return store.excessBytes ?? 0 } },
    counts,
    // Another store keeps the entry as it is: with one text of its own, in place of content in memory that others share.
    put: memory !== undefined
      ? (entry, replaces, costMs) => store.put(entry, replaces, costMs)
      : (entry, replaces, costMs) => {
          if (entry instanceof PackedEntry) makeFlat(entry)
          return store.put(entry, replaces, costMs)
        },
    onRemoval,
    safely (fallback, act) {
      try {
        return act()
      } catch (error) {
        counts.failures++
        onFailure(error)
        return fallback
      }
    }
  }
}

/** Whether an entry, or one asked for at this moment, was invalidated by its group or its URI since. */
export function isInvalidated (context: CacheContext, { groups, key, uri, moment }: Pick<StoredEntry, 'groups' | 'key' | 'uri' | 'moment'>): boolean {
  const { invalidations } = context
  // Most entries have neither, and cost nothing here.
  if (groups.length > 0 && groups.some(group => invalidations.happenedSince(group, moment))) return true
  return key !== uri && invalidations.happenedSince(uri, moment)
}

type Origin = Pick<StoredEntry, 'groups' | 'key' | 'uri' | 'tags' | 'moment'>

/** Whether what was asked for at this moment must not be stored, nor be confirmed, because it was removed or purged since. */
export function isSuperseded (context: CacheContext, origin: Origin): boolean {
  const { removals, tagPurges } = context
  return removals.happenedSince(origin.uri, origin.moment) || isInvalidated(context, origin) || origin.tags.some(tag => tagPurges.happenedSince(tag, origin.moment))
}

/** Drops everything that is stored, at once: nothing is visited. Throws what the store throws. */
export function dropAll (context: CacheContext): void {
  context.searches.clear()
  context.clearings++
  context.store.clear()
}

/** Whether an entry is still there: it may have been purged while it was being validated. */
export function isStored ({ store }: CacheContext, entry: StoredEntry): boolean {
  return store.variants(entry.key).includes(entry)
}

/** Reading its text makes it one. */
function makeFlat (entry: PackedEntry): void { entry.textUpTo(0) }
