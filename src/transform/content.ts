/** Content on its way through a transformation: collected up to a bound, or in pieces. */
import { Readable } from 'node:stream'
import { piecesInTime } from './deadline.ts'
import { TransformError, type Content } from './transform.ts'

/** Bytes that all content being collected may hold together. */
export interface HeldBytes {
  readonly maxBytes: number
  usedBytes: number
}

export type Collected =
  /** `release` is to be called when it is not needed any more. */
  | { readonly kind: 'whole', readonly content: Buffer, readonly release: () => void }
  /** It is larger: the same content again, from its first byte. */
  | { readonly kind: 'larger', readonly content: Readable }
  | { readonly kind: 'failed', readonly error: Error }
  /** Too much is being collected at this moment. */
  | { readonly kind: 'busy' }

/** Calls back once. What is held counts against `held` until `done` was called; of a whole content until it is released. */
export function collect (source: Readable, maxBytes: number, held: HeldBytes, done: (collected: Collected) => void): void {
  const pieces: Buffer[] = []
  let bytes = 0
  let isOver = false

  function finish (collected: Collected): void {
    if (isOver) return
    isOver = true
    source.off('data', take)
    source.off('end', end)
    if (collected.kind !== 'whole') release()
    done(collected)
  }
  function release (): void {
    held.usedBytes -= bytes
    bytes = 0
  }
  function take (piece: Buffer): void {
    if (held.usedBytes + piece.length > held.maxBytes) {
      finish({ kind: 'busy' })
      source.destroy()
      return
    }
    pieces.push(piece)
    bytes += piece.length
    held.usedBytes += piece.length
    if (bytes <= maxBytes) return
    source.pause()
    finish({ kind: 'larger', content: again(pieces, source) })
  }
  function end (): void { finish({ kind: 'whole', content: Buffer.concat(pieces), release }) }

  source.on('data', take)
  source.once('end', end)
  source.once('error', error => { finish({ kind: 'failed', error }) })
  source.once('close', () => { finish({ kind: 'failed', error: source.errored ?? new Error('the content was cut short') }) })
}

function again (pieces: readonly Buffer[], rest: Readable): Readable {
  return fromGenerator(rest, (async function * () {
    yield * pieces
    for await (const piece of rest as AsyncIterable<Buffer>) yield piece
  })())
}

/**
 * What a function makes of pieces, as a stream that ends well only if both the function and the source did: content that was
 * cut short stays so, whatever the function makes of it.
 */
export function throughStream (name: string, timeoutMs: number, source: Readable, make: (content: AsyncIterable<Buffer>) => AsyncIterable<Content>): Readable {
  let failure: Error | null = null
  source.once('error', error => { failure = error })
  const made = piecesInTime(name, timeoutMs, source as AsyncIterable<Buffer>, make)
  return fromGenerator(source, (async function * () {
    try {
      for await (const piece of made) {
        if (failure !== null) throw failure
        if (typeof piece !== 'string' && !Buffer.isBuffer(piece)) throw new TypeError('a transformation gives Buffers or text')
        yield piece
      }
    } catch (error) {
      throw failure ?? (error instanceof TransformError ? error : new TransformError('transform_failed', name, error))
    }
    if (failure !== null) throw failure
  })())
}

function fromGenerator (source: Readable, pieces: AsyncGenerator<Content>): Readable {
  // A generator that nobody has begun to read ends without a word to what it would have read.
  return Readable.from(pieces, { objectMode: false }).once('close', () => { source.destroy() })
}
