import t from 'tap'
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
