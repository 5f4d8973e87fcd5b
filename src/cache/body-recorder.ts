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

/** Up to this length memory for all of it is taken with the first piece. */
const wholeAtOnceBytes = 1024 * 1024
/** Of longer content this share has to have come first, or so many bytes: who announces much and sends little gets little. */
const shareFirst = 1 / 8
const mostFirstBytes = 2 * 1024 * 1024

/** Of the budget no more than this is kept for what has not come: origin servers that send less than half of what they announce leave the rest of it to others. */
const mostPromised = 1 / 2

/** A class, because there is one for each response that is stored: its methods are made once. */
export class BodyRecorder {
  readonly #limitBytes: number
  readonly #budget: RecordingBudget
  readonly #expectedBytes: number | undefined
  readonly #becomesText: boolean
  /** What has come and is not in `whole`. */
  #pieces: Buffer[] = []
  /** All of the content, what has come of it in front; null as long as all of it is in `pieces`. */
  #whole: Buffer | null = null
  /** What had come before there was `whole`; pieces of it that are there by now, and their length. */
  #firstBytes = 0
  #movedPieces = 0
  #movedBytes = 0
  #receivedBytes = 0
  /** What counts in the budget. */
  #heldBytes = 0
  #promisedBytes = 0
  #ended: RecordingEnd | null = null

  /**
   * @param expectedBytes content length as announced, or undefined: then it grows as it comes
   * @param isPart it is kept as the bytes that it is, however small
   */
  constructor (limitBytes: number, budget: RecordingBudget, expectedBytes: number | undefined, isPart = false) {
    this.#limitBytes = limitBytes
    this.#budget = budget
    this.#expectedBytes = expectedBytes
    this.#becomesText = !isPart && expectedBytes !== undefined && expectedBytes <= textBytes
    budget.running++
    if (expectedBytes !== undefined && expectedBytes > limitBytes) this.#end('too-large')
  }

  /** Copies a piece and gives back the copy; the piece itself when the recording has ended. */
  write (chunk: Buffer): Buffer {
    if (this.#ended !== null) return chunk
    const soonBytes = this.#receivedBytes + chunk.length
    if (soonBytes > this.#limitBytes) this.#end('too-large')
    else if (this.#expectedBytes !== undefined && soonBytes > this.#expectedBytes) this.#end('incomplete')
    else {
      this.#takeWhole(soonBytes)
      if (soonBytes > this.#heldBytes && !this.#hold(soonBytes)) this.#end('no-room')
    }
    if (!this.isRunning()) return chunk
    const at = this.#receivedBytes
    this.#receivedBytes = soonBytes
    if (this.#whole !== null) {
      // By and by, so that all of it is there with the last piece: at once it would be a long turn, as there may be 50 MB of it, for which the system has to find memory.
      this.#move(this.#whole, this.#movedBytes + (this.#firstBytes - this.#movedBytes) * chunk.length / (this.#whole.length - at))
      chunk.copy(this.#whole, at)
      this.#promise(this.#whole.length - soonBytes)
      return this.#whole.subarray(at, soonBytes)
    }
    // A copy of exact size: the piece is a view into a socket buffer of up to 64 KiB, which must not stay alive with it.
    const copy = Buffer.allocUnsafeSlow(chunk.length)
    chunk.copy(copy)
    this.#pieces.push(copy)
    return copy
  }

  /** False once the recording has ended. */
  isRunning (): boolean { return this.#ended === null }

  /** The whole content, or why there is none. Ends the recording. */
  finish (): Buffer | RecordingEnd {
    if (this.#ended !== null) return this.#ended
    if (this.#whole !== null) this.#move(this.#whole, Infinity)
    const content = this.#whole ?? (this.#pieces.length === 1 ? this.#pieces[0] as Buffer : concatExact(this.#pieces))
    this.#end('incomplete')
    if (this.#expectedBytes !== undefined && this.#receivedBytes !== this.#expectedBytes) return 'incomplete'
    return content
  }

  /** Gives up, for instance because the content was cut short. */
  abandon (): void { if (this.#ended === null) this.#end('incomplete') }

  #end (reason: RecordingEnd): void {
    if (this.#ended === null) {
      this.#ended = reason
      this.#budget.running--
    }
    this.#budget.usedBytes -= this.#heldBytes
    this.#heldBytes = 0
    this.#promise(0)
    this.#pieces = []
    this.#whole = null
  }

  #promise (bytes: number): void {
    this.#budget.promisedBytes += bytes - this.#promisedBytes
    this.#promisedBytes = bytes
  }

  /** Takes memory for `bytes` in all from the budget, if there is room. */
  #hold (bytes: number): boolean {
    const more = bytes - this.#heldBytes
    if (this.#budget.usedBytes + this.#budget.waitingBytes + more > this.#budget.maxBytes) return false
    this.#budget.usedBytes += more
    this.#heldBytes = bytes
    return true
  }

  #takeWhole (soonBytes: number): void {
    const expectedBytes = this.#expectedBytes
    if (this.#whole !== null || expectedBytes === undefined || soonBytes > expectedBytes) return
    if (expectedBytes > wholeAtOnceBytes && soonBytes < Math.min(expectedBytes * shareFirst, mostFirstBytes)) return
    const budget = this.#budget
    const toComeBytes = expectedBytes - soonBytes
    // One alone may be larger, and who has sent as much as is to come: the later, the more has to be copied with the rest.
    const isTrusted = budget.promisedBytes === 0 || soonBytes >= toComeBytes
    if (!isTrusted && budget.promisedBytes + toComeBytes > budget.maxBytes * mostPromised) return
    if (!this.#hold(expectedBytes)) return
    this.#promise(toComeBytes)
    // Small content becomes text: its bytes go soon, and come from what many share.
    this.#whole = this.#becomesText ? Buffer.allocUnsafe(expectedBytes) : Buffer.allocUnsafeSlow(expectedBytes)
    this.#firstBytes = this.#receivedBytes
  }

  /** Copies pieces to where they belong, until so many bytes are there or all that there are. */
  #move (whole: Buffer, bytes: number): void {
    if (this.#pieces.length === 0) return
    while (this.#movedPieces < this.#pieces.length && this.#movedBytes < bytes) {
      this.#movedBytes += (this.#pieces[this.#movedPieces++] as Buffer).copy(whole, this.#movedBytes)
    }
    if (this.#movedPieces === this.#pieces.length) this.#pieces = []
  }
}
