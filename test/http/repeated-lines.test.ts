import t from 'tap'
import { headFor } from '../../plugins/wire-stream.ts'
import { http2Values } from '../../src/http/repeated-lines.ts'

t.test('a field on several lines goes to HTTP/2 as it came, or as one line where Node takes no more; Set-Cookie always as it came', async t => {
  const [lines, cookies] = [['de', 'en, fr'], ['a=1', 'b=2']]
  t.same(http2Values('content-language', lines, true), lines)
  t.equal(http2Values('content-language', lines, false), 'de, en, fr')
  for (const passesRepeated of [true, false]) {
    t.same(http2Values('set-cookie', cookies, passesRepeated), cookies)
    t.equal(http2Values('content-language', ['de'], passesRepeated), 'de')
  }
})

t.test('a head goes to HTTP/2 as lines, or as an object where Node takes no more, with the same fields', async t => {
  const lines = [':status', '200', 'vary', 'accept', 'etag', '"a"', 'vary', 'accept-encoding', 'vary', 'origin', '__proto__', 'x']
  t.equal(headFor(lines, true), lines)
  t.same(Object.entries(headFor(lines, false) as object), [[':status', '200'], ['vary', ['accept', 'accept-encoding', 'origin']], ['etag', '"a"'], ['__proto__', 'x']])
})
