/**
 * One response body, read by any number of clients while it streams in, each at its own pace.
 *
 * What is recorded for the store is what readers that came late or are slow read from, so nothing is held twice. The
 * origin server is read at the pace of the fastest reader: a slow one holds up nobody. Once the recording has ended
 * (the response is too large to be stored) only a window is held, and a reader that falls out of it is cut off visibly.
 */
import { Body, copyOf, freePiece, type BodyReader, type BodySource } from '../http/body.ts'
import type { Recording, RecordingFailure } from './recording.ts'

/** Held for slow readers when the response is not recorded any more. */
const windowBytes = 1024 * 1024

/** When every reader has left, the rest is still fetched for the store if it is no more than this. */
const finishBytes = 256 * 1024

/** Who has a reader. */
export interface ReaderOwner {
  /** It does not get all of it: the source was cut short, or it was too slow itself (`TooSlow`). */
  cutOff (error: Error): void
}

export interface SharedBody {
  /** For another reader, from the first byte; null when that is not held any more. */
  reader (owner?: ReaderOwner): Body | null
  /** Lets it flow, or end where nobody wants it. */
  start (): void
}

export interface SharedBodyOptions {
  readonly source: Body
  readonly recording: Recording
  /** The source came to its end: null when the response was stored, else why not. */
  readonly onEnd: (failure: RecordingFailure | null) => void
  /** The source was cut short. */
  readonly onCutShort: () => void
  /** No reader can begin any more: the first bytes are not held. */
  readonly onUnreadable: () => void
  /** Go on without any reader, for the store, whatever is still to come. */
  readonly finishAlone: boolean
}

/** Why a reader was cut off that fell out of the window. */
export class TooSlow extends Error {
  constructor () { super('too slow for a response that is too large to be stored') }
}

export function shareBody (options: SharedBodyOptions): SharedBody {
  const shared = new RunningBody(options)
  // However it ends, and whether it has begun.
  options.source.onClose((error, complete) => { shared.sourceClosed(error, complete) })
  return shared
}

/** One of those who read. A class, as the next one: there is one for each response that is stored, whose methods are made once. */
class Reader implements BodySource {
  readonly body: Body
  readonly #shared: RunningBody
  readonly #owner: ReaderOwner | undefined
  /** Number of the piece to read next. */
  next = 0
  /** It takes more. */
  wants = false

  constructor (shared: RunningBody, owner: ReaderOwner | undefined) {
    this.#shared = shared
    this.#owner = owner
    this.body = new Body(this)
    this.body.onClose(() => { shared.left(this) })
  }

  resume (): void {
    this.wants = true
    this.#shared.pump(this)
    // One that wants more is enough, whatever the others do.
    if (this.wants) this.#shared.pace()
  }

  /** `onClose` says so, too. */
  cancel (): void {}

  cutOff (error: Error): void {
    if (this.body.closed) return
    this.#owner?.cutOff(error)
    this.body.fail(error)
  }
}

class RunningBody implements SharedBody, BodyReader {
  readonly #options: SharedBodyOptions
  readonly #pieces: Buffer[] = []
  readonly #readers = new Set<Reader>()
  /** Pieces before the held ones. */
  #dropped = 0
  #held = 0
  #receivedBytes = 0
  #started = false
  #begun = false
  #ended = false
  #failure: Error | null = null
  /** What the newest piece was copied from, while the one who reads gets it. */
  #chunk: Buffer | null = null
  /** What the newest piece was copied from, if nobody was given it: until the next comes its source may look at it. */
  #spent: Buffer | null = null
  /** What is held stays readable, whatever the store does with it: somebody was given some of it, or will be. */
  #isLent = false

  constructor (options: SharedBodyOptions) {
    this.#options = options
  }

  // What those say who use it.

  reader (owner?: ReaderOwner): Body | null {
    if (this.#dropped > 0 || this.#failure !== null) return null
    if (this.#ended) {
      // What the store has let go of is not here any more.
      if (!this.#isLent && this.#options.recording.stored() === null) return null
      this.#holdOnce()
    }
    const reader = new Reader(this, owner)
    this.#readers.add(reader)
    return reader.body
  }

  start (): void {
    this.#started = true
    this.#endUnlessWanted()
    this.pace()
  }

  // What the source says.

  data (received: Buffer): boolean {
    const piece = this.#options.recording.write(received)
    const isShared = piece !== received && this.#readers.size > 1
    if (this.#spent !== null) freePiece(this.#spent)
    this.#spent = isShared && this.#options.source.piecesAreOwn ? received : null
    this.#pieces.push(piece)
    this.#held += piece.length
    this.#receivedBytes += piece.length
    this.#chunk = isShared ? null : received
    for (const reader of this.#readers) this.pump(reader)
    this.#chunk = null
    this.#trim()
    return this.#isWanted()
  }

  end (): void {
    const { recording, onEnd } = this.#options
    this.#ended = true
    // Stored before anybody sees the end: who asks again then, finds it.
    // The policy may let go of it the moment it comes.
    this.#isLent ||= this.#isBehind()
    onEnd(recording.complete(this.#isLent))
    if (this.#isLent) this.#holdOnce()
    for (const reader of this.#readers) this.pump(reader)
    this.#trim()
  }

  fail (): void {}

  sourceClosed (error: Error | null, complete: boolean): void {
    if (complete || this.#failure !== null) return
    const failure = this.#failure = error ?? new Error('the upstream response was cut short')
    this.#options.recording.abandon()
    this.#options.onCutShort()
    for (const reader of this.#readers) reader.cutOff(failure)
  }

  // What a reader says.

  pump (reader: Reader): void {
    const pieces = this.#pieces
    while (reader.wants && reader.next < this.#dropped + pieces.length) {
      if (reader.next < this.#dropped) return reader.cutOff(new TooSlow())
      const at = reader.next++ - this.#dropped
      reader.wants = this.#chunk !== null && at === pieces.length - 1 ? reader.body.push(this.#chunk, this.#chunkIsOwn()) : this.#give(reader, at)
    }
    if (this.#ended && reader.next >= this.#dropped + pieces.length) reader.body.finish()
  }

  pace (): void {
    if (!this.#started || this.#ended || this.#failure !== null || !this.#isWanted()) return
    const { source } = this.#options
    if (this.#begun) return source.resume()
    this.#begun = true
    source.read(this)
  }

  left (reader: Reader): void {
    if (!this.#readers.delete(reader)) return
    this.#trim()
    this.#endUnlessWanted()
    this.pace()
  }

  /**
   * Many read what is recorded, which then is theirs as well as the store's. For one alone, who is slow, it stays the store's, to
   * be freed when that likes: he gets copies, which are freed when they have left.
   */
  #give (reader: Reader, at: number): boolean {
    const piece = this.#pieces[at] as Buffer
    if (!this.#options.recording.isRunning()) return reader.body.push(piece, false)
    if (this.#readers.size === 1) return reader.body.push(copyOf(piece), true)
    this.#isLent = true
    return reader.body.push(piece, false)
  }

  /** Whoever reads alone has what was received to himself: recorded was a copy, or what is not recorded is let go of as soon as he has it. */
  #chunkIsOwn (): boolean { return this.#readers.size === 1 && this.#options.source.piecesAreOwn }

  /** Nobody is left, and what is left to come is much, or nobody knows how much: not worth the origin server's work. */
  #endUnlessWanted (): void {
    if (this.#readers.size > 0 || this.#ended || this.#failure !== null) return
    const { recording, source, finishAlone } = this.#options
    const leftBytes = (recording.expectedBytes ?? Infinity) - this.#receivedBytes
    if (!recording.isRunning() || (leftBytes > finishBytes && !finishAlone)) source.destroy()
  }

  /** Lets go of what every reader has had, and of what is beyond the window; not while all of it is being recorded. */
  #trim (): void {
    const { recording, onUnreadable } = this.#options
    if (recording.isRunning()) return
    const pieces = this.#pieces
    let slowest = Infinity
    for (const { next } of this.#readers) if (next < slowest) slowest = next
    // What has come to its end is held until the slowest has it.
    const most = this.#ended ? Infinity : windowBytes
    let gone = 0
    while (gone < pieces.length && (this.#dropped + gone < slowest || this.#held > most)) this.#held -= (pieces[gone++] as Buffer).length
    if (gone === 0) return
    // At once: taken from the front one by one, thousands would be moved for each.
    pieces.splice(0, gone)
    const wasWhole = this.#dropped === 0
    this.#dropped += gone
    if (wasWhole) onUnreadable()
  }

  /** Readers that are still behind read what the store holds, so that nothing is held twice. */
  #holdOnce (): void {
    const stored = this.#options.recording.stored()
    if (stored === null || this.#dropped > 0) return
    let at = 0
    for (const [i, { length }] of this.#pieces.entries()) this.#pieces[i] = stored.subarray(at, at += length)
  }

  /** Whether somebody has not had all of it yet. */
  #isBehind (): boolean {
    for (const { next } of this.#readers) if (next < this.#dropped + this.#pieces.length) return true
    return false
  }

  #isWanted (): boolean {
    if (this.#readers.size === 0) return true
    for (const { wants } of this.#readers) if (wants) return true
    return false
  }
}
