/**
 * Has V8 collect what has left the store before that is much beside what is stored.
 *
 * V8 lets its heap grow to a multiple of what survived the last collection before it begins another one, up to four times
 * where much is stored in little time: memory that the bound of the store does not know of. The texts of small responses are in
 * blocks outside of its heap (`text-arena.ts`); what is left to it are entries with their keys, large content that was handed
 * out, and blocks that were dropped.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8'

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

/** V8 by whose source this was made. Others may not know the flag, or have it by default. */
const knownV8 = /^13\.6\./
const byLimit = '--external-memory-accounted-in-global-limit'
const byGrowth = '--no-external-memory-accounted-in-global-limit'
let isByLimit = false

/** More of it outside of its heap than that, and V8 begins to collect by itself. */
const growthBytes = 64 * 1024 * 1024

/**
 * Has V8 take memory outside of its heap, such as content, for what it is beside the heap: one sum, with one limit, above
 * which it collects. By default it collects whenever there are 64 MB more of it, which are 640 responses of 100 KiB, and
 * with each piece of content that comes meanwhile it marks for up to 5 ms: a store that was full of small responses did
 * little else while large ones took their place.
 *
 * Not for stores of which 64 MB are much: there a collection costs little, and pieces that wait for slow clients have theirs
 * to leave. Nor for those that do not fit the heap's limit: the limit for both is at most twice that, and V8 collects without
 * an end once there is more. It is for the whole process, which therefore has to be ours.
 * @param maxBytes of the store
 * @returns whether it does
 */
export function collectByLimit (maxBytes: number): boolean {
  if (!knownV8.test(process.versions.v8) || maxBytes * share < growthBytes || maxBytes > getHeapStatistics().heap_size_limit) return false
  setFlagsFromString(byLimit)
  isByLimit = true
  return true
}

/** So that V8 begins to mark, beside what the program does, in threads of its own. */
const ballastBytes = growthBytes + 16 * 1024 * 1024

/**
 * Lets V8 begin a collection as it does by itself, in small steps: by memory that is taken, never touched (so that the system
 * has none of it to give), and freed a turn later. `gc()` would stop the event loop for all of it.
 */
export function beginCollection (): void {
  try {
    // For the time of this one piece alone the growth counts.
    if (isByLimit) setFlagsFromString(byGrowth)
    const { buffer } = Buffer.allocUnsafeSlow(ballastBytes)
    setImmediate(() => { (buffer as ArrayBuffer).transfer(0) }).unref()
  } catch {
    // No room for it: then V8 has reason enough to collect.
  } finally {
    if (isByLimit) setFlagsFromString(byLimit)
  }
}
