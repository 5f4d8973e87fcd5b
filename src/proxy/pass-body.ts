/**
 * Passes a body on to a client as it arrives, at the client's pace. What breaks off on one side breaks the other visibly:
 * a body cut short must never look whole, and nobody goes on reading for a client that has left.
 *
 * What has come when the turn of the event loop ends in which the head was received leaves with the head. A small body
 * that is whole by then leaves in one write with it, and all such responses of a turn leave one right behind the other: the
 * processor is not torn between the system's code and ours for each, and who waits for them, where that is on the same
 * machine, is not woken up for each, which together was a sixth of the processor time of a miss.
 */
import type { ServerResponse } from 'node:http'
import { freePiece, type Body, type BodyReader } from '../http/body.ts'

/** Content up to here is copied to text to leave in one write with the head: Node puts text, and not bytes, behind the head. */
const maxTextBytes = 16 * 1024

/** How responses are written. */
export interface Wire {
  /** Ends a response with the last of its content, or with none. */
  readonly endWith: (raw: ServerResponse, content: string | Buffer | null) => void
  /** Writes some of the content; returns null when more may follow, else what emits `drain` when it may. */
  readonly writeContent: (raw: ServerResponse, chunk: Buffer) => NodeJS.EventEmitter | null
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

class Passing implements BodyReader {
  readonly #body: Body
  readonly #raw: ServerResponse
  readonly #wire: Wire
  /** Nobody else is given what is written. */
  readonly #isPlain: boolean
  /** The first piece, until the turn ends. */
  #first: Buffer | null = null
  #firstIsOwn = false
  /** The last pieces that were written. */
  #written: Buffer[] = []
  #hasLeft = false
  /** All of it has come, and leaves when the turn ends. */
  #isWhole = false
  #waits = false
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
    if (this.#hasLeft) this.#wire.endWith(this.#raw, null)
    else this.#isWhole = true
  }

  /** What has come so far is the client's to see, and that there should have been more. */
  fail (): void {
    this.turnEnded()
    this.#over = true
    // Node writes at the end of this tick.
    process.nextTick(() => { this.#raw.destroy() })
  }

  turnEnded (): void {
    if (this.#hasLeft) return
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
    // Not before there is another one: the parser that brought them was not through with them at the time.
    if (isOwn && this.#isPlain) this.#noteWritten(chunk)
    const full = this.#wire.writeContent(this.#raw, chunk)
    if (full === null) return true
    if (!this.#waits) {
      this.#waits = true
      full.once('drain', () => {
        this.#waits = false
        this.#body.resume()
      })
    }
    return false
  }

  #noteWritten (chunk: Buffer): void {
    if (this.#raw.writableLength === 0 && !this.#raw.destroyed) this.#freeWritten()
    else if (this.#written.length >= mostWritten) this.#written = []
    this.#written.push(chunk)
  }

  /** The system has taken all that was written. */
  #freeWritten (): void {
    for (const piece of this.#written) freePiece(piece)
    this.#written = []
  }

  #leave (): void {
    if (this.#raw.writableFinished) this.#freeWritten()
    if (this.#over) return
    this.#over = true
    this.#body.destroy()
  }
}

let begun: Passing[] = []

/** One look for all responses that began in this turn. */
function atEndOfTurn (passing: Passing): void {
  if (begun.length === 0) setImmediate(turnEnded)
  begun.push(passing)
}

function turnEnded (): void {
  const all = begun
  begun = []
  for (const passing of all) passing.turnEnded()
}
