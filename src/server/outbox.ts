/**
 * Invalidations on their way to another process, in order. One that takes nothing, because it is busy or stopped, does no
 * harm here: what waits for it is bounded, and beyond the bound it is told to drop everything in place of each.
 */
import type { Invalidation } from '../proxy/invalidation.ts'

/** What was invalidated, or null: everything may have been. */
export type Batch = readonly Invalidation[] | null

export interface Outbox { add (batch: Batch): void }

/** What waits, in characters of its texts. */
const maxWaiting = 1024 * 1024
/** What is invalidated in one turn of the other's event loop. */
const maxInBatch = 100

/** @param send calls back when the system has taken the batch, with an error when nobody will ever take one */
export function createOutbox (send: (batch: Batch, done: (error: Error | null) => void) => void): Outbox {
  let waiting: Invalidation[] = []
  let size = 0
  /** More waited than may. */
  let isOver = false
  let isSending = false
  /** Nothing is sent, nor kept, any more. */
  let isGone = false

  function sendNext (): void {
    if (isSending || (!isOver && waiting.length === 0)) return
    const batch = isOver ? null : waiting.splice(0, maxInBatch)
    isOver = false
    if (batch !== null) size -= sizeOf(batch)
    isSending = true
    send(batch, error => {
      isSending = false
      isGone = error !== null
      if (isGone) waiting = []
      else sendNext()
    })
  }

  return {
    add (batch) {
      if (isGone || isOver) return
      if (batch !== null) {
        waiting.push(...batch)
        size += sizeOf(batch)
      }
      if (batch === null || size > maxWaiting) {
        isOver = true
        waiting = []
        size = 0
      }
      sendNext()
    }
  }
}

function sizeOf (batch: readonly Invalidation[]): number {
  return batch.reduce((sum, { authority, uris, groups }) => [...uris, ...groups].reduce((sum, text) => sum + text.length, sum + authority.length), 0)
}
