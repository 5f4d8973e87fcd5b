/**
 * Finds stored responses whose origin server declared by `No-Vary-Search` that other queries of the same path mean the
 * same. For each path the declaration seen last counts, as the draft's section 6 allows; the rest costs hits, never
 * correctness, since what is found is compared again.
 */
import type { KeyParts } from './key.ts'
import { pathKey } from './key.ts'
import { formatVariance, significantQuery, type SearchVariance } from './search-variance.ts'

/** Paths, and spellings of queries, remembered; the oldest goes first. */
const maxRemembered = 10_000

export interface SearchIndex {
  /** Remembers under which key the response for these parts is stored. */
  note (parts: KeyParts, key: string, variance: SearchVariance): void
  /** Key of a stored response that an equivalent query got, and the spelling its own query must have; null if none is known. */
  find (parts: KeyParts): { readonly key: string, readonly variance: SearchVariance } | null
  isEmpty (): boolean
  clear (): void
}

export function createSearchIndex (): SearchIndex {
  const variances = new Map<string, SearchVariance>()
  const keys = new Map<string, string>()

  function remember<T> (memory: Map<string, T>, name: string, value: T): void {
    memory.delete(name)
    memory.set(name, value)
    if (memory.size > maxRemembered) memory.delete(memory.keys().next().value as string)
  }
  const spelling = (path: string, parts: KeyParts, variance: SearchVariance): string => `${path}\n${formatVariance(variance)}\n${significantQuery(parts.query, variance)}`

  return {
    note (parts, key, variance) {
      const path = pathKey(parts)
      remember(variances, path, variance)
      remember(keys, spelling(path, parts, variance), key)
    },

    find (parts) {
      if (variances.size === 0) return null
      const path = pathKey(parts)
      const variance = variances.get(path)
      if (variance === undefined) return null
      const key = keys.get(spelling(path, parts, variance))
      return key === undefined ? null : { key, variance }
    },

    isEmpty: () => variances.size === 0,

    clear () {
      variances.clear()
      keys.clear()
    }
  }
}
