/**
 * Finds stored responses whose origin server declared by `No-Vary-Search` that other queries of the same path mean the
 * same. For each path the declaration seen last counts, as the draft's section 6 allows; the rest costs hits, never
 * correctness, since what is found is compared again.
 */
import { LRUCache } from 'lru-cache'
import type { KeyParts } from './key.ts'
import { pathKey } from './key.ts'
import { formatVariance, significantQuery, type SearchVariance } from './search-variance.ts'
import { shortKey } from './short-key.ts'

/** Paths, and spellings of queries, remembered; the oldest goes first. */
const maxRemembered = 10_000

/** Bytes of either: keys are as long as clients make them, declarations as long as origin servers do. */
const maxBytes = 8 * 1024 * 1024

/** What one that is remembered costs beside its texts, about: its place in the map, and an object. */
const overheadBytes = 200

export interface SearchIndex {
  /** Remembers under which key the response for these parts is stored. */
  note (parts: KeyParts, key: string, variance: SearchVariance): void
  /** Key of a stored response that an equivalent query got, and the spelling its own query must have; null if none is known. */
  find (parts: KeyParts): { readonly key: string, readonly variance: SearchVariance } | null
  isEmpty (): boolean
  clear (): void
  /** Spellings of queries, and bytes of all that is remembered. */
  statistics (): { readonly entries: number, readonly bytes: number }
}

export function createSearchIndex (): SearchIndex {
  const variances = createMemory<SearchVariance>(variance => formatVariance(variance).length)
  const keys = createMemory<string>(key => key.length)

  const spelling = (path: string, parts: KeyParts, variance: SearchVariance): string => `${path}\n${formatVariance(variance)}\n${significantQuery(parts.query, variance)}`

  return {
    note (parts, key, variance) {
      const path = pathKey(parts)
      variances.remember(path, variance)
      keys.remember(spelling(path, parts, variance), key)
    },

    find (parts) {
      if (variances.size() === 0) return null
      const path = pathKey(parts)
      const variance = variances.get(path)
      if (variance === undefined) return null
      const key = keys.get(spelling(path, parts, variance))
      return key === undefined ? null : { key, variance }
    },

    isEmpty: () => variances.size() === 0,

    clear () {
      variances.clear()
      keys.clear()
    },

    statistics: () => ({ entries: keys.size(), bytes: variances.bytes() + keys.bytes() })
  }
}

/** Values by name, bounded in number and bytes. Long names are told apart by their digest. */
function createMemory<T extends NonNullable<unknown>> (bytesOf: (value: T) => number) {
  // Made when it is needed: it takes a quarter of a megabyte, and most origin servers declare nothing.
  let values: LRUCache<string, T> | null = null
  return {
    remember (long: string, value: T): void {
      values ??= new LRUCache<string, T>({ max: maxRemembered, maxSize: maxBytes, sizeCalculation: (one, name) => name.length + bytesOf(one) + overheadBytes })
      values.set(shortKey(long), value)
    },
    get: (long: string): T | undefined => values?.peek(shortKey(long)),
    size: () => values?.size ?? 0,
    bytes: () => values?.calculatedSize ?? 0,
    clear (): void { values?.clear() }
  }
}
