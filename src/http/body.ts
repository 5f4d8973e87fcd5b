/**
 * Content that arrives piece by piece for one reader, at whose pace it comes.
 *
 * It says what a `Readable` says, without its events, queues and ticks, which cost a forwarded response more than all the
 * rest of it. `stream` makes a `Readable` of it for those that need one (transformations, Fastify's own way of sending),
 * and `bodyOf` a body of a `Readable`.
 */
import { Readable } from 'node:stream'

/** Who reads. One of `end` and `fail` is called, once, unless the reader destroys the body first. */
export interface BodyReader {
  /**
   * Returns false when no more is wanted until `resume`.
   * @param isOwn nobody else has the piece, and what brought it does not look at it again once the next has come
   */
  data (chunk: Buffer, isOwn: boolean): boolean
  end (): void
  fail (error: Error): void
}

/** Where it comes from. */
export interface BodySource {
  /** The reader takes more again. */
  resume (): void
  /** Nobody wants the rest. */
  cancel (error: Error | null): void
}

/** @param complete the reader has had all of it; else `error` says why not, or is null when it was just not wanted */
export type CloseListener = (error: Error | null, complete: boolean) => void

/** Held for a reader that does not take more: with the sockets' own buffers well below the bound per slow reader. */
const maxWaitingBytes = 64 * 1024

export class Body {
  readonly #source: BodySource
  #reader: BodyReader | null = null
  #onClose: CloseListener | null = null
  /** Pieces that came before anybody read, or while the reader wanted none. */
  #waiting: Buffer[] | null = null
  #waitingBytes = 0
  #paused = true
  #flowing = false
  #complete = false
  /** Some of it has come to the reader. */
  begun = false
  /** Nothing more comes; what waits may still be read. */
  finished = false
  /** Read to its end, cut short, or destroyed. */
  closed = false
  /** Why it was cut short. */
  failure: Error | null = null

  /** All pieces are the reader's own (`BodyReader.data`). */
  readonly piecesAreOwn: boolean

  constructor (source: BodySource, piecesAreOwn = false) {
    this.#source = source
    this.piecesAreOwn = piecesAreOwn
  }

  // For who makes it.

  /** Another piece; returns false when the source is to wait for `resume`. */
  push (chunk: Buffer, isOwn = this.piecesAreOwn): boolean {
    if (this.closed) return true
    const reader = this.#reader
    // undici brings an empty piece each time that it goes on, which would go all the way to the client's connection.
    if (chunk.length === 0) return this.#waitingBytes < maxWaitingBytes && (reader === null || !this.#paused)
    if (reader !== null && !this.#paused && this.#waiting === null) {
      this.begun = true
      this.#paused = !reader.data(chunk, isOwn)
      return !this.#paused
    }
    if (this.#waiting === null) this.#waiting = [chunk]
    else this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    return this.#waitingBytes < maxWaitingBytes
  }

  /** It is whole. */
  finish (): void {
    if (this.closed) return
    this.finished = true
    this.#flow()
  }

  /** It is cut short: what waits is of no use any more. */
  fail (error: Error): void {
    if (this.closed) return
    this.failure = error
    this.#close(error, false)
    this.#reader?.fail(error)
  }

  // For who reads it.

  /** Begins; pieces that are there come before this returns. There is one reader, and it does not change. */
  read (reader: BodyReader): void {
    if (this.#reader !== null) throw new Error('a body has one reader')
    this.#reader = reader
    if (this.failure !== null) reader.fail(this.failure)
    else this.resume()
  }

  /** More is wanted. */
  resume (): void {
    if (!this.#paused || this.closed || this.#reader === null) return
    this.#paused = false
    this.#flow()
    if (!this.#paused && !this.finished && !this.closed) this.#source.resume()
  }

  /** Nobody wants the rest: the reader hears nothing any more. */
  destroy (error: Error | null = null): void {
    if (this.closed) return
    if (!this.finished) this.#source.cancel(error)
    this.#close(error, false)
  }

  /** Called once when all is over, before the reader hears of it; at once when it is over already. */
  onClose (listener: CloseListener): void {
    const before = this.#onClose
    if (this.closed) listener(this.failure, this.#complete)
    else if (before === null) this.#onClose = listener
    else {
      this.#onClose = (error, complete) => {
        before(error, complete)
        listener(error, complete)
      }
    }
  }

  /** The same as a stream, which then is its reader. */
  stream (): Readable {
    const readable = new Readable({
      highWaterMark: maxWaitingBytes,
      read: () => {
        if (this.#reader === null) this.read(reader)
        else this.resume()
      },
      destroy: (error, done) => {
        this.destroy(error)
        done(error)
      }
    })
    const reader: BodyReader = {
      data: chunk => readable.push(chunk),
      end: () => { readable.push(null) },
      fail: () => {}
    }
    // Whoever does not listen to the stream hears of it by `onClose`.
    readable.on('error', () => {})
    // Also where nobody has begun to read it.
    this.onClose((error, complete) => { if (!complete) readable.destroy(error ?? undefined) })
    return readable
  }

  #flow (): void {
    const reader = this.#reader
    if (reader === null || this.#flowing) return
    // What the reader does on a piece may ask for more, or destroy the body.
    this.#flowing = true
    while (this.#waiting !== null && !this.#paused && !this.closed) {
      const chunk = this.#waiting.shift() as Buffer
      if (this.#waiting.length === 0) this.#waiting = null
      this.#waitingBytes -= chunk.length
      this.begun = true
      this.#paused = !reader.data(chunk, this.piecesAreOwn)
    }
    this.#flowing = false
    if (!this.finished || this.closed || this.#waiting !== null) return
    this.#close(null, true)
    reader.end()
  }

  #close (error: Error | null, complete: boolean): void {
    this.closed = true
    this.#complete = complete
    this.#waiting = null
    this.#onClose?.(error, complete)
  }
}

/** Smaller ones are not worth the call. */
const leastFreed = 16 * 1024

/**
 * Gives the memory of a piece back at once. V8 counts buffers beside its heap, and would collect all of it, old objects
 * included, for every few dozen MB that pass. A piece that shares its buffer, with a head or with other pieces, is left alone.
 */
export function freePiece (piece: Buffer): void {
  if (piece.length >= leastFreed && piece.length === piece.buffer.byteLength) (piece.buffer as ArrayBuffer).transfer(0)
}

/** A copy that can be freed: what `Buffer` copies up to some size shares memory with others. */
export function copyOf (piece: Buffer): Buffer {
  if (piece.length < leastFreed) return Buffer.from(piece)
  const copy = Buffer.allocUnsafeSlow(piece.length)
  piece.copy(copy)
  return copy
}

/** What a stream brings. */
export function bodyOf (readable: Readable): Body {
  let reads = false
  const body = new Body({
    resume () {
      if (reads) {
        readable.resume()
        return
      }
      reads = true
      readable.on('data', (chunk: Buffer | string) => { if (!body.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)) readable.pause() })
    },
    cancel (error) { readable.destroy(error ?? undefined) }
  })
  readable.once('end', () => { body.finish() })
  readable.on('error', error => { body.fail(error) })
  readable.once('close', () => { if (!body.finished) body.fail(new Error('the content was cut short')) })
  return body
}
