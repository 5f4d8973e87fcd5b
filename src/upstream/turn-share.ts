/**
 * How much content of upstreams is taken in one turn of the event loop.
 *
 * Node reads from a socket that has more up to 2 MiB in one go, and from all sockets that have something before it looks at
 * anything else: what large responses bring would be worked on for tens of milliseconds, in which nobody else is
 * answered. So a response takes so much in a turn and no more, and when all together have had their share none goes on
 * and none begins until the next; first come, first served. In small portions all would take turns piece by piece, which
 * costs a third more for 1 MiB than to read it in one go.
 */

/** All together: to read, record and pass on so much takes some milliseconds. */
const shareBytes = 512 * 1024

/** One response, once it has begun. */
const portionBytes = 256 * 1024

/** Whose content waits. */
export interface Waiting {
  /** It may go on. */
  goOn (): void
}

export class TurnShare {
  #leftBytes = shareBytes
  #waiting: Waiting[] = []
  #isDue = false
  /** Number of this turn, of those in which something was taken. */
  turn = 0

  /** Whether another response may begin now; where not, `waiting` is told when. */
  mayBegin (waiting: Waiting): boolean {
    if (this.#leftBytes > 0) return true
    this.wait(waiting)
    return false
  }

  take (bytes: number): void {
    this.#leftBytes -= bytes
    if (this.#isDue) return
    this.#isDue = true
    setImmediate(this.#nextTurn)
  }

  /** Tells `waiting` to go on in one of the next turns, once. Something has been taken in this one. */
  wait (waiting: Waiting): void { this.#waiting.push(waiting) }

  #nextTurn = (): void => {
    this.#isDue = false
    this.#leftBytes = shareBytes
    this.turn++
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    let at = 0
    // What goes on takes of the share, and may wait again behind the others.
    while (at < waiting.length && this.#leftBytes > 0) waiting[at++]?.goOn()
    if (at < waiting.length) this.#waiting = [...waiting.slice(at), ...this.#waiting]
  }
}

/** What one response has taken. */
export class Portion {
  readonly #share: TurnShare
  #turn = -1
  #bytes = 0
  #hasBegun = false

  constructor (share: TurnShare) {
    this.#share = share
  }

  /** Whether its next piece may be taken; where not, `waiting` is told when. Only the first may have to wait. */
  mayTake (waiting: Waiting): boolean {
    if (!this.#hasBegun && !this.#share.mayBegin(waiting)) return false
    this.#hasBegun = true
    return true
  }

  /** Takes a piece; whether the next one may come in this turn. */
  take (bytes: number): boolean {
    const { turn } = this.#share
    if (turn !== this.#turn) {
      this.#turn = turn
      this.#bytes = 0
    }
    this.#share.take(bytes)
    this.#bytes += bytes
    return this.#bytes < portionBytes
  }
}
