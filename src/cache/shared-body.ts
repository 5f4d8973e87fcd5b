/**
 * One response body, read by any number of clients while it streams in, each at its own pace.
 *
 * What is recorded for the store is what readers that came late or are slow read from, so nothing is held twice. The
 * origin server is read at the pace of the fastest reader: a slow one holds up nobody. Once the recording has ended
 * (the response is too large to be stored) only a window is held, and a reader that falls out of it is cut off visibly.
 */
import { Body, type BodyReader } from '../http/body.ts'
import type { Recording, RecordingFailure } from './recording.ts'

/** Held for slow readers when the response is not recorded any more. */
const windowBytes = 1024 * 1024

/** When every reader has left, the rest is still fetched for the store if it is no more than this. */
const finishBytes = 256 * 1024

export interface SharedBody {
  /** For another reader, from the first byte; null when that is not held any more. */
  reader (): Body | null
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

interface Reader {
  readonly body: Body
  /** Number of the piece to read next. */
  next: number
  /** It takes more. */
  wants: boolean
}

export function shareBody ({ source, recording, onEnd, onCutShort, onUnreadable, finishAlone }: SharedBodyOptions): SharedBody {
  const pieces: Buffer[] = []
  const readers = new Set<Reader>()
  /** Pieces before the held ones. */
  let dropped = 0
  let held = 0
  let receivedBytes = 0
  let started = false
  let begun = false
  let ended = false
  let failure: Error | null = null
  /** What the newest piece was copied from, while readers get it. */
  let chunk: Buffer | null = null
  /** What is held stays readable, whatever the store does with it. */
  let isLent = false

  function pump (reader: Reader): void {
    while (reader.wants && reader.next < dropped + pieces.length) {
      if (reader.next < dropped) return cutOff(reader)
      const at = reader.next++ - dropped
      reader.wants = reader.body.push(chunk !== null && at === pieces.length - 1 ? chunk : givable(at))
    }
    if (ended && reader.next >= dropped + pieces.length) reader.body.finish()
  }

  /** What is being recorded belongs to the store alone, which frees it when it likes. */
  function givable (at: number): Buffer {
    const piece = pieces[at] as Buffer
    return recording.isRunning() ? Buffer.from(piece) : piece
  }

  function cutOff (reader: Reader): void {
    reader.body.fail(new Error('too slow for a response that is too large to be stored'))
  }

  function left (reader: Reader): void {
    if (!readers.delete(reader)) return
    trim()
    endUnlessWanted()
    pace()
  }

  /** Nobody is left, and what is left to come is much, or nobody knows how much: not worth the origin server's work. */
  function endUnlessWanted (): void {
    if (readers.size > 0 || ended || failure !== null) return
    const leftBytes = (recording.expectedBytes ?? Infinity) - receivedBytes
    if (!recording.isRunning() || (leftBytes > finishBytes && !finishAlone)) source.destroy()
  }

  /** Lets go of what every reader has had, and of what is beyond the window; not while all of it is being recorded. */
  function trim (): void {
    if (recording.isRunning()) return
    let slowest = Infinity
    for (const { next } of readers) if (next < slowest) slowest = next
    // What has come to its end is held until the slowest has it.
    const most = ended ? Infinity : windowBytes
    let gone = 0
    while (gone < pieces.length && (dropped + gone < slowest || held > most)) held -= (pieces[gone++] as Buffer).length
    if (gone === 0) return
    // At once: taken from the front one by one, thousands would be moved for each.
    pieces.splice(0, gone)
    const wasWhole = dropped === 0
    dropped += gone
    if (wasWhole) onUnreadable()
  }

  /** Readers that are still behind read what the store holds, so that nothing is held twice. */
  function holdOnce (): void {
    const stored = recording.stored()
    if (stored === null || dropped > 0) return
    let at = 0
    for (const [i, { length }] of pieces.entries()) pieces[i] = stored.subarray(at, at += length)
  }

  /** Whether somebody has not had all of it yet. */
  function isBehind (): boolean {
    for (const { next } of readers) if (next < dropped + pieces.length) return true
    return false
  }

  function isWanted (): boolean {
    if (readers.size === 0) return true
    for (const { wants } of readers) if (wants) return true
    return false
  }

  function pace (): void {
    if (!started || ended || failure !== null || !isWanted()) return
    if (begun) return source.resume()
    begun = true
    source.read(sourceReader)
  }

  const sourceReader: BodyReader = {
    data (received) {
      const piece = recording.write(received)
      pieces.push(piece)
      held += piece.length
      receivedBytes += piece.length
      chunk = received
      for (const reader of readers) pump(reader)
      chunk = null
      trim()
      return isWanted()
    },
    end () {
      ended = true
      // Stored before anybody sees the end: who asks again then, finds it.
      // The policy may let go of it the moment it comes.
      isLent = isBehind()
      onEnd(recording.complete(isLent))
      if (isLent) holdOnce()
      for (const reader of readers) pump(reader)
      trim()
    },
    fail () {}
  }

  // However it ends, and whether it has begun.
  source.onClose((error, complete) => {
    if (complete || failure !== null) return
    failure = error ?? new Error('the upstream response was cut short')
    recording.abandon()
    onCutShort()
    for (const { body } of readers) body.fail(failure)
  })

  return {
    reader () {
      if (dropped > 0 || failure !== null) return null
      if (ended) {
        // What the store has let go of is not here any more.
        if (!isLent && recording.stored() === null) return null
        holdOnce()
      }
      const reader: Reader = {
        next: 0,
        wants: false,
        body: new Body({
          resume () {
            reader.wants = true
            pump(reader)
            // One that wants more is enough, whatever the others do.
            if (reader.wants) pace()
          },
          // `onClose` says so, too.
          cancel () {}
        })
      }
      reader.body.onClose(() => { left(reader) })
      readers.add(reader)
      return reader.body
    },

    start () {
      started = true
      endUnlessWanted()
      pace()
    }
  }
}
