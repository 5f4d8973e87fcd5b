/** One after the other, in the order in which they were asked for. */

/** Does a work when all before it are over, however they ended. */
export type Queue = <T>(work: () => Promise<T>) => Promise<T>

export function createQueue (): Queue {
  let last: Promise<unknown> = Promise.resolve()
  return work => {
    const done = last.then(work)
    last = done.catch(() => {})
    return done
  }
}
