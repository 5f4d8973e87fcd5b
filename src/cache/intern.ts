/** Makes values that are equal one value, so that many stored responses share it. */

/** Distinct values remembered; the whole memory is dropped when it is full, after which sharing begins anew. */
const maxShared = 5000
/** Longer ones are not shared: few are equal, and what is remembered counts against no bound. */
const maxKeyLength = 1024

/** @param keyOf text that is the same for two values if and only if they are equal */
export function createInterner<T> (keyOf: (value: T) => string): (value: T) => T {
  const shared = new Map<string, T>()
  return value => {
    const key = keyOf(value)
    if (key.length > maxKeyLength) return value
    const known = shared.get(key)
    if (known !== undefined) return known
    if (shared.size >= maxShared) shared.clear()
    shared.set(key, value)
    return value
  }
}
