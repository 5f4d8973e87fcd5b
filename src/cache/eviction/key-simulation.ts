/**
 * A cache of keys alone that follows one rule: what the hit ratio would be if the store followed it.
 *
 * Miniature simulation (Waldspurger et al., USENIX ATC 2017): where only every n-th key by its hash is looked at, a
 * cache of an n-th of the size has about the hit ratio of the whole.
 */
import { Queues, type Bounds, type Rule } from './queues.ts'

const empty = -1
const initialPlaces = 256

export class KeySimulation {
  readonly rule: Rule
  readonly #queues: Queues
  /** Slot numbers by hash, open addressing; at most half full. */
  #places = new Int32Array(initialPlaces).fill(empty)

  constructor (rule: Rule, bounds: Bounds) {
    this.rule = rule
    this.#queues = new Queues(rule, bounds)
  }

  get count (): number { return this.#queues.count }
  get overheadBytes (): number { return this.#queues.overheadBytes + this.#places.byteLength }

  /** A request for a key; whether it would have been a hit. */
  request (hash: number, sizeBytes: number): boolean {
    const queues = this.#queues
    const place = this.#find(hash)
    const slot = this.#places[place] as number
    if (slot !== empty) {
      queues.touch(slot)
      if (queues.size[slot] !== sizeBytes) {
        queues.resize(slot, sizeBytes)
        this.#shrink()
      }
      return true
    }
    if (sizeBytes > queues.bounds.maxBytes) return false
    if (this.#add(hash, sizeBytes)) this.#shrink()
    return false
  }

  remove (hash: number): void {
    const slot = this.#places[this.#find(hash)] as number
    if (slot === empty) return
    this.#forget(hash)
    this.#queues.remove(slot)
  }

  /** Goes on with fewer keys and a smaller size. */
  narrow (isSampled: (hash: number) => boolean, bounds: Bounds): void {
    const queues = this.#queues
    for (let slot = 0; slot < queues.slots; slot++) {
      if (queues.isHeld(slot) && !isSampled(queues.hash[slot] as number)) this.remove(queues.hash[slot] as number)
    }
    queues.bounds = bounds
    this.#shrink()
  }

  clear (): void {
    this.#queues.clear()
    this.#places.fill(empty)
  }

  /** False where there is no memory for it: nobody stores less for that, or fails, as may happen to those who only let something go. */
  #add (hash: number, sizeBytes: number): boolean {
    const queues = this.#queues
    try {
      if ((queues.count + 1) * 2 > this.#places.length) this.#grow()
      this.#places[this.#find(hash)] = queues.insert(hash, sizeBytes)
      return true
    } catch {
      return false
    }
  }

  #shrink (): void {
    const queues = this.#queues
    while (queues.isOver()) {
      const slot = queues.evict()
      if (slot === -1) return
      this.#forget(queues.hash[slot] as number)
    }
  }

  /** Where a hash is, or the free place where it would be. */
  #find (hash: number): number {
    const mask = this.#places.length - 1
    let place = hash & mask
    for (;;) {
      const slot = this.#places[place] as number
      if (slot === empty || this.#queues.hash[slot] === hash) return place
      place = (place + 1) & mask
    }
  }

  /** Frees the place of a hash and moves up what had to stand behind it (no tombstones). */
  #forget (hash: number): void {
    const places = this.#places
    const mask = places.length - 1
    let hole = this.#find(hash)
    for (let place = (hole + 1) & mask; places[place] !== empty; place = (place + 1) & mask) {
      const home = (this.#queues.hash[places[place] as number] as number) & mask
      if (((place - home) & mask) < ((place - hole) & mask)) continue
      places[hole] = places[place] as number
      hole = place
    }
    places[hole] = empty
  }

  #grow (): void {
    const before = this.#places
    this.#places = new Int32Array(before.length * 2).fill(empty)
    for (const slot of before) {
      if (slot !== empty) this.#places[this.#find(this.#queues.hash[slot] as number)] = slot
    }
  }
}
