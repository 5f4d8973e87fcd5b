/**
 * Work through many things without holding up requests: some milliseconds in a turn of the event loop, for all such work
 * together, and requests in between.
 */

/** Milliseconds of a turn that all work under way gets. */
const turnMs = 3

/** Things visited between two looks at the clock. */
const stride = 32

/** Pieces of work under way at once. */
const maxRunning = 1000

/** There is too much of it already. */
export class TurnsBusy extends Error {
  override readonly name = 'TurnsBusy'
  readonly code = 'too_busy'
  constructor () { super('Too many purges or listings are under way.') }
}

export interface Turns {
  /**
   * Visits everything, from the next turn on; what comes while it runs may be visited as well. `visit` returns `false` to
   * end it. Rejects with what `visit` throws, and with `TurnsBusy`.
   */
  run<T> (things: Iterable<T>, visit: (thing: T) => unknown): Promise<void>
}

interface Work {
  /** Goes on a little; true when it is over. */
  step (): boolean
}

export function createTurns (): Turns {
  const running = new Set<Work>()
  let isDue = false

  function turn (): void {
    isDue = false
    const endsAt = performance.now() + turnMs
    // A set is walked in the order of adding, and what is added meanwhile comes, too: everything gets its share.
    for (const work of running) {
      running.delete(work)
      if (!work.step()) running.add(work)
      if (performance.now() >= endsAt) break
    }
    schedule()
  }

  function schedule (): void {
    if (isDue || running.size === 0) return
    isDue = true
    setImmediate(turn)
  }

  return {
    run<T> (things: Iterable<T>, visit: (thing: T) => unknown): Promise<void> {
      if (running.size >= maxRunning) return Promise.reject(new TurnsBusy())
      return new Promise((resolve, reject) => {
        let iterator: Iterator<T> | null = null
        running.add({
          step () {
            try {
              iterator ??= things[Symbol.iterator]()
              for (let i = 0; i < stride; i++) {
                const { done, value } = iterator.next()
                if (done !== true && visit(value) !== false) continue
                resolve()
                return true
              }
              return false
            } catch (error) {
              reject(error instanceof Error ? error : new Error(String(error)))
              return true
            }
          }
        })
        schedule()
      })
    }
  }
}
