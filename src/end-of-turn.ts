/**
 * The end of a turn of the event loop, when all that has come in it was looked at: what leaves then leaves together, one right
 * behind the other. The processor is not torn between the system's code and ours for each, and who waits for them, where that is
 * on the same machine, is not woken up for each.
 */

export interface AtEndOfTurn { turnEnded (): void }

let writers: AtEndOfTurn[] = []
let followers: AtEndOfTurn[] = []

/** For what writes: once for each call, in their order. */
export function atEndOfTurn (writer: AtEndOfTurn): void {
  schedule()
  writers.push(writer)
}

/** For what wants to see it written. */
export function behindEndOfTurn (follower: AtEndOfTurn): void {
  schedule()
  followers.push(follower)
}

function schedule (): void {
  if (writers.length === 0 && followers.length === 0) setImmediate(turnEnded)
}

/** Also called before the end, for a connection that cannot wait for it. */
export function turnEnded (): void {
  const [writing, following] = [writers, followers]
  writers = []
  followers = []
  for (const writer of writing) apart(() => { writer.turnEnded() })
  for (const follower of following) apart(() => { follower.turnEnded() })
}

/** What one throws is for the process to catch, as ever; those that are behind it have their turn all the same. */
export function apart (act: () => void): void {
  try {
    act()
  } catch (error) {
    process.nextTick(() => { throw error })
  }
}
