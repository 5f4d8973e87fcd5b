/**
 * GreedyDual-Size with frequency (Cherkasova, HP Labs 1998, after Cao and Irani, USITS 1997): an item is worth its hits times
 * its cost by its bytes, on top of what the last one that left was worth, so that old worth fades.
 *
 * A heap in typed arrays; `lru-cache` has no order but that of use. A hit raises the worth, but the heap learns of it only
 * when the item comes to its top: a hit then costs two writes. Until then the item stands too far in front, never too far behind.
 */
import { moreSlots, wider } from './columns.ts'
import { placeOf, putPlace } from './place.ts'
import type { EvictionPolicy, PolicyStatistics } from './policy.ts'

/** Added to each cost: connection and work of the proxy, so that what is free at the origin still has a worth. */
const baseCostMs = 1
const initialSlots = 64
const bytesPerSlot = 45

export class GdsfPolicy<T extends object> implements EvictionPolicy<T> {
  #items: Array<T | null> = []
  /** Slots as a binary heap, least worth first. */
  #heap = new Int32Array(initialSlots)
  #position = new Int32Array(initialSlots)
  /** Worth by which the heap is ordered. */
  #worth = new Float64Array(initialSlots)
  /** Worth of what had left last, when it was last asked for. */
  #base = new Float64Array(initialSlots)
  #size = new Float64Array(initialSlots)
  #cost = new Float64Array(initialSlots)
  #requests = new Int32Array(initialSlots)
  #warm = new Uint8Array(initialSlots)
  #free: number[] = []
  #clock = 0
  bytes = 0
  count = 0

  get overheadBytes (): number { return this.#heap.length * bytesPerSlot + this.#items.length * 8 }

  insert (item: T, _hash: number, sizeBytes: number, costMs: number): void {
    const slot = this.#free.pop() ?? this.count
    if (slot >= this.#heap.length) this.#grow()
    this.#size[slot] = sizeBytes
    this.#cost[slot] = costMs + baseCostMs
    this.#requests[slot] = 1
    this.#base[slot] = this.#clock
    this.#warm[slot] = 0
    this.#items[slot] = item
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
      const item = this.#items[slot] as T
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
    this.#items = []
    this.#free = []
    this.bytes = this.count = this.#clock = 0
  }

  statistics (): PolicyStatistics {
    return { rules: { gdsf: { inForce: 1 } }, switches: 0, ghosts: 0, overheadBytes: this.overheadBytes }
  }

  #worthNow (slot: number): number {
    return (this.#base[slot] as number) + (this.#requests[slot] as number) * (this.#cost[slot] as number) / Math.max(1, this.#size[slot] as number)
  }

  #drop (slot: number): void {
    this.#items[slot] = null
    this.bytes -= this.#size[slot] as number
    this.#free.push(slot)
    const last = this.#heap[--this.count] as number
    if (last === slot) return
    const hole = this.#position[slot] as number
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

  #grow (): void {
    const slots = moreSlots(this.#heap.length)
    const ints = (before: Int32Array<ArrayBuffer>) => wider(before, new Int32Array(slots))
    const floats = (before: Float64Array<ArrayBuffer>) => wider(before, new Float64Array(slots))
    this.#heap = ints(this.#heap)
    this.#position = ints(this.#position)
    this.#requests = ints(this.#requests)
    this.#worth = floats(this.#worth)
    this.#base = floats(this.#base)
    this.#size = floats(this.#size)
    this.#cost = floats(this.#cost)
    this.#warm = wider(this.#warm, new Uint8Array(slots))
  }

  #slotOf (item: T): number {
    const slot = placeOf(item)
    return slot !== -1 && this.#items[slot] === item ? slot : -1
  }
}
