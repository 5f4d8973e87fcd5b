/**
 * One response body, read by any number of clients while it streams in, each at its own pace.
 *
 * What is recorded for the store is what readers that came late or are slow read from, so nothing is held twice. The
 * origin server is read at the pace of the fastest reader: a slow one holds up nobody. Once the recording has ended
 * (the response is too large to be stored) only a window is held, and a reader that falls out of it is cut off visibly.
 */
import { Readable } from 'node:stream'
import type { Recording, RecordingFailure } from './recording.ts'

/** Held for slow readers when the response is not recorded any more. */
const windowBytes = 1024 * 1024

/** When every reader has left, the rest is still fetched for the store if it is no more than this. */
const finishBytes = 256 * 1024

export interface SharedBody {
  /** Another reader, from the first byte; null when that is not held any more. */
  reader (): Readable | null
  /** Lets it flow, or end where nobody wants it. */
  start (): void
}

export interface SharedBodyOptions {
  readonly source: Readable
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
  readonly stream: Readable
  /** Number of the piece to read next. */
  next: number
  /** The stream takes more. */
  wants: boolean
}

export function shareBody ({ source, recording, onEnd, onCutShort, onUnreadable, finishAlone }: SharedBodyOptions): SharedBody {
  const pieces: Buffer[] = []
  const readers = new Set<Reader>()
  /** Pieces before the held ones. */
  let dropped = 0
  let held = 0
  let received = 0
  let ended = false
  let failure: Error | null = null

  function pump (reader: Reader): void {
    while (reader.wants && reader.next < dropped + pieces.length) {
      if (reader.next < dropped) {
        reader.stream.destroy(new Error('too slow for a response that is too large to be stored'))
        return
      }
      reader.wants = reader.stream.push(pieces[reader.next - dropped])
      reader.next++
    }
    if (ended && reader.next >= dropped + pieces.length) reader.stream.push(null)
  }

  /** Nobody is left, and what is left to come is much, or nobody knows how much: not worth the origin server's work. */
  function endUnlessWanted (): void {
    if (readers.size > 0 || ended || failure !== null) return
    const leftBytes = (recording.expectedBytes ?? Infinity) - received
    if (!recording.isRunning() || (leftBytes > finishBytes && !finishAlone)) source.destroy()
  }

  /** Lets go of what every reader has had, and of what is beyond the window; not while all of it is being recorded. */
  function trim (): void {
    if (recording.isRunning()) return
    let slowest = Infinity
    for (const { next } of readers) if (next < slowest) slowest = next
    // What has come to its end is held until the slowest has it.
    const most = ended ? Infinity : windowBytes
    while (pieces.length > 0 && (dropped < slowest || held > most)) {
      held -= (pieces.shift() as Buffer).length
      if (dropped++ === 0) onUnreadable()
    }
  }

  /** Readers that are still behind read what the store holds, so that nothing is held twice. */
  function holdOnce (): void {
    const stored = recording.stored()
    if (stored === null || dropped > 0) return
    let at = 0
    for (const [i, { length }] of pieces.entries()) pieces[i] = stored.subarray(at, at += length)
  }

  function pace (): void {
    if (ended || failure !== null) return
    let wanted = readers.size === 0
    for (const { wants } of readers) if (wants) wanted = true
    if (wanted) source.resume()
    else source.pause()
  }

  source.on('data', (chunk: Buffer) => {
    const piece = recording.write(chunk)
    pieces.push(piece)
    held += piece.length
    received += piece.length
    for (const reader of readers) pump(reader)
    trim()
    pace()
  })
  source.once('end', () => {
    ended = true
    // Stored before anybody sees the end: who asks again then, finds it.
    onEnd(recording.complete())
    holdOnce()
    for (const reader of readers) pump(reader)
  })
  const fail = (error: Error): void => {
    if (ended || failure !== null) return
    failure = error
    recording.abandon()
    onCutShort()
    for (const { stream } of readers) stream.destroy(error)
  }
  source.once('error', fail)
  source.once('close', () => { fail(new Error('the upstream response was cut short')) })

  return {
    reader () {
      if (dropped > 0 || failure !== null || (source.destroyed && !ended)) return null
      const reader: Reader = {
        next: 0,
        wants: false,
        stream: new Readable({
          read () {
            reader.wants = true
            pump(reader)
            // One that wants more is enough, whatever the others do.
            if (reader.wants && !ended && failure === null) source.resume()
          },
          destroy (error, done) {
            readers.delete(reader)
            trim()
            endUnlessWanted()
            pace()
            done(error)
          }
        })
      }
      readers.add(reader)
      return reader.stream
    },

    start () {
      endUnlessWanted()
      pace()
    }
  }
}
