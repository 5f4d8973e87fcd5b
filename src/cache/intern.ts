/** Makes values that are equal one value, so that many stored responses share it. */

/** Distinct values remembered; the whole memory is dropped when it is full, after which sharing begins anew. */
const maxShared = 5000
/** Longer ones are not shared: few are equal, and what is remembered counts against no bound. */
const maxKeyLength = 1024

const numbers = new WeakMap<object, number>()
let last = 0

/**
 * @param keyOf text that is the same for two values if and only if they are equal; null for one that is not to be shared
 */
export function createInterner<T> (keyOf: (value: T) => string | null): (value: T) => T {
  const shared = new Map<string, T>()
  return value => {
    if (typeof value === 'object' && value !== null && numbers.has(value)) return value
    const key = keyOf(value)
    if (key === null || key.length > maxKeyLength) return value
    const known = shared.get(key)
    if (known !== undefined) return known
    if (shared.size >= maxShared) shared.clear()
    shared.set(key, value)
    if (typeof value === 'object' && value !== null) numbers.set(value, ++last)
    return value
  }
}

/** The number of a value that an interner shares, by which it is told apart from all others; undefined for any other. */
export function sharedNumber (value: object): number | undefined {
  return numbers.get(value)
}
