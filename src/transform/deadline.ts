/**
 * Own transformations that never come to an end: each holds its response, and what was collected for it. One that neither
 * gives anything, nor asks for more, nor ends is given up after a while. While it waits for its source, or nobody reads
 * what it gives, it is not to blame: who is has limits of their own.
 *
 * One that does not give back control at all holds up the whole process; nothing within it could end that.
 */
import { TransformError, type Content } from './transform.ts'

/** The same promise, or a failure when it takes longer than this; 0 for no limit. */
export function inTime<T> (name: string, timeoutMs: number, promise: PromiseLike<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = timeoutMs === 0 ? undefined : setTimeout(() => { reject(tooLong(name, timeoutMs)) }, timeoutMs).unref()
    const settled = (): void => { clearTimeout(timer) }
    promise.then(settled, settled)
    promise.then(resolve, reject)
  })
}

/** What `make` gives, piece by piece, as long as each comes in time. */
export function piecesInTime (name: string, timeoutMs: number, source: AsyncIterable<Buffer>, make: (content: AsyncIterable<Buffer>) => AsyncIterable<Content>): AsyncGenerator<Content> {
  let giveUp: (() => void) | null = null
  let isFed = false
  let timer: NodeJS.Timeout | undefined

  function look (): void {
    clearTimeout(timer)
    timer = giveUp === null || isFed || timeoutMs === 0 ? undefined : setTimeout(giveUp, timeoutMs).unref()
  }

  const made = iteratorOf(make(watched(source, waits => { isFed = waits; look() })))
  return pieces()

  async function * pieces (): AsyncGenerator<Content> {
    let isOpen = true
    try {
      for (;;) {
        const result = await new Promise<IteratorResult<Content>>((resolve, reject) => {
          giveUp = () => { reject(tooLong(name, timeoutMs)) }
          look()
          const next = Promise.resolve(made.next())
          next.then(undefined, () => { isOpen = false })
          next.then(resolve, reject)
        }).finally(() => { giveUp = null; look() })
        if (result.done === true) {
          isOpen = false
          return
        }
        yield result.value
      }
    } finally {
      // One that hangs hears of it when it goes on, if it ever does.
      if (isOpen) leave().catch(() => {})
    }
  }

  async function leave (): Promise<void> {
    await made.return?.()
  }
}

/** As `for await` takes it: what is not asynchronous will do. */
function iteratorOf (made: AsyncIterable<Content> | Iterable<Content>): AsyncIterator<Content> | Iterator<Content> {
  return Symbol.asyncIterator in made ? made[Symbol.asyncIterator]() : made[Symbol.iterator]()
}

/** The source; `wait` hears whether somebody waits for a piece of it. */
function watched (source: AsyncIterable<Buffer>, wait: (waits: boolean) => void): AsyncIterable<Buffer> {
  return {
    [Symbol.asyncIterator] () {
      const pieces = source[Symbol.asyncIterator]()
      return {
        next () {
          wait(true)
          return pieces.next().finally(() => { wait(false) })
        },
        return: async () => await (pieces.return?.() ?? { done: true, value: undefined })
      }
    }
  }
}

function tooLong (name: string, timeoutMs: number): TransformError {
  return new TransformError('transform_timeout', name, new Error(`nothing within ${timeoutMs} ms`))
}
