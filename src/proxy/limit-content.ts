/** Request content with a bound that also holds where no length was announced. */
import { Transform, type Readable } from 'node:stream'
import type { IncomingMessage } from 'node:http'

export class ContentTooLarge extends Error {
  constructor () {
    super('request content is larger than allowed')
    this.name = 'ContentTooLarge'
  }
}

/** The content as a stream: itself where its announced length is within the bound, else counted as it comes. */
export function limitContent (content: IncomingMessage, maxBytes: number): Readable {
  const announced = content.headers['content-length']
  if (announced !== undefined && content.headers['transfer-encoding'] === undefined && Number(announced) <= maxBytes && content.httpVersionMajor === 1) return content
  let bytes = 0
  const limited = new Transform({
    transform (chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > maxBytes) done(new ContentTooLarge())
      else done(null, chunk)
    }
  })
  // Nobody listens while it waits for an upstream connection; whoever takes it over sees `errored`.
  limited.on('error', () => {})
  content.on('error', error => { limited.destroy(error) })
  content.on('aborted', () => { limited.destroy(new Error('request aborted')) })
  return content.pipe(limited)
}
