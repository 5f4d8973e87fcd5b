/**
 * A map in pieces. One `Map` of a million keys hashes all of them anew when it has to grow, and again each time it
 * has become small: tenths of a second in which nobody is answered. Of a piece that is a millisecond.
 */

/** A power of two. With 16 million keys, the most that a `Map` holds, each piece has as many as take some milliseconds. */
const pieces = 256

/** Characters at either end of a key that are looked at: two long ones that differ between them alone are in one piece. */
const end = 128

/** Number of the piece that a key is in. Who chooses keys that all fall into one has what a `Map` would be, no less. */
export function pieceOf (key: string): number {
  const { length } = key
  let hash = length
  for (let i = 0; i < length; i++) {
    if (i === end && length > 2 * end) i = length - end
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  }
  return (hash ^ (hash >>> 15)) & (pieces - 1)
}

export class ShardedMap<V> {
  readonly #pieces: ReadonlyArray<Map<string, V>> = Array.from({ length: pieces }, () => new Map<string, V>())

  get size (): number { return this.#pieces.reduce((size, piece) => size + piece.size, 0) }

  get (key: string): V | undefined { return this.#pieceWith(key).get(key) }

  set (key: string, value: V): void { this.#pieceWith(key).set(key, value) }

  delete (key: string): boolean { return this.#pieceWith(key).delete(key) }

  /** In no order that means anything; as with a Map, what is added or taken out meanwhile does no harm. */
  * values (): Generator<V, void> {
    for (const piece of this.#pieces) for (const value of piece.values()) yield value
  }

  clear (): void { for (const piece of this.#pieces) piece.clear() }

  #pieceWith (key: string): Map<string, V> { return this.#pieces[pieceOf(key)] as Map<string, V> }
}
