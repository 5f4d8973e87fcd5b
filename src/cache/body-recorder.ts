/**
 * Copies content on its way to the client, up to a limit and a budget shared by all recordings. Going over
 * either ends the recording and never the response.
 */
import { concatExact } from './parts.ts'

/** Bytes that all recordings of one cache may hold together. */
export interface RecordingBudget {
  readonly maxBytes: number
  usedBytes: number
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

/** @param expectedBytes content length as announced, or undefined: then it grows as it comes. */
export function createBodyRecorder (limitBytes: number, budget: RecordingBudget, expectedBytes: number | undefined): BodyRecorder {
  let pieces: Buffer[] = []
  let heldBytes = 0
  let ended: RecordingEnd | null = null

  function end (reason: RecordingEnd): void {
    if (ended === null) {
      ended = reason
      budget.running--
    }
    budget.usedBytes -= heldBytes
    heldBytes = 0
    pieces = []
  }

  budget.running++
  if (expectedBytes !== undefined && expectedBytes > limitBytes) end('too-large')

  return {
    write (chunk) {
      if (ended !== null) return chunk
      if (heldBytes + chunk.length > limitBytes) end('too-large')
      else if (budget.usedBytes + chunk.length > budget.maxBytes) end('no-room')
      if (ended !== null) return chunk
      budget.usedBytes += chunk.length
      heldBytes += chunk.length
      // A copy of exact size: the piece is a view into a socket buffer of up to 64 KiB, which must not stay alive with it.
      const copy = Buffer.allocUnsafeSlow(chunk.length)
      chunk.copy(copy)
      pieces.push(copy)
      return copy
    },

    isRunning: () => ended === null,

    finish () {
      if (ended !== null) return ended
      const bytes = heldBytes
      const whole = pieces.length === 1 ? pieces[0] as Buffer : concatExact(pieces)
      end('incomplete')
      if (expectedBytes !== undefined && bytes !== expectedBytes) return 'incomplete'
      return whole
    },

    abandon () { if (ended === null) end('incomplete') }
  }
}
