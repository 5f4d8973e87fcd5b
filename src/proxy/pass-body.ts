/**
 * Passes a body on to a client as it arrives, at the client's pace. What breaks off on one side breaks the other visibly:
 * a body cut short must never look whole, and nobody goes on reading for a client that has left.
 *
 * What has come when the turn of the event loop ends in which the head was received leaves with the head. A small body
 * that is whole by then leaves in one write with it, and all such responses of a turn leave one right behind the other, which
 * was a sixth of the processor time of a miss.
 */
import type { ServerResponse } from 'node:http'
import { atEndOfTurn } from '../end-of-turn.ts'
import { freePiece, type Body, type BodyReader } from '../http/body.ts'

/** Content up to here is copied to text to leave in one write with the head: Node puts text, and not bytes, behind the head. */
const maxTextBytes = 16 * 1024

/** How responses are written. */
export interface Wire {
  /** Ends a response with the last of its content, or with none. */
  readonly endWith: (raw: ServerResponse, content: string | Buffer | null) => void
  /** Writes some of the content; returns null when more may follow, else what emits `drain` when it may. */
  readonly writePieces: (raw: ServerResponse, pieces: readonly Buffer[]) => NodeJS.EventEmitter | null
  /** Pieces may be held back for a moment, to be written together: the system has taken all that was written before. */
  readonly mayGather: (raw: ServerResponse) => boolean
  /** Nobody but the system is given what is written. */
  readonly writesPlainly: (raw: ServerResponse) => boolean
}

/** The head of the response has been written, and has not left yet. */
export function passBody (body: Body, raw: ServerResponse, wire: Wire): void {
  const passing = new Passing(body, raw, wire)
  atEndOfTurn(passing)
  body.read(passing)
}

/** Pieces remembered while the system has not taken all that was written; the others will have to be collected. */
const mostWritten = 8

/**
 * What comes in one turn leaves in one write, up to here: written piece by piece a large miss takes a tenth more. Not for a client
 * that had to be waited for once: it would be given more than it takes.
 */
const mostGatheredBytes = 256 * 1024
/** Of what was written together all clients together may leave so much; beyond it, each piece is written as it comes. */
const mostStuckBytes = 1024 * 1024

let stuckBytes = 0

class Passing implements BodyReader {
  readonly #body: Body
  readonly #raw: ServerResponse
  readonly #wire: Wire
  /** Nobody else is given what is written. */
  readonly #isPlain: boolean
  /** The first piece, until the turn ends. */
  #first: Buffer | null = null
  #firstIsOwn = false
  /** What has come in this turn behind the first piece, its length, and those of them that nobody else has. */
  #pieces: Buffer[] = []
  #pieceBytes = 0
  #ownPieces: Buffer[] = []
  /** Part of `stuckBytes`. */
  #stuckBytes = 0
  /** The last pieces that were written. */
  #written: Buffer[] = []
  #hasLeft = false
  /** All of it has come, and leaves when the turn ends. */
  #isWhole = false
  #waits = false
  #hasWaited = false
  #over = false

  constructor (body: Body, raw: ServerResponse, wire: Wire) {
    this.#body = body
    this.#raw = raw
    this.#wire = wire
    this.#isPlain = wire.writesPlainly(raw)
  }

  data (chunk: Buffer, isOwn: boolean): boolean {
    if (!this.#hasLeft) {
      if (this.#first === null) {
        this.#first = chunk
        this.#firstIsOwn = isOwn
        return true
      }
      this.turnEnded()
    }
    return this.#write(chunk, isOwn)
  }

  end (): void {
    this.#over = true
    if (!this.#hasLeft) {
      this.#isWhole = true
      return
    }
    this.#writeGathered()
    this.#wire.endWith(this.#raw, null)
  }

  /** What has come so far is the client's to see, and that there should have been more. */
  fail (): void {
    this.turnEnded()
    this.#over = true
    // Node writes at the end of this tick.
    process.nextTick(() => { this.#raw.destroy() })
  }

  turnEnded (): void {
    if (this.#hasLeft) {
      this.#writeGathered()
      return
    }
    this.#hasLeft = true
    if (this.#isWhole) return this.#sendWhole()
    if (this.#over) return
    const raw = this.#raw
    if (raw.destroyed) return this.#leave()
    // The response has left, or never will.
    raw.once('close', () => { this.#leave() })
    const first = this.#first
    this.#first = null
    // A client of a stream that is silent at first would wait for the head for ever.
    if (first === null) raw.flushHeaders()
    else this.#write(first, this.#firstIsOwn)
  }

  #sendWhole (): void {
    const first = this.#first
    this.#first = null
    this.#wire.endWith(this.#raw, first === null || first.length > maxTextBytes ? first : first.toString('latin1'))
  }

  #write (chunk: Buffer, isOwn: boolean): boolean {
    const isFirst = this.#pieces.length === 0
    this.#pieces.push(chunk)
    this.#pieceBytes += chunk.length
    if (isOwn && this.#isPlain) this.#ownPieces.push(chunk)
    if (this.#hasWaited || this.#pieceBytes >= mostGatheredBytes || stuckBytes >= mostStuckBytes || !this.#wire.mayGather(this.#raw)) return this.#writeGathered()
    if (isFirst) atEndOfTurn(this)
    return true
  }

  /** Returns false when no more is wanted until the client has taken it. */
  #writeGathered (): boolean {
    const pieces = this.#pieces
    // Who has left meanwhile is written to no more.
    if (pieces.length === 0 || this.#raw.destroyed) return true
    const bytes = this.#pieceBytes
    this.#noteWritten()
    this.#pieces = []
    this.#pieceBytes = 0
    const full = this.#wire.writePieces(this.#raw, pieces)
    if (full === null) return true
    if (!this.#waits) {
      this.#waits = this.#hasWaited = true
      if (pieces.length > 1) this.#stick(bytes)
      full.once('drain', () => {
        this.#waits = false
        this.#stick(0)
        this.#body.resume()
      })
    }
    return false
  }

  #stick (bytes: number): void {
    stuckBytes += bytes - this.#stuckBytes
    this.#stuckBytes = bytes
  }

  /** What was written before is freed if it has left: not sooner, for the parser that brought the last of it was not through with it at the time. */
  #noteWritten (): void {
    if (this.#raw.writableLength === 0 && !this.#raw.destroyed) this.#freeWritten()
    if (this.#ownPieces.length === 0) return
    if (this.#written.length >= mostWritten) this.#written = []
    this.#written.push(...this.#ownPieces)
    this.#ownPieces = []
  }

  /** The system has taken all that was written. */
  #freeWritten (): void {
    for (const piece of this.#written) freePiece(piece)
    this.#written = []
  }

  #leave (): void {
    this.#stick(0)
    this.#pieces = []
    if (this.#raw.writableFinished) this.#freeWritten()
    if (this.#over) return
    this.#over = true
    this.#body.destroy()
  }
}
