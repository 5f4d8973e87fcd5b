/** A map that never holds more than so many members: the one not used for longest goes first. */
export interface BoundedMap<V> {
  /** Counts as a use. */
  get (key: string): V | undefined
  set (key: string, value: V): void
  delete (key: string): void
  clear (): void
  readonly size: number
}

export function createBoundedMap<V> (most: number): BoundedMap<V> {
  const members = new Map<string, V>()
  return {
    get (key) {
      const value = members.get(key)
      if (value === undefined) return undefined
      members.delete(key)
      members.set(key, value)
      return value
    },
    set (key, value) {
      members.delete(key)
      members.set(key, value)
      if (members.size > most) members.delete(members.keys().next().value as string)
    },
    delete (key) { members.delete(key) },
    clear () { members.clear() },
    get size () { return members.size }
  }
}
