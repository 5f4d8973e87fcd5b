/** Typed arrays with a place for each slot, which grow as slots are needed. */

export type Column = Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Uint8Array<ArrayBuffer>

/** By a quarter: twice as many would be half empty on average, and what is copied is a few bytes for each slot. */
const growth = 1.25
const least = 64

/** How many slots to have next. */
export function moreSlots (slots: number): number {
  return least + Math.ceil(slots * growth)
}

/** @returns `after`, which begins with what is in `before` */
export function wider<A extends Column> (before: A, after: A): A {
  after.set(before)
  return after
}
