/**
 * Request content on its way to the upstream: bounded also where no length was announced, and apart from the client's
 * connection, which must outlive an upstream that answers without reading to the end.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { lingerAfter } from './linger.ts'

export class ContentTooLarge extends Error {
  constructor () {
    super('request content is larger than allowed')
    this.name = 'ContentTooLarge'
  }
}

/**
 * The content as a stream. undici destroys it when the upstream has answered before its end: then the rest is read and
 * dropped, so that the client gets the answer.
 */
export function limitContent (content: IncomingMessage, response: ServerResponse, maxBytes: number): Readable {
  let bytes = 0
  let complete = false

  const limited = new Readable({
    read () { content.resume() },
    destroy (error, done) {
      content.off('data', take)
      if (!complete) lingerAfter(response, content)
      done(error)
    }
  })
  // Nobody listens while it waits for an upstream connection; whoever takes it over sees `errored`.
  limited.on('error', () => {})

  function take (chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > maxBytes) limited.destroy(new ContentTooLarge())
    else if (!limited.push(chunk)) content.pause()
  }

  content.on('data', take)
  content.once('end', () => {
    complete = true
    if (!limited.destroyed) limited.push(null)
  })
  content.on('error', error => { limited.destroy(error) })
  content.once('close', () => { if (!complete) limited.destroy(new Error('request aborted')) })
  return limited
}
