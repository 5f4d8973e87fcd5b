/** Work that is done one after the other: all of it in the order in which it was asked for, or what is the same work once for all who wait. */

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

/**
 * Does the same work for whoever asks, once at a time: those who ask while it is being done wait for the next time, which is
 * one for all of them. So each gets the result of what began after it had asked, and no more than one is ever waiting.
 */
export function createShared<T> (work: () => Promise<T>): () => Promise<T> {
  const inOrder = createQueue()
  let waiting: Promise<T> | null = null
  return () => {
    waiting ??= inOrder(async () => {
      waiting = null
      return await work()
    })
    return waiting
  }
}
