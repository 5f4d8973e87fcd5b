/**
 * A page of what is stored, by hits, size or age. Pages are looks at a cache at work, not at a copy of it: each one goes
 * through the store anew and takes what comes after the last response of the page before.
 */
import type { CacheContext } from './context.ts'
import { selected, type Selection } from './selection.ts'
import type { StoredEntry } from './store.ts'

/** Most hits first; largest first; oldest first. */
export const listOrders = ['hits', 'bytes', 'age'] as const
export type ListOrder = typeof listOrders[number]

/** Responses that one page looks at. A larger store is not seen in whole, and the page says so. */
const maxScanned = 2_000_000

/** A place in the order. */
export interface ListPlace {
  readonly value: number
  /** Tells those of the same value apart. */
  readonly mark: number
}

export interface ListOptions {
  readonly order: ListOrder
  readonly limit: number
  /** Go on after this place; null from the start. */
  readonly after: ListPlace | null
  /** Different for each process, so that places in several caches can be told apart. */
  readonly seed: number
}

export interface ListedEntry {
  readonly entry: StoredEntry
  readonly place: ListPlace
}

export interface Listing {
  readonly listed: readonly ListedEntry[]
  /** Responses looked at. */
  readonly scanned: number
  /** All were. */
  readonly complete: boolean
}

export async function listEntries (context: CacheContext, selection: Selection, { order, limit, after, seed }: ListOptions): Promise<Listing> {
  let best: ListedEntry[] = []
  /** The last place that still matters, once there are enough. */
  let last: ListPlace | null = null
  let scanned = 0

  const cut = (): void => {
    best.sort((a, b) => comparePlaces(a.place, b.place))
    best = best.slice(0, limit)
    if (best.length === limit) last = (best.at(-1) as ListedEntry).place
  }

  await context.turns.run(selected(context, selection), entry => {
    if (++scanned >= maxScanned) return false
    if (entry === null) return true
    const value = valueOf(entry, order)
    // Most are told by their value alone, without the work of a mark.
    if ((last === null || value >= last.value) && (after === null || value <= after.value)) {
      const place = { value, mark: markOf(entry, seed) }
      if ((last === null || comparePlaces(place, last) < 0) && (after === null || comparePlaces(place, after) > 0)) {
        best.push({ entry, place })
        if (best.length >= 2 * limit) cut()
      }
    }
    return true
  })
  cut()
  return { listed: best, scanned, complete: scanned < maxScanned }
}

/** Negative when `a` comes first: the greater value, and of the same ones the smaller mark. */
export function comparePlaces (a: ListPlace, b: ListPlace): number {
  return b.value - a.value || a.mark - b.mark
}

function valueOf ({ hits, sizeBytes, response }: StoredEntry, order: ListOrder): number {
  if (order === 'hits') return hits
  // The instant it was made, which stays the same while it gets older.
  return order === 'bytes' ? sizeBytes : Math.round(response.initialAge * 1000) - response.receivedAt
}

/** A hash (cyrb53) of what tells an entry from others: keys may hold secrets, which a place must not give away. */
function markOf ({ key, response }: StoredEntry, seed: number): number {
  let a = 0xdeadbeef ^ seed
  let b = 0x41c6ce57 ^ seed
  const add = (text: string): void => {
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      a = Math.imul(a ^ code, 2654435761)
      b = Math.imul(b ^ code, 1597334677)
    }
  }
  add(key)
  for (const { name, value = '' } of response.selecting) {
    add(name)
    add(value)
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909)
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909)
  return 4294967296 * (2097151 & b) + (a >>> 0)
}
