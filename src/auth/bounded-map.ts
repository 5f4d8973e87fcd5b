/** A map that never holds more than so many members: the one not used for longest goes first. */
import { LRUCache } from 'lru-cache'

export interface BoundedMap<V> {
  /** Counts as a use. */
  get (key: string): V | undefined
  set (key: string, value: V): void
  delete (key: string): void
  clear (): void
  readonly size: number
}

export function createBoundedMap<V extends NonNullable<unknown>> (most: number): BoundedMap<V> {
  return new LRUCache<string, V>({ max: most })
}
