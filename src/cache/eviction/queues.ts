/**
 * Three queues of slots on which every rule is written, so that a rule may follow another on the same items: what the one
 * has in its queues is where the other begins, and no item is moved for a change (see `rules/`).
 *
 * Own lists rather than `lru-cache` instances, because those do not serve here: SIEVE's hand rests in the middle of a list,
 * S3-FIFO counts hits without moving anything, an item goes from one queue to the next for good, and a rule has to
 * follow another without moving a million items. Numbers in typed arrays: 26 bytes a slot, no objects for the
 * garbage collector to walk, no Map lookup on a hit. `benchmark/eviction/operations.ts` holds both side by side.
 */
import { float64s, int32s, moreSlots, uint8s, wider } from './columns.ts'
import { GhostKeys } from './ghost.ts'
import { FrequencySketch } from './sketch.ts'

/** What the owner of the queues lets go for: it evicts until both hold. */
export interface Bounds {
  readonly maxBytes: number
  readonly maxEntries: number
  /** Of how many keys one is looked at, where these are the bounds of a sample; else 1. Items are as large in a sample as in the store. */
  readonly keysForOne?: number
}

export interface Queue { head: number, tail: number, bytes: number, count: number }

/** How items enter, move on a hit, and leave. */
export interface Rule {
  readonly name: string
  /** Reads the frequency sketch. */
  readonly usesSketch: boolean
  /** Remembers by itself what has left. */
  readonly usesGhost: boolean
  insert (queues: Queues, slot: number): void
  touch (queues: Queues, slot: number): void
  /** The slot that leaves, still in its queue; only asked when there is one. May move others. */
  victim (queues: Queues): number
}

/** Which queue a slot is in, beside none. */
export const entrance = 0
export const main = 1
export const shelter = 2
const none = 3

/**
 * Items that a rule may spare to find one that leaves: after so many it takes the next, for with a million of items, all of them hit,
 * one insertion would stop the event loop for tens of milliseconds. It does not matter to hit ratios: so many are never hot in a row.
 */
export const mostSpared = 5000

/** Two bits, as in the S3-FIFO paper. */
const mostHits = 3

const initialSlots = 64
const bytesPerSlot = 26

export class Queues {
  readonly queues: readonly [Queue, Queue, Queue] = [emptyQueue(), emptyQueue(), emptyQueue()]
  ghost = new GhostKeys()
  sketch = new FrequencySketch()
  next = int32s(initialSlots)
  prev = int32s(initialSlots)
  hash = int32s(initialSlots)
  size = float64s(initialSlots)
  /** Number of the request that last asked for it. */
  accessed = int32s(initialSlots)
  /** Hits, up to `mostHits`, less what the rule takes away. */
  hits = uint8s(initialSlots)
  queueOf = uint8s(initialSlots)
  /** SIEVE's hand; -1 for the tail. */
  hand = -1
  /** Items that an earlier rule has left in the entrance, where the present one still has to deal with them. */
  leftBehind = 0
  /** The same for the main queue. */
  unsorted = 0
  bytes = 0
  count = 0
  /** Frequencies, and what has left: kept for the rule in force, or for any that may follow. */
  keepSketch: boolean
  keepGhost = false
  bounds: Bounds
  #rule: Rule
  #requests = 0
  #used = 0
  #free = -1
  /** Slots for which there is room among what is remembered. */
  #remembered = initialSlots

  constructor (rule: Rule, bounds: Bounds) {
    this.#rule = rule
    this.bounds = bounds
    this.keepSketch = rule.usesSketch
  }

  get rule (): Rule { return this.#rule }
  /** All slots ever in use are below this number. */
  get slots (): number { return this.#used }
  get overheadBytes (): number {
    return Math.max(initialSlots, this.#used) * bytesPerSlot + this.ghost.overheadBytes + (this.keepSketch ? this.sketch.overheadBytes : 0)
  }

  /** Follows another rule from now on: constant time. */
  follow (rule: Rule): void {
    this.#rule = rule
    this.hand = -1
    this.leftBehind = this.queues[entrance].count
    this.unsorted = this.queues[main].count
  }

  insert (hash: number, size: number): number {
    const slot = this.#take()
    this.hash[slot] = hash
    this.size[slot] = size
    this.hits[slot] = 0
    this.bytes += size
    this.count++
    this.#note(slot)
    this.#rule.insert(this, slot)
    return slot
  }

  touch (slot: number): void {
    this.#note(slot)
    this.#rule.touch(this, slot)
  }

  countHit (slot: number): void {
    const hits = this.hits[slot] as number
    if (hits < mostHits) this.hits[slot] = hits + 1
  }

  resize (slot: number, size: number): void {
    const before = this.size[slot] as number
    this.size[slot] = size
    this.bytes += size - before
    this.queue(slot).bytes += size - before
  }

  remove (slot: number): void {
    this.unlink(slot)
    this.bytes -= this.size[slot] as number
    this.count--
    this.next[slot] = this.#free
    this.#free = slot
  }

  /** @returns the slot of what has left, -1 if there is nothing */
  evict (): number {
    if (this.count === 0) return -1
    const slot = this.#rule.victim(this)
    if (this.keepGhost && !this.#rule.usesGhost) this.ghost.add(this.hash[slot] as number, this.size[slot] as number)
    this.remove(slot)
    return slot
  }

  isOver (): boolean { return this.bytes > this.bounds.maxBytes || this.count > this.bounds.maxEntries }

  isHeld (slot: number): boolean { return this.queueOf[slot] !== none }

  /** Empty, and no larger than at the start. */
  clear (): void {
    // At once, or not at all where there is no memory for one of them.
    Object.assign(this, {
      next: int32s(initialSlots),
      prev: int32s(initialSlots),
      hash: int32s(initialSlots),
      size: float64s(initialSlots),
      accessed: int32s(initialSlots),
      hits: uint8s(initialSlots),
      queueOf: uint8s(initialSlots),
      ghost: new GhostKeys(),
      sketch: new FrequencySketch()
    })
    for (const queue of this.queues) Object.assign(queue, emptyQueue())
    this.bytes = this.count = this.leftBehind = this.unsorted = this.#used = 0
    this.#remembered = initialSlots
    this.hand = this.#free = -1
  }

  queue (slot: number): Queue { return this.queues[this.queueOf[slot] as 0 | 1 | 2] }

  push (which: 0 | 1 | 2, slot: number): void {
    const queue = this.queues[which]
    this.queueOf[slot] = which
    this.prev[slot] = -1
    this.next[slot] = queue.head
    if (queue.head === -1) queue.tail = slot
    else this.prev[queue.head] = slot
    queue.head = slot
    queue.bytes += this.size[slot] as number
    queue.count++
  }

  unlink (slot: number): void {
    const queue = this.queue(slot)
    const next = this.next[slot] as number
    const prev = this.prev[slot] as number
    // The hand goes on towards the head, and from there to the tail (-1).
    if (this.hand === slot) this.hand = prev
    if (prev === -1) queue.head = next
    else this.next[prev] = next
    if (next === -1) queue.tail = prev
    else this.prev[next] = prev
    queue.bytes -= this.size[slot] as number
    queue.count--
    this.queueOf[slot] = none
  }

  /** To the head of a queue, from wherever it is. */
  move (which: 0 | 1 | 2, slot: number): void {
    if (this.queues[which].head === slot) return
    this.unlink(slot)
    this.push(which, slot)
  }

  #note (slot: number): void {
    this.accessed[slot] = ++this.#requests
    if (this.keepSketch) this.sketch.count(this.hash[slot] as number)
  }

  #take (): number {
    const slot = this.#free
    if (slot !== -1) {
      this.#free = this.next[slot] as number
      return slot
    }
    if (this.#used === this.queueOf.length) this.#widen()
    if (this.#used === this.#remembered) this.#rememberMore()
    // Nobody has left for it, who would have led to that.
    this.ghost.move()
    return this.#used++
  }

  #widen (): void {
    // By the column that is widened last: where there is no memory for one of them, all are to be widened another time.
    const slots = moreSlots(this.queueOf.length)
    this.next = wider(this.next, int32s(slots))
    this.prev = wider(this.prev, int32s(slots))
    this.hash = wider(this.hash, int32s(slots))
    this.size = wider(this.size, float64s(slots))
    this.accessed = wider(this.accessed, int32s(slots))
    this.hits = wider(this.hits, uint8s(slots))
    this.queueOf = wider(this.queueOf, uint8s(slots))
  }

  /** As many keys are remembered as are held, and up to a quarter more: the size of the ghost in the S3-FIFO paper. */
  #rememberMore (): void {
    this.#remembered = initialSlots + Math.ceil(this.#remembered * 1.25)
    this.ghost.reserve(this.#remembered)
    if (this.keepSketch) this.sketch.reserve(this.#remembered)
  }
}

function emptyQueue (): Queue {
  return { head: -1, tail: -1, bytes: 0, count: 0 }
}
