/** Names for requests: the client's `X-Request-Id` where it is harmless, else one of our own. */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const harmless = /^[A-Za-z0-9._~:-]{1,128}$/

/** A maker of request ids, unique over processes by a random start and within one by a counter. */
export function createRequestIds (): (raw: Pick<IncomingMessage, 'headers'>) => string {
  const start = randomBytes(6).toString('base64url')
  let count = 0
  return raw => {
    const given = raw.headers['x-request-id']
    if (typeof given === 'string' && harmless.test(given)) return given
    return `${start}-${(++count).toString(36)}`
  }
}
