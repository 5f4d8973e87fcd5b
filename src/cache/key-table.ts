/**
 * A hash table of values that know their keys, for a million of them.
 *
 * A lookup visits three places in memory: a pair of numbers (hash and slot), the slot, and the value with its key. A `Map` visits two
 * more, and the keys of others: a million of them are in no cache of the processor, and each place costs as much as a
 * thousand instructions. The pairs are in pieces, so that growing is a matter of microseconds; slots stay where they are, in
 * the order in which values came unless one is used again, so that a walk needs nothing but a number.
 */
import { keyedHash, randomHashKey, type HashKey } from './keyed-hash.ts'

/** Powers of two. */
const pieces = 64
const pieceBits = 6
const initialPairs = 16
const slotsPerBlock = 4096
const blockBits = 12

/** Pairs are `[hash, slot + 1]`; no slot where it is free. At most three quarters are in use. */
interface Piece { pairs: Int32Array, count: number }

export class KeyTable<V extends object> {
  readonly #keyOf: (value: V) => string
  readonly #hashKey: HashKey
  #pieces = createPieces()
  /** Values by slot, in blocks: one array of a million would be copied as a whole when it grows. */
  #blocks: Array<Array<V | undefined>> = []
  /** Slots ever in use are below this number; those that are free again. */
  #used = 0
  #free: number[] = []
  #size = 0
  /** How often it was emptied: slots are counted from 0 again then. */
  #clearings = 0
  /** The key asked for last: one that is stored is looked for, looked at and set, one after the other. */
  #lastKey = ''
  #lastHash: number

  /** @param keyOf never changes for a value while it is here */
  constructor (keyOf: (value: V) => string, hashKey: HashKey = randomHashKey()) {
    this.#keyOf = keyOf
    this.#hashKey = hashKey
    this.#lastHash = keyedHash('', hashKey)
  }

  get size (): number { return this.#size }

  get (key: string): V | undefined {
    const hash = this.#hashOf(key)
    const { pairs } = this.#pieceOf(hash)
    const place = this.#find(pairs, hash, key)
    const slot = (pairs[place + 1] as number) - 1
    return slot === -1 ? undefined : this.#at(slot)
  }

  /** Puts a value in the place of the one with the same key, or adds it. */
  set (value: V): void {
    const key = this.#keyOf(value)
    const hash = this.#hashOf(key)
    const piece = this.#pieceOf(hash)
    let place = this.#find(piece.pairs, hash, key)
    let slot = (piece.pairs[place + 1] as number) - 1
    if (slot === -1) {
      if ((piece.count + 1) * 8 > piece.pairs.length * 3) {
        piece.pairs = wider(piece.pairs)
        place = freePlace(piece.pairs, hash)
      }
      slot = this.#take()
      piece.pairs[place] = hash
      piece.pairs[place + 1] = slot + 1
      piece.count++
      this.#size++
    }
    (this.#blocks[slot >>> blockBits] as Array<V | undefined>)[slot & slotsPerBlock - 1] = value
  }

  delete (key: string): boolean {
    const hash = this.#hashOf(key)
    const piece = this.#pieceOf(hash)
    const place = this.#find(piece.pairs, hash, key)
    const slot = (piece.pairs[place + 1] as number) - 1
    if (slot === -1) return false
    ;(this.#blocks[slot >>> blockBits] as Array<V | undefined>)[slot & slotsPerBlock - 1] = undefined
    this.#free.push(slot)
    closeUp(piece.pairs, place)
    piece.count--
    this.#size--
    if (this.#size === 0) this.clear()
    return true
  }

  clear (): void {
    this.#pieces = createPieces()
    this.#blocks = []
    this.#free = []
    this.#used = this.#size = 0
    this.#clearings++
  }

  /** All values. May be walked while others come, some of which are passed by, and go. */
  * values (): Generator<V, void> {
    let clearings = this.#clearings
    for (let slot = 0; slot < this.#used; slot++) {
      const value = this.#at(slot)
      if (value === undefined) continue
      yield value
      // What has taken the place of the last one stands in front.
      if (clearings === this.#clearings) continue
      clearings = this.#clearings
      slot = -1
    }
  }

  #at (slot: number): V | undefined {
    return (this.#blocks[slot >>> blockBits] as Array<V | undefined>)[slot & slotsPerBlock - 1]
  }

  #take (): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if ((this.#used & slotsPerBlock - 1) === 0) this.#blocks.push(new Array<V | undefined>(slotsPerBlock).fill(undefined))
    return this.#used++
  }

  #hashOf (key: string): number {
    if (key === this.#lastKey) return this.#lastHash
    this.#lastKey = key
    this.#lastHash = keyedHash(key, this.#hashKey)
    return this.#lastHash
  }

  #pieceOf (hash: number): Piece { return this.#pieces[hash & pieces - 1] as Piece }

  /** Where the pair of a key is, or the free one where it would be. */
  #find (pairs: Int32Array, hash: number, key: string): number {
    const mask = pairs.length - 1
    for (let place = home(hash, mask); ; place = place + 2 & mask) {
      const slot = (pairs[place + 1] as number) - 1
      if (slot === -1 || (pairs[place] === hash && this.#keyOf(this.#at(slot) as V) === key)) return place
    }
  }
}

function createPieces (): readonly Piece[] {
  return Array.from({ length: pieces }, () => ({ pairs: new Int32Array(2 * initialPairs), count: 0 }))
}

/** By other bits of the hash than those that choose the piece. */
function home (hash: number, mask: number): number {
  return hash >>> pieceBits << 1 & mask
}

function freePlace (pairs: Int32Array, hash: number): number {
  const mask = pairs.length - 1
  let place = home(hash, mask)
  while (pairs[place + 1] !== 0) place = place + 2 & mask
  return place
}

/** Twice as many; no value is visited. */
function wider (before: Int32Array): Int32Array {
  const after = new Int32Array(2 * before.length)
  for (let i = 0; i < before.length; i += 2) {
    if (before[i + 1] === 0) continue
    const place = freePlace(after, before[i] as number)
    after[place] = before[i] as number
    after[place + 1] = before[i + 1] as number
  }
  return after
}

/** Frees a pair and moves up those that had to stand behind it (no tombstones). */
function closeUp (pairs: Int32Array, freed: number): void {
  const mask = pairs.length - 1
  let hole = freed
  for (let place = hole + 2 & mask; pairs[place + 1] !== 0; place = place + 2 & mask) {
    const from = home(pairs[place] as number, mask)
    if ((place - from & mask) < (place - hole & mask)) continue
    pairs[hole] = pairs[place] as number
    pairs[hole + 1] = pairs[place + 1] as number
    hole = place
  }
  pairs[hole + 1] = 0
}
