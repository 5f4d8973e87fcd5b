/** Least recently used first, by `lru-cache` as it is. */
import { LRUCache } from 'lru-cache'
import type { EvictionPolicy, PolicyStatistics } from './policy.ts'

interface Held { hits: number }

/**
 * What an item costs beside itself, measured (benchmark/eviction/operations.ts): slots of the list, Map entry and `Held`. It is
 * three times what the queues of the other policies take; who wants least memory chooses one of those.
 */
const bytesPerItem = 150

export class LruPolicy<T extends object> implements EvictionPolicy<T> {
  #items = this.#createList()
  #evicted: T | null = null

  get bytes (): number { return this.#items.calculatedSize }
  get count (): number { return this.#items.size }
  get overheadBytes (): number { return this.count * bytesPerItem }

  insert (item: T, _hash: number, sizeBytes: number): void { this.#items.set(item, { hits: 0 }, { size: sizeBytes }) }

  replace (before: T, item: T, sizeBytes: number): void {
    if (this.#items.delete(before)) this.#items.set(item, { hits: 1 }, { size: sizeBytes })
  }

  touch (item: T): void {
    const held = this.#items.get(item)
    if (held !== undefined) held.hits = 1
  }

  remove (item: T): boolean { return this.#items.delete(item) }
  has (item: T): boolean { return this.#items.has(item) }

  evict (): T | null {
    this.#evicted = null
    this.#items.pop()
    return this.#evicted
  }

  cool (item: T): boolean {
    const held = this.#items.peek(item)
    if (held === undefined || held.hits === 0) return false
    held.hits = 0
    return true
  }

  /** A new list: the old one would visit each item to say that it went. */
  clear (): void { this.#items = this.#createList() }

  statistics (): PolicyStatistics {
    return { rules: { lru: { inForce: 1 } }, switches: 0, ghosts: 0, overheadBytes: this.overheadBytes }
  }

  #createList (): LRUCache<T, Held> {
    return new LRUCache({
      // The store's bounds hold; this one only makes lru-cache keep count of sizes.
      maxSize: Number.MAX_SAFE_INTEGER,
      dispose: (_held, item, reason) => { if (reason === 'evict') this.#evicted = item }
    })
  }
}
