/** A bounded first-in-first-out line whose members can leave it. */

export interface WaitingLine<T> {
  readonly size: number
  /** False when the line is full. */
  join (member: T): boolean
  leave (member: T): boolean
  /** The member that has waited longest. */
  first (): T | undefined
}

export function createWaitingLine<T> (maxSize: number): WaitingLine<T> {
  // A Set keeps the order of joining and forgets a member in constant time.
  const members = new Set<T>()
  return {
    get size () { return members.size },
    join (member) {
      if (members.size >= maxSize) return false
      members.add(member)
      return true
    },
    leave: member => members.delete(member),
    first: () => members.values().next().value
  }
}
