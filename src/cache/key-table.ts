/**
 * A hash table of values that know their keys, for a million of them.
 *
 * A million are in no cache of the processor, and each place in memory that has to be known before the next one can be asked for
 * costs as much as a thousand instructions. A lookup waits three times: for the hash and, at once with it, the value beside
 * it; for the value's own lines; and for its key, at once with what is read after it. A `Map` waits twice more, and looks at
 * the keys of others. The table is in pieces, so that growing is a matter of microseconds.
 *
 * Values are in slots as well, which stay where they are, in the order in which they came unless one is used again: a
 * walk needs nothing but a number, and goes through memory as it was filled.
 */
import { keyedHash, randomHashKey, type HashKey } from './keyed-hash.ts'
import { Slots } from './slots.ts'

/** Powers of two. */
const pieces = 64
const pieceBits = 6
const initialPairs = 16

/** Pairs are `[hash, slot + 1]`, with the value by the number of its pair; no slot where it is free. At most three quarters are in use. */
interface Piece<V> { pairs: Int32Array, values: Array<V | undefined>, count: number }

export class KeyTable<V extends object> {
  readonly #keyOf: (value: V) => string
  readonly #readAhead: (value: V) => void
  readonly #hashKey: HashKey
  #pieces = createPieces<V>()
  /** Values by slot; where there is none, the number of the slot that was freed before it, plus 1: a list of its own would be copied as a whole when it grows, for 20 ms. */
  #slots = new Slots<V | number>()
  /** The slot that was freed last, plus 1; 0 where none is free. */
  #free = 0
  #size = 0
  /** How often it was emptied: slots are counted from 0 again then. */
  #clearings = 0
  /** The key asked for last: one that is stored is looked for, looked at and set, one after the other. */
  #lastKey = ''
  #lastHash: number

  /**
   * @param keyOf never changes for a value while it is here
   * @param readAhead looks at what is going to be read of a value that was found, so that it is waited for together with the key
   */
  constructor (keyOf: (value: V) => string, readAhead: (value: V) => void = () => {}, hashKey: HashKey = randomHashKey()) {
    this.#keyOf = keyOf
    this.#readAhead = readAhead
    this.#hashKey = hashKey
    this.#lastHash = keyedHash('', hashKey)
  }

  get size (): number { return this.#size }

  get (key: string): V | undefined {
    const hash = this.#hashOf(key)
    const piece = this.#pieceOf(hash)
    return piece.values[this.#find(piece, hash, key) >>> 1]
  }

  /** Puts a value in the place of the one with the same key, or adds it. */
  set (value: V): void {
    const key = this.#keyOf(value)
    const hash = this.#hashOf(key)
    const piece = this.#pieceOf(hash)
    let place = this.#find(piece, hash, key)
    let slot = (piece.pairs[place + 1] as number) - 1
    if (slot === -1) {
      if ((piece.count + 1) * 8 > piece.pairs.length * 3) {
        widen(piece)
        place = freePlace(piece.pairs, hash)
      }
      slot = this.#take()
      piece.pairs[place] = hash
      piece.pairs[place + 1] = slot + 1
      piece.count++
      this.#size++
    }
    piece.values[place >>> 1] = value
    this.#slots.put(slot, value)
  }

  delete (key: string): boolean {
    const hash = this.#hashOf(key)
    const piece = this.#pieceOf(hash)
    const place = this.#find(piece, hash, key)
    const slot = (piece.pairs[place + 1] as number) - 1
    if (slot === -1) return false
    this.#slots.put(slot, this.#free)
    this.#free = slot + 1
    closeUp(piece, place)
    piece.count--
    this.#size--
    if (this.#size === 0) this.#shrink()
    return true
  }

  /** Visits nothing. Returns the values that were there, to be walked through afterwards. Throws, and changes nothing, where there is no memory. */
  clear (): Iterable<V> {
    const left = this.#slots
    this.#pieces = createPieces()
    this.#slots = new Slots()
    this.#free = this.#size = 0
    this.#clearings++
    return valuesIn(left)
  }

  /** All values. May be walked while others come, some of which are passed by, and go. */
  * values (): Generator<V, void> {
    let clearings = this.#clearings
    for (let slot = 0; slot < this.#slots.length; slot++) {
      const value = this.#slots.at(slot)
      if (!isValue(value)) continue
      yield value
      // What has taken the place of the last one stands in front.
      if (clearings === this.#clearings) continue
      clearings = this.#clearings
      slot = -1
    }
  }

  /** A free slot, or the next one, for a value that is put there at once. */
  #take (): number {
    if (this.#free === 0) return this.#slots.length
    const slot = this.#free - 1
    this.#free = this.#slots.at(slot) as number
    return slot
  }

  #shrink (): void {
    try {
      this.clear()
    } catch {
      // Empty it is, and as large as it was.
    }
  }

  #hashOf (key: string): number {
    if (key === this.#lastKey) return this.#lastHash
    this.#lastKey = key
    this.#lastHash = keyedHash(key, this.#hashKey)
    return this.#lastHash
  }

  #pieceOf (hash: number): Piece<V> { return this.#pieces[hash & pieces - 1] as Piece<V> }

  /** Where the pair of a key is, or the free one where it would be. */
  #find ({ pairs, values }: Piece<V>, hash: number, key: string): number {
    const mask = pairs.length - 1
    for (let place = home(hash, mask); ; place = place + 2 & mask) {
      if (pairs[place + 1] === 0) return place
      if (pairs[place] !== hash) continue
      const value = values[place >>> 1] as V
      this.#readAhead(value)
      if (this.#keyOf(value) === key) return place
    }
  }
}

function isValue<V extends object> (value: V | number | null): value is V { return typeof value === 'object' && value !== null }

function * valuesIn<V extends object> (slots: Slots<V | number>): Generator<V, void> {
  for (let slot = 0; slot < slots.length; slot++) {
    const value = slots.at(slot)
    if (isValue(value)) yield value
  }
}

function createPieces<V> (): ReadonlyArray<Piece<V>> {
  return Array.from({ length: pieces }, () => ({ pairs: new Int32Array(2 * initialPairs), values: createValues<V>(initialPairs), count: 0 }))
}

/** Without holes, which would be looked for in the prototype. */
function createValues<V> (length: number): Array<V | undefined> {
  return new Array<V | undefined>(length).fill(undefined)
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
function widen<V> (piece: Piece<V>): void {
  const { pairs, values } = piece
  piece.pairs = new Int32Array(2 * pairs.length)
  piece.values = createValues(2 * values.length)
  for (let from = 0; from < pairs.length; from += 2) {
    if (pairs[from + 1] === 0) continue
    const to = freePlace(piece.pairs, pairs[from] as number)
    piece.pairs[to] = pairs[from] as number
    piece.pairs[to + 1] = pairs[from + 1] as number
    piece.values[to >>> 1] = values[from >>> 1]
  }
}

/** Frees a pair and moves up those that had to stand behind it (no tombstones). */
function closeUp<V> ({ pairs, values }: Piece<V>, freed: number): void {
  const mask = pairs.length - 1
  let hole = freed
  for (let place = hole + 2 & mask; pairs[place + 1] !== 0; place = place + 2 & mask) {
    const from = home(pairs[place] as number, mask)
    if ((place - from & mask) < (place - hole & mask)) continue
    pairs[hole] = pairs[place] as number
    pairs[hole + 1] = pairs[place + 1] as number
    values[hole >>> 1] = values[place >>> 1]
    hole = place
  }
  pairs[hole + 1] = 0
  values[hole >>> 1] = undefined
}
