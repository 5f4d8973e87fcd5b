/**
 * A map in pieces. One `Map` of a million keys hashes all of them anew when it has to grow, and again each time it
 * has become small: tenths of a second in which nobody is answered. Of a piece that is a millisecond.
 */

/**
 * A power of two. Of a million keys each piece has 16,000, which take one or two milliseconds; with more pieces walks take
 * longer.
 */
const pieces = 64

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

  /**
   * About in the order in which they came, one of each piece in turn: what came together lies together in memory, and a walk
   * piece by piece would wait for the memory with each value (a million took twice as long). As with a Map, what is
   * added or taken out meanwhile does no harm; what is added may be passed by.
   */
  * values (): Generator<V, void> {
    let walks = this.#pieces.filter(piece => piece.size > 0).map(piece => piece.values())
    while (walks.length > 0) {
      const over = new Set<MapIterator<V>>()
      for (const walk of walks) {
        const step = walk.next()
        if (step.done === true) over.add(walk)
        else yield step.value
      }
      if (over.size > 0) walks = walks.filter(walk => !over.has(walk))
    }
  }

  clear (): void { for (const piece of this.#pieces) piece.clear() }

  #pieceWith (key: string): Map<string, V> { return this.#pieces[pieceOf(key)] as Map<string, V> }
}
