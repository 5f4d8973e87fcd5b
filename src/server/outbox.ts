/**
 * Invalidations on their way to another process, in order. One that takes nothing, because it is busy or stopped, does no
 * harm here: what waits for it is bounded, and beyond the bound it is told to drop everything in place of each.
 */
import type { Invalidation } from '../proxy/invalidation.ts'

/** What was invalidated, or null: everything may have been. */
export type Batch = readonly Invalidation[] | null

export interface Outbox {
  add (batch: Batch): void
  /** Calls back, perhaps at once, when nothing waits: all was taken, or nobody will ever take it. */
  whenEmpty (then: () => void): void
}

/** What waits takes about as much memory; several outboxes share it. */
const maxWaitingBytes = 4 * 1024 * 1024
/** An invalidation takes as much besides the characters of its texts, and each of these does. */
const ownBytes = 256
const textBytes = 32
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
  let onEmpty: Array<() => void> = []

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
      if (isSending) return
      const told = onEmpty
      onEmpty = []
      for (const then of told) then()
    })
  }

  return {
    add (batch) {
      if (isGone || isOver) return
      if (batch !== null) {
        waiting.push(...batch)
        size += sizeOf(batch)
      }
      if (batch === null || size > maxWaitingBytes) {
        isOver = true
        waiting = []
        size = 0
      }
      sendNext()
    },

    // What waits is being sent, or it is for nobody.
    whenEmpty (then) {
      if (isSending) onEmpty.push(then)
      else then()
    }
  }
}

function sizeOf (batch: readonly Invalidation[]): number {
  let size = 0
  for (const { authority, uris, groups } of batch) {
    size += ownBytes + authority.length
    for (const texts of [uris, groups]) for (const text of texts) size += textBytes + text.length
  }
  return size
}
