/**
 * Has V8 collect what has left the store before that is much beside what is stored.
 *
 * V8 lets its heap grow to a multiple of what survived the last collection before it begins another one, up to four times
 * where much is stored in little time: memory that the bound of the store does not know of.
 */

/** Collected when this share of the bound has left: each collection looks at all that is stored, so less would cost much. */
const share = 1 / 8
/** Less is not worth a collection. */
const leastBytes = 16 * 1024 * 1024

/** Counts bytes that have left and are not freed by that, and calls `collect` each time that they are many. */
export class Garbage {
  readonly #mostBytes: number
  readonly #collect: () => void
  #bytes = 0

  constructor (maxBytes: number, collect: () => void = beginCollection) {
    this.#mostBytes = Math.max(leastBytes, maxBytes * share)
    this.#collect = collect
  }

  add (bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < this.#mostBytes) return
    this.#bytes = 0
    this.#collect()
  }
}

/** More than the 64 MB of memory outside of its heap after which V8 begins to mark, beside what the program does, in threads of its own. */
const ballastBytes = 80 * 1024 * 1024

/**
 * Lets V8 begin a collection as it does by itself, in small steps: by memory that is taken, never touched (so that the system
 * has none of it to give), and freed a turn later. `gc()` would stop the event loop for all of it.
 */
export function beginCollection (): void {
  try {
    const { buffer } = Buffer.allocUnsafeSlow(ballastBytes)
    setImmediate(() => { (buffer as ArrayBuffer).transfer(0) }).unref()
  } catch {
    // No room for it: then V8 has reason enough to collect.
  }
}
