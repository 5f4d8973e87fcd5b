/**
 * Copies content on its way to the client, up to a limit and a budget shared by all recordings. Going over
 * either ends the recording and never the response.
 *
 * Where the length is known the copy is one piece of memory from early on, so that nothing has to be put together at the end,
 * which for large content would be a long turn of the event loop.
 */
import { textBytes } from './packed-entry.ts'
import { concatExact } from './parts.ts'

/** Bytes that all recordings of one cache may hold together. */
export interface RecordingBudget {
  readonly maxBytes: number
  usedBytes: number
  /** Part of these: memory taken for what is announced and has not come yet. */
  promisedBytes: number
  /** What has been recorded and is stored, but has no room there yet. */
  readonly waitingBytes: number
  /** Recordings under way. */
  running: number
}

export type RecordingEnd = 'too-large' | 'no-room' | 'incomplete'

export interface BodyRecorder {
  /** Copies a piece and gives back the copy; the piece itself when the recording has ended. */
  write (chunk: Buffer): Buffer
  /** False once the recording has ended. */
  isRunning (): boolean
  /** The whole content, or why there is none. Ends the recording. */
  finish (): Buffer | RecordingEnd
  /** Gives up, for instance because the content was cut short. */
  abandon (): void
}

/** Up to this length memory for all of it is taken with the first piece. */
const wholeAtOnceBytes = 1024 * 1024
/** Of longer content this share has to have come first, or so many bytes: who announces much and sends little gets little, and copying them is no long turn. */
const shareFirst = 1 / 8
const mostFirstBytes = 2 * 1024 * 1024

/** Of the budget no more than this is kept for what has not come: origin servers that send less than they announce leave the rest of it to others. */
const mostPromised = 1 / 2

/** @param expectedBytes content length as announced, or undefined: then it grows as it comes. */
export function createBodyRecorder (limitBytes: number, budget: RecordingBudget, expectedBytes: number | undefined): BodyRecorder {
  let pieces: Buffer[] = []
  /** All of the content, what has come of it in front; null as long as it is in `pieces`. */
  let whole: Buffer | null = null
  let receivedBytes = 0
  /** What counts in the budget. */
  let heldBytes = 0
  let promisedBytes = 0
  let ended: RecordingEnd | null = null

  function end (reason: RecordingEnd): void {
    if (ended === null) {
      ended = reason
      budget.running--
    }
    budget.usedBytes -= heldBytes
    heldBytes = 0
    promise(0)
    pieces = []
    whole = null
  }

  function promise (bytes: number): void {
    budget.promisedBytes += bytes - promisedBytes
    promisedBytes = bytes
  }

  /** Takes memory for `bytes` in all from the budget, if there is room. */
  function hold (bytes: number): boolean {
    const more = bytes - heldBytes
    if (budget.usedBytes + budget.waitingBytes + more > budget.maxBytes) return false
    budget.usedBytes += more
    heldBytes = bytes
    return true
  }

  function takeWhole (soonBytes: number): void {
    if (whole !== null || expectedBytes === undefined || soonBytes > expectedBytes) return
    if (expectedBytes > wholeAtOnceBytes && soonBytes < Math.min(expectedBytes * shareFirst, mostFirstBytes)) return
    const toComeBytes = expectedBytes - soonBytes
    // One alone may be larger: copied later, so much would be a long turn.
    if (budget.promisedBytes > 0 && budget.promisedBytes + toComeBytes > budget.maxBytes * mostPromised) return
    if (!hold(expectedBytes)) return
    promise(toComeBytes)
    // Small content becomes text: its bytes go soon, and come from what many share.
    whole = expectedBytes <= textBytes ? Buffer.allocUnsafe(expectedBytes) : Buffer.allocUnsafeSlow(expectedBytes)
    let at = 0
    for (const piece of pieces) at += piece.copy(whole, at)
    pieces = []
  }

  budget.running++
  if (expectedBytes !== undefined && expectedBytes > limitBytes) end('too-large')

  return {
    write (chunk) {
      if (ended !== null) return chunk
      const soonBytes = receivedBytes + chunk.length
      if (soonBytes > limitBytes) end('too-large')
      else if (expectedBytes !== undefined && soonBytes > expectedBytes) end('incomplete')
      else {
        takeWhole(soonBytes)
        if (soonBytes > heldBytes && !hold(soonBytes)) end('no-room')
      }
      if (ended !== null) return chunk
      const at = receivedBytes
      receivedBytes = soonBytes
      if (whole !== null) {
        chunk.copy(whole, at)
        promise(whole.length - soonBytes)
        return whole.subarray(at, soonBytes)
      }
      // A copy of exact size: the piece is a view into a socket buffer of up to 64 KiB, which must not stay alive with it.
      const copy = Buffer.allocUnsafeSlow(chunk.length)
      chunk.copy(copy)
      pieces.push(copy)
      return copy
    },

    isRunning: () => ended === null,

    finish () {
      if (ended !== null) return ended
      const content = whole ?? (pieces.length === 1 ? pieces[0] as Buffer : concatExact(pieces))
      end('incomplete')
      if (expectedBytes !== undefined && receivedBytes !== expectedBytes) return 'incomplete'
      return content
    },

    abandon () { if (ended === null) end('incomplete') }
  }
}
