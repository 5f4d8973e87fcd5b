/**
 * How much content of all upstreams together is taken in one turn of the event loop.
 *
 * Node reads from a socket that has more up to 2 MiB in one go, and from all sockets that have something before it looks at
 * anything else: what large responses bring would be worked on for tens of milliseconds, in which nobody else is
 * answered. What is beyond the share waits for the next turn, and its socket with it; first come, first served.
 */

/** Taken in a turn: to read, record and pass on so much takes some milliseconds. */
const shareBytes = 1024 * 1024

/** Whose content waits. */
export interface Waiting {
  /** There is a share for it now, which it takes. */
  goOn (): void
}

export class TurnShare {
  #leftBytes = shareBytes
  #waiting: Waiting[] = []
  #isDue = false

  /** Whether content may be taken now; where not, `waiting` is told when, once. */
  take (bytes: number, waiting: Waiting): boolean {
    if (!this.#isDue) {
      this.#isDue = true
      setImmediate(this.#nextTurn)
    }
    if (this.#leftBytes <= 0) {
      this.#waiting.push(waiting)
      return false
    }
    this.#leftBytes -= bytes
    return true
  }

  #nextTurn = (): void => {
    this.#isDue = false
    this.#leftBytes = shareBytes
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    for (let i = 0; i < waiting.length; i++) {
      // What goes on takes of the share, and may wait again behind the others.
      if (this.#leftBytes <= 0) {
        this.#waiting = [...waiting.slice(i), ...this.#waiting]
        return
      }
      waiting[i]?.goOn()
    }
  }
}
