/**
 * Passes a body on to a client as it arrives, at the client's pace. What breaks off on one side breaks the other visibly:
 * a body cut short must never look whole, and nobody goes on reading for a client that has left.
 *
 * `stream.pipeline` says the same, and makes an abort signal and an error with its stack for every response that goes well.
 */
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'

export function passBody (body: Readable, raw: ServerResponse): void {
  let ended = false
  const onDrain = (): void => { body.resume() }
  // The response has left, or never will.
  const onClose = (): void => { if (!ended) body.destroy() }

  body.on('data', (chunk: Buffer | string) => { if (!raw.write(chunk)) body.pause() })
  body.once('end', () => {
    ended = true
    raw.end()
  })
  // Whoever began the exchange hears of the error, too.
  body.on('error', () => {})
  body.once('close', () => {
    raw.off('drain', onDrain)
    raw.off('close', onClose)
    if (!ended) raw.destroy()
  })
  raw.on('drain', onDrain)
  raw.once('close', onClose)
}
