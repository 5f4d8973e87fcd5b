/** What the cache asks of a store. The memory store fulfils it; an application may pass its own. */
import type { PolicyName, PolicyStatistics } from './eviction/policy.ts'
import type { RouteUsage } from './route-usage.ts'
import type { StoredResponse } from './stored-response.ts'

/** A stored response with its content, and its head made ready to be written. */
export interface StoredEntry {
  /** Primary cache key (RFC 9111 section 2). */
  readonly key: string
  /** Key of the target URI alone; differs from `key` where the route tells requests of one URI apart. */
  readonly uri: string
  /** The cache scope of the route that stored it: a fingerprint of the rules it was stored under. */
  readonly scope: string
  readonly response: StoredResponse
  /** Field lines `[name, value, ...]` as sent on a hit, without what is made per response (`Age`, `Cache-Status`). */
  readonly lines: readonly string[]
  /** The lines of a 304 made from this response (RFC 9110 15.4.5). */
  readonly notModifiedLines: readonly string[]
  /** Whole content, small one as a one-byte (latin1) string. Empty beside `parts`. */
  readonly body: Buffer | string
  /** Length of `body`. */
  readonly bodyBytes: number
  /** Only some of the content is here (RFC 9111 3.3); null for the whole. */
  readonly parts: StoredParts | null
  /** Keys of the groups it belongs to (RFC 9875). */
  readonly groups: readonly string[]
  /** What the origin server tagged it with (`Surrogate-Key`, `Cache-Tag`). */
  readonly tags: readonly string[]
  /** Moment of the request in the order of removals. */
  readonly moment: number
  /** Requests it answered; counted by the cache. */
  hits: number
  /** What this entry counts against the bound, in bytes. */
  readonly sizeBytes: number
  /** Tells an entry that frees its content when it leaves the store that somebody will read it later than in this turn of the event loop. */
  lend? (): void
}

/** Pieces of one content, in order, neither overlapping nor adjacent. */
export interface StoredParts {
  /** Length of the whole content. */
  readonly totalBytes: number
  readonly segments: readonly Segment[]
}

export interface Segment {
  /** Position of its first byte in the whole content. */
  readonly start: number
  readonly bytes: Buffer
}

export interface StoreStatistics {
  /** Never more than `maxBytes`: without `excessBytes`. */
  readonly bytes: number
  readonly maxBytes: number
  readonly entries: number
  readonly maxEntries: number
  /** Stored responses that had to leave for lack of room, for more variants than a key may have as well. */
  readonly evictions: number
  /** Primary keys that have stored responses. */
  readonly keys: number
  /** Different tags of stored responses. */
  readonly tags: number
  /** What the memory store knows besides; another one may leave it out. */
  readonly memory?: MemoryStatistics
}

export interface MemoryStatistics {
  /** Evictions by cause: it was expired for good, its route was above its quota, its key had too many variants, the policy chose it. */
  readonly evictionsBy: Readonly<Record<'expired' | 'quota' | 'variants' | 'room', number>>
  readonly policy: PolicyName
  readonly eviction: PolicyStatistics
  /** By route: what it has stored, requests answered with it, and the bytes above which its responses leave first, where it has such a quota. */
  readonly routes: Readonly<Record<string, RouteUsage & { readonly quotaBytes?: number }>>
}

/**
 * Synchronous, because the hit path is. What throws here is a miss to the client (design: the cache fails open).
 *
 * A store gives back the very objects it was given: a soft purge shortens their freshness lifetime in place, and a
 * response that is no longer among its variants was removed, so that no validation under way brings it back.
 */
export interface CacheStore {
  /**
   * Bytes of what is stored for which room is yet to be made: where many have to leave for one, some do so later. They count as
   * held by recordings, not by the store. Absent where all leave at once.
   */
  readonly excessBytes?: number
  /** All stored responses under a primary key, newest last; an empty list if there are none. Not to be changed. */
  variants (key: string): readonly StoredEntry[]
  /** All stored responses. This and the next three may be iterated while the store changes. */
  entries (): Iterable<StoredEntry>
  /** Those that have a tag. */
  tagged (tag: string): Iterable<StoredEntry>
  /** Those in a cache group (RFC 9875), by the group's key. */
  grouped (group: string): Iterable<StoredEntry>
  /** Those of a URI, whatever else is in their keys. */
  ofUri (uri: string): Iterable<StoredEntry>
  /** Tells the store that an entry answered a request. */
  touch (entry: StoredEntry): void
  /**
   * Stores an entry in place of `replaces`; false when it does not fit the bounds.
   * @param costMs what the response cost: milliseconds until its head came; as before where it is left out
   */
  put (entry: StoredEntry, replaces: StoredEntry | null, costMs?: number): boolean
  /** Removes one entry. */
  remove (entry: StoredEntry): void
  /** Removes all under a primary key and returns how many there were. */
  removeKey (key: string): number
  /** Removes what the predicate names, a bounded batch per turn of the event loop; returns how many. */
  removeWhere (predicate: (entry: StoredEntry) => boolean): Promise<number>
  /** Drops everything in one short step, without a visit to each entry. */
  clear (): void
  statistics (): StoreStatistics
}
