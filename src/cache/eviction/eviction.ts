/**
 * Keeps items within bounds of bytes and count. Who leaves first: what is dead, then what is above a soft quota, then whom
 * the policy chooses.
 */
import { createPolicy } from './create-policy.ts'
import type { EvictionPolicy, PolicyName } from './policy.ts'
import { Quotas } from './quotas.ts'

/** Why an item left: it was dead, its group was above its quota, or the policy chose it. */
export type EvictionCause = 'expired' | 'quota' | 'room'

export interface EvictionOptions<T extends object> {
  readonly policy: PolicyName
  readonly maxBytes: number
  readonly maxEntries: number
  /** Called with each item that left for lack of room. */
  readonly onEvict: (item: T, cause: EvictionCause) => void
  /** Looks at a few items for one that is dead; asked when room is needed. */
  readonly findDead?: () => T | null
  /**
   * What each item's own size has in it for the memory of the policy. What the policy takes beyond that, and beyond what it took
   * empty, leaves less room for items. Absent: it is not counted, and sizes need not be bytes.
   */
  readonly itemOverheadBytes?: number
  /** Memory that is held and belongs to no item: it leaves less room for them. */
  readonly unusedBytes?: () => number
  /** Where it is given, what has to leave for one large item may do so in several steps: some at once, the rest when `makeRoom` is called. */
  readonly steps?: EvictionSteps
  /** Soft quotas, and the group and size of an item by which they are counted; they cost nothing until there are some. */
  readonly quotas?: { readonly groupOf: (item: T) => number, readonly sizeOf: (item: T) => number }
}

export interface EvictionSteps {
  /** Items that leave in one step. */
  readonly mostItems: number
  /** More than this is never above the bound after a step, however many have to leave for that. */
  readonly mostExcessBytes: number
}

export interface Eviction<T extends object> {
  /** For `touch`, `has` and statistics; what changes the items goes through the functions here. */
  readonly policy: EvictionPolicy<T>
  /** Bytes above the bound, which have yet to leave; 0 but between two steps. */
  readonly excessBytes: number
  /** Takes an item in and lets others go until the bounds hold, or for one step; whether it is still there then. */
  insert (item: T, hash: number, sizeBytes: number, costMs: number): boolean
  replace (before: T, item: T, sizeBytes: number, costMs: number): boolean
  remove (item: T): boolean
  /**
   * @param bytesByGroup soft quota of each group that has one
   * @returns whether a group has its first one: then each item held is to be told to `count`
   */
  setQuotas (bytesByGroup: ReadonlyMap<number, number>): boolean
  /** Counts an item that is held by its group, unless it is counted already. */
  count (item: T): void
  /** Takes the next step. */
  makeRoom (): void
  clear (): void
}

/** Looks for a dead item that one insertion takes in vain: where a large item takes the place of many, looking for each of them would cost as much as letting them go. */
const mostInVain = 16

export function createEviction<T extends object> (options: EvictionOptions<T>): Eviction<T> {
  const { maxBytes, maxEntries, onEvict, findDead, steps = { mostItems: Infinity, mostExcessBytes: 0 } } = options
  const policy = createPolicy<T>(options.policy, { maxBytes, maxEntries })
  const quotas = options.quotas === undefined ? null : { ...options.quotas, ledger: new Quotas<T>() }
  const emptyBytes = policy.overheadBytes

  function release (item: T): boolean {
    if (!policy.remove(item)) return false
    uncount(item)
    return true
  }

  function count (item: T): void {
    if (quotas !== null && !quotas.ledger.isIdle) quotas.ledger.add(quotas.groupOf(item), item, quotas.sizeOf(item))
  }

  function uncount (item: T): void {
    if (quotas !== null && !quotas.ledger.isIdle) quotas.ledger.remove(quotas.groupOf(item), item, quotas.sizeOf(item))
  }

  function roomBytes (): number {
    const { itemOverheadBytes, unusedBytes } = options
    const room = maxBytes - (unusedBytes?.() ?? 0)
    if (itemOverheadBytes === undefined) return room
    const overheadBytes = policy.overheadBytes - emptyBytes + (quotas?.ledger.overheadBytes ?? 0)
    return room - Math.max(0, overheadBytes - policy.count * itemOverheadBytes)
  }

  function excessBytes (): number { return Math.max(0, policy.bytes - roomBytes()) }

  function makeRoom (): void {
    let inVain = 0
    for (let left = 0; ; left++) {
      const excess = excessBytes()
      if (excess === 0 && policy.count <= maxEntries) return
      if (left >= steps.mostItems && excess <= steps.mostExcessBytes && policy.count <= maxEntries) return
      const expired = inVain < mostInVain ? findDead?.() ?? null : null
      if (expired === null) inVain++
      const first = expired ?? quotas?.ledger.victim(policy) ?? null
      if (first !== null && release(first)) {
        onEvict(first, expired === null ? 'quota' : 'expired')
        continue
      }
      const victim = policy.evict()
      if (victim === null) return
      uncount(victim)
      onEvict(victim, 'room')
    }
  }

  return {
    policy,
    get excessBytes () { return excessBytes() },

    insert (item, hash, sizeBytes, costMs) {
      policy.insert(item, hash, sizeBytes, costMs)
      count(item)
      makeRoom()
      return policy.has(item)
    },

    replace (before, item, sizeBytes, costMs) {
      if (!policy.has(before)) return false
      uncount(before)
      policy.replace(before, item, sizeBytes, costMs)
      count(item)
      makeRoom()
      return policy.has(item)
    },

    remove: release,

    setQuotas: bytesByGroup => quotas?.ledger.set(bytesByGroup) ?? false,

    count,
    makeRoom,

    clear () {
      policy.clear()
      quotas?.ledger.clear()
    }
  }
}
