/**
 * GreedyDual-Size with frequency (Cherkasova, HP Labs 1998, after Cao and Irani, USITS 1997): an item is worth its hits times
 * its cost by its bytes, on top of what the last one that left was worth, so that old worth fades.
 *
 * A heap in typed arrays; `lru-cache` has no order but that of use. A hit raises the worth, but the heap learns of it only
 * when the item comes to its top: a hit then costs two writes. Until then the item stands too far in front, never too far behind.
 */
import { Slots } from '../slots.ts'
import { float64s, int32s, moreSlots, uint8s, wider } from './columns.ts'
import { placeOf, putPlace } from './place.ts'
import type { EvictionPolicy, PolicyStatistics } from './policy.ts'

/** Added to each cost: connection and work of the proxy, so that what is free at the origin still has a worth. */
const baseCostMs = 1
const initialSlots = 64
const bytesPerSlot = 45

export class GdsfPolicy<T extends object> implements EvictionPolicy<T> {
  #items = new Slots<T>()
  /** Slots as a binary heap, least worth first. */
  #heap = int32s(initialSlots)
  /** In the heap; of a free slot the number of the one that was freed before it, -1 if there is none. */
  #position = int32s(initialSlots)
  /** Worth by which the heap is ordered. */
  #worth = float64s(initialSlots)
  /** Worth of what had left last, when it was last asked for. */
  #base = float64s(initialSlots)
  #size = float64s(initialSlots)
  #cost = float64s(initialSlots)
  #requests = int32s(initialSlots)
  #warm = uint8s(initialSlots)
  /** The slot that was freed last, -1 if none is free. */
  #free = -1
  /** Slots ever in use are below this number. */
  #used = 0
  #clock = 0
  bytes = 0
  count = 0

  get overheadBytes (): number { return Math.max(initialSlots, this.#used) * bytesPerSlot + this.#items.overheadBytes }

  insert (item: T, _hash: number, sizeBytes: number, costMs: number): void {
    const slot = this.#take()
    this.#size[slot] = sizeBytes
    this.#cost[slot] = costMs + baseCostMs
    this.#requests[slot] = 1
    this.#base[slot] = this.#clock
    this.#warm[slot] = 0
    this.#items.put(slot, item)
    putPlace(item, slot)
    this.bytes += sizeBytes
    this.#worth[slot] = this.#worthNow(slot)
    this.#rise(this.count++, slot)
  }

  replace (before: T, item: T, sizeBytes: number, costMs: number): void {
    const slot = this.#slotOf(before)
    if (slot === -1) return
    const requests = this.#requests[slot] as number
    // A validation costs little, and says nothing of what the content would cost again.
    const costAgain = costMs > 0 ? costMs : (this.#cost[slot] as number) - baseCostMs
    this.remove(before)
    this.insert(item, 0, sizeBytes, costAgain)
    this.#requests[placeOf(item)] = requests
  }

  touch (item: T): void {
    const slot = this.#slotOf(item)
    if (slot === -1) return
    this.#requests[slot] = (this.#requests[slot] as number) + 1
    this.#base[slot] = this.#clock
    this.#warm[slot] = 1
  }

  remove (item: T): boolean {
    const slot = this.#slotOf(item)
    if (slot === -1) return false
    this.#drop(slot)
    return true
  }

  has (item: T): boolean { return this.#slotOf(item) !== -1 }

  evict (): T | null {
    if (this.count === 0) return null
    for (;;) {
      const slot = this.#heap[0] as number
      const worth = this.#worthNow(slot)
      if (worth > (this.#worth[slot] as number)) {
        this.#worth[slot] = worth
        this.#sink(0, slot)
        continue
      }
      this.#clock = worth
      const item = this.#items.at(slot)
      this.#drop(slot)
      return item
    }
  }

  cool (item: T): boolean {
    const slot = this.#slotOf(item)
    if (slot === -1 || this.#warm[slot] === 0) return false
    this.#warm[slot] = 0
    return true
  }

  clear (): void {
    // Its columns as they are at first: what was written to stays in memory, and would not be counted. Made before anything changes.
    const empty = new GdsfPolicy<T>()
    this.#heap = empty.#heap
    this.#position = empty.#position
    this.#worth = empty.#worth
    this.#base = empty.#base
    this.#size = empty.#size
    this.#cost = empty.#cost
    this.#requests = empty.#requests
    this.#warm = empty.#warm
    this.#items = new Slots()
    this.#free = -1
    this.bytes = this.count = this.#used = this.#clock = 0
  }

  statistics (): PolicyStatistics {
    return { rules: { gdsf: { inForce: 1 } }, switches: 0, ghosts: 0, overheadBytes: this.overheadBytes }
  }

  #worthNow (slot: number): number {
    return (this.#base[slot] as number) + (this.#requests[slot] as number) * (this.#cost[slot] as number) / Math.max(1, this.#size[slot] as number)
  }

  #drop (slot: number): void {
    this.#items.put(slot, null)
    this.bytes -= this.#size[slot] as number
    const hole = this.#position[slot] as number
    this.#position[slot] = this.#free
    this.#free = slot
    const last = this.#heap[--this.count] as number
    if (last === slot) return
    this.#sink(hole, last)
    this.#rise(this.#position[last] as number, last)
  }

  #rise (position: number, slot: number): void {
    const worth = this.#worth[slot] as number
    while (position > 0) {
      const parent = (position - 1) >> 1
      const above = this.#heap[parent] as number
      if ((this.#worth[above] as number) <= worth) break
      this.#place(position, above)
      position = parent
    }
    this.#place(position, slot)
  }

  #sink (position: number, slot: number): void {
    const worth = this.#worth[slot] as number
    for (;;) {
      let child = position * 2 + 1
      if (child >= this.count) break
      if (child + 1 < this.count && (this.#worth[this.#heap[child + 1] as number] as number) < (this.#worth[this.#heap[child] as number] as number)) child++
      const below = this.#heap[child] as number
      if ((this.#worth[below] as number) >= worth) break
      this.#place(position, below)
      position = child
    }
    this.#place(position, slot)
  }

  #place (position: number, slot: number): void {
    this.#heap[position] = slot
    this.#position[slot] = position
  }

  #take (): number {
    if (this.#free !== -1) {
      const slot = this.#free
      this.#free = this.#position[slot] as number
      return slot
    }
    if (this.#used === this.#warm.length) this.#widen()
    return this.#used++
  }

  #widen (): void {
    // By the column that is widened last: where there is no memory for one of them, all are to be widened another time.
    const slots = moreSlots(this.#warm.length)
    const ints = (before: Int32Array<SharedArrayBuffer>) => wider(before, int32s(slots))
    const floats = (before: Float64Array<SharedArrayBuffer>) => wider(before, float64s(slots))
    this.#heap = ints(this.#heap)
    this.#position = ints(this.#position)
    this.#requests = ints(this.#requests)
    this.#worth = floats(this.#worth)
    this.#base = floats(this.#base)
    this.#size = floats(this.#size)
    this.#cost = floats(this.#cost)
    this.#warm = wider(this.#warm, uint8s(slots))
  }

  #slotOf (item: T): number {
    const slot = placeOf(item)
    return slot !== -1 && this.#items.at(slot) === item ? slot : -1
  }
}
