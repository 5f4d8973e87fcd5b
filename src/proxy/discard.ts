/** Getting rid of a response body that nobody will see. */
import type { Body } from '../http/body.ts'

/** Read to its end up to here, so that its connection can be used again; more than this costs more than a new connection. */
const maxDiscardedBytes = 64 * 1024

/** Reads a bounded rest and drops it, or ends the exchange. */
export function discard (body: Body): void {
  let bytes = 0
  body.read({
    data (chunk) {
      bytes += chunk.length
      if (bytes > maxDiscardedBytes) body.destroy()
      return true
    },
    end () {},
    fail () {}
  })
}
