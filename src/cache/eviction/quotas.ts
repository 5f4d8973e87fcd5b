/**
 * Soft quotas: of a group (a route) that has more than its share of the bytes, items leave before those of any other.
 *
 * Beside the policy, which knows nothing of groups: for each group that has a quota, its items in order of entrance and a
 * hand that walks round them, sparing what was hit since it came by (CLOCK). Groups without a quota cost nothing.
 */
import type { EvictionPolicy } from './policy.ts'

interface Group<T> {
  quotaBytes: number
  bytes: number
  readonly items: Set<T>
  /** A Set may be changed while it is walked; what is added comes last. Null before the first look: a hand at rest keeps every table that a growing Set has had. */
  hand: IterableIterator<T> | null
}

/** Items that the hand spares for one that leaves, so that one insertion takes bounded time. */
const mostSpared = 16

/** A place in a Set, half full on average. */
const bytesPerItem = 40

export class Quotas<T extends object> {
  readonly #groups = new Map<number, Group<T>>()
  readonly #above = new Set<Group<T>>()

  /** No group has ever had a quota: nothing is counted. */
  get isIdle (): boolean { return this.#groups.size === 0 }

  get overheadBytes (): number {
    let bytes = 0
    for (const { items } of this.#groups.values()) bytes += items.size * bytesPerItem
    return bytes
  }

  /**
   * @param bytesByGroup soft quotas
   * @returns whether there is one of a group that had none so far: its items have yet to be counted
   */
  set (bytesByGroup: ReadonlyMap<number, number>): boolean {
    const before = this.#groups.size
    for (const group of this.#groups.values()) group.quotaBytes = Infinity
    for (const [number, quotaBytes] of bytesByGroup) {
      const group = this.#groups.get(number)
      if (group !== undefined) group.quotaBytes = quotaBytes
      else this.#groups.set(number, createGroup(quotaBytes))
    }
    for (const group of this.#groups.values()) this.#weigh(group)
    return this.#groups.size > before
  }

  /** Of a group without a quota nothing is counted, and nothing twice. */
  add (number: number, item: T, sizeBytes: number): void {
    const group = this.#groups.get(number)
    if (group === undefined || group.items.has(item)) return
    group.items.add(item)
    group.bytes += sizeBytes
    this.#weigh(group)
  }

  remove (number: number, item: T, sizeBytes: number): void {
    const group = this.#groups.get(number)
    if (group === undefined || !group.items.delete(item)) return
    group.bytes -= sizeBytes
    this.#weigh(group)
  }

  /** The item that leaves for its group; null when no group is above its quota. */
  victim (policy: EvictionPolicy<T>): T | null {
    for (const group of this.#above) {
      for (let spared = 0; ; spared++) {
        const item = nextOf(group)
        if (item === null) break
        if (spared >= mostSpared || !policy.cool(item)) return item
      }
    }
    return null
  }

  bytesOf (number: number): number { return this.#groups.get(number)?.bytes ?? 0 }

  clear (): void {
    for (const group of this.#groups.values()) {
      group.items.clear()
      group.bytes = 0
      this.#weigh(group)
    }
  }

  #weigh (group: Group<T>): void {
    if (group.bytes > group.quotaBytes) this.#above.add(group)
    else this.#above.delete(group)
  }
}

function createGroup<T> (quotaBytes: number): Group<T> {
  const items = new Set<T>()
  return { quotaBytes, bytes: 0, items, hand: null }
}

function nextOf<T> (group: Group<T>): T | null {
  group.hand ??= group.items.values()
  const step = group.hand.next()
  if (step.done !== true) return step.value
  group.hand = group.items.values()
  const again = group.hand.next()
  return again.done === true ? null : again.value
}
