/**
 * Typed arrays with a place for each slot, which grow as slots are needed.
 *
 * Copying them stops the event loop, 10 ms for 600,000 slots. So large ones grow seldom and by much: what was never written to
 * is no memory yet, the system gives pages as they are used (though Node counts it in `arrayBuffers`). Shared memory, which
 * nobody shares: other memory V8 takes for used, and would collect for it.
 */

export type Column = Int32Array<SharedArrayBuffer> | Float64Array<SharedArrayBuffer> | Uint8Array<SharedArrayBuffer>

/** By a quarter: twice as many would be half empty on average, and what is copied is a few bytes for each slot. */
const smallGrowth = 1.25
const least = 64
/** So many are copied in a millisecond. */
const mostSmall = 65_536
const growth = 32
const mostAtOnce = 8_000_000

/** How many slots to have next. */
export function moreSlots (slots: number): number {
  return slots < mostSmall ? least + Math.ceil(slots * smallGrowth) : Math.min(slots * growth, slots + mostAtOnce)
}

export function int32s (slots: number): Int32Array<SharedArrayBuffer> { return new Int32Array(new SharedArrayBuffer(slots * Int32Array.BYTES_PER_ELEMENT)) }
export function float64s (slots: number): Float64Array<SharedArrayBuffer> { return new Float64Array(new SharedArrayBuffer(slots * Float64Array.BYTES_PER_ELEMENT)) }
export function uint8s (slots: number): Uint8Array<SharedArrayBuffer> { return new Uint8Array(new SharedArrayBuffer(slots)) }

/** @returns `after`, which begins with what is in `before` */
export function wider<A extends Column> (before: A, after: A): A {
  after.set(before)
  return after
}
