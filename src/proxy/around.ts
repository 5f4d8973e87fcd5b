/** Content of which some is stored and the rest arrives (RFC 9111 3.4). */
import { Readable } from 'node:stream'
import type { Composition } from '../cache/completion.ts'
import { bodyOf, type Body } from '../http/body.ts'

/** The stored parts on both sides of what arrives, which has to be as long as it should: the client was told. */
export function around ({ before, after, gapBytes }: Composition, content: Body): Body {
  const gap = content.stream()
  const whole = Readable.from((async function * () {
    if (before.length > 0) yield before
    let left = gapBytes
    for await (const chunk of gap as AsyncIterable<Buffer>) {
      left -= chunk.length
      if (left < 0) break
      yield chunk
    }
    if (left !== 0) throw new Error('the rest of a partial response has another length than its Content-Range says')
    if (after.length > 0) yield after
  })(), { objectMode: false })
  // A generator that nobody has begun to read ends without a word to what it would have read.
  return bodyOf(whole.once('close', () => { gap.destroy() }))
}
