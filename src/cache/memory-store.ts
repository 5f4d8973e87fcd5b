/**
 * The stored responses of one process, over `lru-cache`: bounded in bytes, entries and variants per key.
 *
 * Each entry is its own key in the recency list; `index` leads from a primary key to its entries and is
 * corrected by the list's `dispose`, so that it never names what is gone.
 */
import { LRUCache } from 'lru-cache'
import type { CacheStore, StoredEntry, StoreStatistics } from './store.ts'
import { createTagIndex } from './tag-index.ts'

export interface MemoryStoreOptions {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly maxVariants: number
}

/** Entries looked at per turn of the event loop by `removeWhere`: about a millisecond of work. */
const batchEntries = 2000

const none: readonly StoredEntry[] = Object.freeze([])

export function createMemoryStore (options: MemoryStoreOptions): CacheStore {
  const index = new Map<string, StoredEntry[]>()
  const tags = createTagIndex()
  let evictions = 0

  const recency = options.maxBytes < 1
    ? null
    : new LRUCache<StoredEntry, StoredEntry>({
      maxSize: options.maxBytes,
      dispose (entry, _key, reason) {
        if (reason === 'evict') evictions++
        unlist(entry)
      }
    })

  function unlist (entry: StoredEntry): void {
    const entries = index.get(entry.key)
    if (entries === undefined) return
    const place = entries.indexOf(entry)
    if (place === -1) return
    tags.remove(entry)
    if (entries.length === 1) index.delete(entry.key)
    else entries.splice(place, 1)
  }

  return {
    variants: key => index.get(key) ?? none,

    * entries () {
      // Of several variants a copy, from which none is missed when one goes.
      for (const entries of index.values()) yield * entries.length === 1 ? entries : [...entries]
    },

    tagged: tags.tagged,

    * ofUri (uri) {
      yield * [...index.get(uri) ?? none]
      yield * tags.keyed(uri)
    },

    touch (entry) { recency?.get(entry) },

    put (entry, replaces) {
      if (recency === null || entry.sizeBytes > options.maxBytes) {
        if (replaces !== null) recency?.delete(replaces)
        return false
      }
      if (replaces !== null) recency.delete(replaces)
      tags.add(entry)
      const entries = index.get(entry.key)
      if (entries === undefined) {
        index.set(entry.key, [entry])
      } else {
        entries.push(entry)
        // The list is in the order of storing: the first is the oldest.
        if (entries.length > options.maxVariants) recency.delete(entries[0] as StoredEntry)
      }
      recency.set(entry, entry, { size: entry.sizeBytes })
      while (recency.size > options.maxEntries) {
        if (recency.pop() === undefined) break
      }
      return true
    },

    remove (entry) { recency?.delete(entry) },

    removeKey (key) {
      const entries = index.get(key)
      if (entries === undefined) return 0
      const doomed = [...entries]
      for (const entry of doomed) recency?.delete(entry)
      return doomed.length
    },

    async removeWhere (predicate) {
      let removed = 0
      let seen = 0
      for (const entries of index.values()) {
        for (const entry of [...entries]) {
          if (predicate(entry)) {
            recency?.delete(entry)
            removed++
          }
          seen++
        }
        // A Map may be changed while it is iterated; what is added behind us was stored after the call.
        if (seen >= batchEntries) {
          seen = 0
          await new Promise(resolve => { setImmediate(resolve) })
        }
      }
      return removed
    },

    clear () {
      recency?.clear()
      index.clear()
    },

    statistics (): StoreStatistics {
      return {
        bytes: recency?.calculatedSize ?? 0,
        maxBytes: options.maxBytes,
        entries: recency?.size ?? 0,
        maxEntries: options.maxEntries,
        evictions,
        keys: index.size,
        tags: tags.tags
      }
    }
  }
}
