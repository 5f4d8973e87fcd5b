/**
 * What a store asks of a policy that says which stored item leaves next.
 *
 * A policy knows neither bounds nor clock: the store inserts, then evicts until its bounds hold (`eviction.ts`). Each item
 * is in a policy once; what a policy does not hold it takes for absent. Nothing throws but `insert` and `clear` where the system has
 * no memory: then an item is not in, and what was there is still there, or all of it has left.
 */
export interface EvictionPolicy<T extends object> {
  /** Bytes of all items held. */
  readonly bytes: number
  readonly count: number
  /** Memory of everything but the items themselves, in bytes. */
  readonly overheadBytes: number
  /**
   * Takes an item in after a miss.
   * @param hash 32 bits of its key; the same key has the same hash, also after it has left
   * @param costMs what the miss cost: milliseconds at the origin server
   */
  insert (item: T, hash: number, sizeBytes: number, costMs: number): void
  /** Puts a newer version of an item in its place, without counting a request. */
  replace (before: T, item: T, sizeBytes: number, costMs: number): void
  /** Counts a hit: constant time, no allocation. */
  touch (item: T): void
  /** Lets an item go for another reason than room. */
  remove (item: T): boolean
  has (item: T): boolean
  /** Chooses the item that leaves, lets it go and remembers what the policy needs of it; null when there is none. */
  evict (): T | null
  /** Whether an item was hit since it was last asked; asking takes some of that warmth away (as the hand of a clock does). */
  cool (item: T): boolean
  clear (): void
  statistics (): PolicyStatistics
}

export interface PolicyStatistics {
  /** Rules by name: the policy's own one, or those among which an adaptive one chooses. */
  readonly rules: Readonly<Record<string, RuleStatistics>>
  /** How often the rule in force has changed. */
  readonly switches: number
  /** Keys remembered of items that have left, and of sampled requests. */
  readonly ghosts: number
  readonly overheadBytes: number
}

export interface RuleStatistics {
  /** 1 for the rule that is followed, else 0. */
  readonly inForce: number
  /** Share of the sampled requests of late that would have been hits; absent where nothing is estimated. */
  readonly hitRatio?: number
}

export const policyNames = ['adaptive', 's3-fifo', 'lru', 'gdsf'] as const
export type PolicyName = (typeof policyNames)[number]
