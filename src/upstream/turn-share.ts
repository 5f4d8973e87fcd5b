/**
 * How much content of upstreams is taken in one turn of the event loop.
 *
 * Node reads from a socket that has more up to 2 MiB in one go, and from all sockets that have something before it looks at
 * anything else: what large responses bring would be worked on for tens of milliseconds, in which nobody else is
 * answered. So no response begins when all together have had their share, and one that has had its portion goes on in another
 * turn, which it may have for itself; first come, first served. In small pieces by turns 1 MiB would cost a third more.
 */

/** All together: to read, record and pass on so much takes some milliseconds. */
const shareBytes = 512 * 1024

/** One response: most have come to their end by then, and are not held up once they have begun. */
const portionBytes = 1024 * 1024

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
  /** The share of this turn is without the whole portion already. */
  #isPaid = false

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
    this.#renew()
    if (!this.#isPaid) this.#share.take(bytes)
    this.#bytes += bytes
    // Of 1 MiB the end is not to wait.
    return this.#bytes <= portionBytes
  }

  /** Goes on after it has waited for another portion. */
  goOn (): void {
    this.#renew()
    this.#isPaid = true
    this.#share.take(portionBytes)
  }

  #renew (): void {
    const { turn } = this.#share
    if (turn === this.#turn) return
    this.#turn = turn
    this.#bytes = 0
    this.#isPaid = false
  }
}
