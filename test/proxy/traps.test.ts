/** What reply-from, undici and Node do by default that a proxy must not: each has a test, which begins with its number. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

/** What happens with `reply.from()` as it comes. */
const traps: Readonly<Record<number, string>> = {
  1: 'bodies of refused responses hold connections until none is left',
  2: 'Retry-After is taken for milliseconds, and 503 is asked for again',
  3: 'a Trailer field beside Content-Length ends the process',
  4: 'dot segments spelled oddly leave the route',
  5: 'certificates are not verified',
  6: 'Expect, Keep-Alive and Upgrade of a client are answered 500',
  7: 'TE, Trailer and Proxy-* reach the origin server',
  8: 'Connection and what it names reach the client',
  9: 'JSON is parsed and written anew',
  10: 'connection refused is 500 with the address in it',
  11: 'the exchange goes on when the client has left',
  12: 'the deadline does not count the queue, which has no bound',
  13: 'silent streams are cut',
  14: 'a connection that was closed while idle is a 500',
  15: 'a response cut short looks whole',
  16: 'early hints are lost, and trailers but not their announcement',
  17: 'every target gets the Host of the first',
  18: 'no forwarding fields, and those of a client believed',
  19: 'the bounds of the store do not hold',
  20: 'content of GET vanishes',
  21: 'a status outside of 100 to 599 ends the process',
  22: 'recording by `pipe` hangs when the origin server dies',
  23: 'queries that are no UTF-8 are 500',
  24: 'targets are repaired on the way',
  25: 'the absolute form is 500',
  26: 'two Hosts are accepted',
  27: 'an unasked 100 is 500',
  28: 'fields that drip in hold a connection for a minute',
  29: 'Max-Forwards is not counted, loops are not seen',
  30: 'content left unread is the next request',
  31: 'X-Forwarded-Host reaches the origin server and what it answers is stored for all',
  32: 'what cannot be parsed is ignored, and shared'
}

t.test('every trap has a test that says its number', async t => {
  const folder = join(import.meta.dirname, '..')
  const numbers = new Set<number>()
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.test.ts')) continue
    for (const [, list = ''] of readFileSync(join(folder, file), 'utf8').matchAll(/t\.test\('(\d+(?:, \d+)*): /g)) {
      for (const number of list.split(', ')) numbers.add(Number(number))
    }
  }
  for (const [number, trap] of Object.entries(traps)) t.ok(numbers.has(Number(number)), `${number}: ${trap}`)
})
