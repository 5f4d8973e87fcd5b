/** A policy over the three queues: one rule for good, or the one that a chooser finds the best at the time. */
import { Slots } from '../slots.ts'
import { placeOf, putPlace } from './place.ts'
import type { EvictionPolicy, PolicyStatistics } from './policy.ts'
import { Queues, type Bounds, type Rule } from './queues.ts'
import type { RuleChooser } from './rule-chooser.ts'

/**
 * Hits that are gathered before they are counted. What is counted of an item is in places all over the memory, which is waited for each
 * time; of several in a row the processor asks for the next ones meanwhile.
 */
const mostGathered = 16

export class QueuePolicy<T extends object> implements EvictionPolicy<T> {
  readonly #queues: Queues
  readonly #chooser: RuleChooser | null
  #items = new Slots<T>()
  /** Items whose hits are not counted yet, in their order: before anything else happens, they are. */
  readonly #touched = new Array<T | null>(mostGathered).fill(null)
  #gathered = 0

  constructor (rule: Rule, bounds: Bounds, chooser: RuleChooser | null = null) {
    this.#queues = new Queues(rule, bounds)
    this.#chooser = chooser
    if (chooser === null) return
    // The next rule may want them, and they cannot be made up afterwards.
    this.#queues.keepSketch = true
    this.#queues.keepGhost = true
  }

  get bytes (): number { return this.#queues.bytes }
  get count (): number { return this.#queues.count }
  get overheadBytes (): number { return this.#queues.overheadBytes + this.#items.overheadBytes + (this.#chooser?.overheadBytes ?? 0) }

  insert (item: T, hash: number, sizeBytes: number): void {
    this.#settle()
    this.#requested(hash, sizeBytes, false)
    this.#put(this.#queues.insert(hash, sizeBytes), item)
  }

  replace (before: T, item: T, sizeBytes: number): void {
    this.#settle()
    const slot = this.#slotOf(before)
    if (slot === -1) return
    this.#queues.resize(slot, sizeBytes)
    this.#put(slot, item)
  }

  touch (item: T): void {
    this.#touched[this.#gathered++] = item
    if (this.#gathered === mostGathered) this.#settle()
  }

  remove (item: T): boolean {
    this.#settle()
    const slot = this.#slotOf(item)
    if (slot === -1) return false
    this.#items.put(slot, null)
    this.#chooser?.remove(this.#queues.hash[slot] as number)
    this.#queues.remove(slot)
    return true
  }

  has (item: T): boolean { return this.#slotOf(item) !== -1 }

  evict (): T | null {
    this.#settle()
    const slot = this.#queues.evict()
    if (slot === -1) return null
    const item = this.#items.at(slot)
    this.#items.put(slot, null)
    return item
  }

  cool (item: T): boolean {
    this.#settle()
    const { hits } = this.#queues
    const slot = this.#slotOf(item)
    if (slot === -1 || hits[slot] === 0) return false
    hits[slot] = (hits[slot] as number) - 1
    return true
  }

  clear (): void {
    this.#touched.fill(null)
    this.#gathered = 0
    this.#queues.clear()
    this.#items = new Slots()
    this.#chooser?.clear()
  }

  statistics (): PolicyStatistics {
    this.#settle()
    const { rule, ghost } = this.#queues
    const chooser = this.#chooser
    return {
      rules: chooser?.rules ?? { [rule.name]: { inForce: 1 } },
      switches: chooser?.switches ?? 0,
      ghosts: ghost.count + (chooser?.sampledKeys ?? 0),
      overheadBytes: this.overheadBytes
    }
  }

  #settle (): void {
    const touched = this.#touched
    const gathered = this.#gathered
    if (gathered === 0) return
    this.#gathered = 0
    for (let i = 0; i < gathered; i++) {
      this.#count(touched[i] as T)
      touched[i] = null
    }
  }

  #count (item: T): void {
    const slot = this.#slotOf(item)
    if (slot === -1) return
    const queues = this.#queues
    queues.touch(slot)
    const hash = queues.hash[slot] as number
    // Of most keys the size is not asked for, and it lies in another place in memory.
    if (this.#chooser?.isSampled(hash) === true) this.#requested(hash, queues.size[slot] as number, true)
  }

  #requested (hash: number, sizeBytes: number, isHit: boolean): void {
    const chooser = this.#chooser
    if (chooser !== null && chooser.request(hash, sizeBytes, isHit)) this.#queues.follow(chooser.rule)
  }

  #put (slot: number, item: T): void {
    this.#items.put(slot, item)
    putPlace(item, slot)
  }

  #slotOf (item: T): number {
    const slot = placeOf(item)
    return slot !== -1 && this.#items.at(slot) === item ? slot : -1
  }
}
