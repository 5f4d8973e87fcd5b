/** What is asked, what a 304 is about, and what it changes (RFC 9111 4.3, 3.2). */
import fc from 'fast-check'
import t from 'tap'
import { conditionalFields, confirmed, confirmsClient, matchesHead, updatedFields } from '../../src/cache/validation.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { entryOf, receivedAt } from '../fixtures/entries.ts'

const date = 'Mon, 05 Jan 2026 08:00:00 GMT'
const entry = (fields: FieldMap, ageSeconds = 0) => entryOf({ date: new Date(receivedAt - ageSeconds * 1000).toUTCString(), ...fields }, Buffer.from('content'))

t.test('the validators of what is validated, each once, and the client\'s own tags behind them (RFC 9111 4.3.1, 4.3.2)', t => {
  for (const [title, stored, request, dated, expected] of [
    ['none stored', [], {}, true, null], ['no validators', [{}], { 'if-none-match': '"c"' }, true, null], ['a tag', [{ etag: '"1"' }], {}, true, { 'if-none-match': '"1"' }], ['a date', [{ 'last-modified': date }], {}, true, { 'if-modified-since': date }],
    ['both', [{ etag: 'W/"1"', 'last-modified': date }], {}, true, { 'if-none-match': 'W/"1"', 'if-modified-since': date }], ['both of a part', [{ etag: '"1"', 'last-modified': date }], {}, false, { 'if-none-match': '"1"' }], ['a date of a part', [{ 'last-modified': date }], {}, false, null],
    ['several', [{ etag: '"1"' }, { etag: '"2"' }, { etag: '"1"' }, {}], {}, true, { 'if-none-match': '"1", "2"' }], ['several with dates', [{ etag: '"1"', 'last-modified': date }, { etag: '"2"', 'last-modified': date }], {}, true, { 'if-none-match': '"1", "2"' }],
    ['the client\'s', [{ etag: '"1"' }], { 'if-none-match': '"c", W/"d", "1"' }, true, { 'if-none-match': '"1", "c", W/"d"' }], ['any', [{ etag: '"1"' }], { 'if-none-match': '*' }, true, { 'if-none-match': '"1"' }], ['beside a date they would hide it', [{ 'last-modified': date }], { 'if-none-match': '"c"' }, true, { 'if-modified-since': date }]
  ] as const) t.strictSame({ ...conditionalFields(stored.map(fields => entry(fields)), request, dated) }, { ...(expected as FieldMap | null) }, title)
  t.equal(conditionalFields([], {}, true), null)
  const many = conditionalFields([entry({ etag: '"1"' })], { 'if-none-match': Array.from({ length: 1000 }, (_, i) => `"c${i}"`).join() }, true)
  t.equal(String(many?.['if-none-match']).split(',').length, 33, 'bounded')
  t.end()
})

t.test('which stored responses a 304 is about (RFC 9111 4.3.4)', t => {
  const a = entry({ etag: '"a"', 'last-modified': date }, 10)
  const a2 = entry({ etag: '"a"' }, 5)
  const b = entry({ etag: '"b"', 'last-modified': date }, 1)
  const w = entry({ etag: 'W/"w"' }, 10)
  const w2 = entry({ etag: 'W/"w"' }, 5)
  const d = entry({ 'last-modified': date }, 3)
  const none = entry({})
  for (const [title, asked, received, expected] of [
    ['all with the strong tag', [a, b, a2], { etag: '"a"' }, [a, a2]], ['none with it', [a, b], { etag: '"c"' }, []], ['the most recent with the weak tag', [w, w2], { etag: 'W/"w"' }, [w2]], ['a weak one for a strong one', [a, a2], { etag: 'W/"a"' }, [a2]], ['a strong one for a weak one', [w], { etag: '"w"' }, []],
    ['the most recent with the date', [a, b, d], { 'last-modified': date }, [b]], ['none with the date', [a, d], { 'last-modified': 'x' }, []], ['a new tag and the date', [d], { etag: '"n"', 'last-modified': date }, [d]], ['a new tag alone', [d], { etag: '"n"' }, []],
    ['without validator the only one', [a], {}, [a]], ['which has none either', [none], {}, [none]], ['but not one of several', [a, b], {}, []], ['none asked', [], {}, []], ['what is no tag is none', [a], { etag: 'a' }, [a]]
  ] as const) t.strictSame(confirmed(asked, {}, received).map(entry => asked.indexOf(entry as never)), expected.map(entry => (asked as readonly unknown[]).indexOf(entry)), title)
  t.strictSame(confirmed([a], { 'if-none-match': '"c"' }, {}), [], 'the client asked for something as well')
  t.strictSame(confirmed([a], { 'if-none-match': 'W/"a"' }, {}).length, 1, 'for the same')
  t.strictSame(confirmed([a], {}, {}, false), [], 'its validators were not sent')
  t.strictSame(confirmed([d], {}, {}, false), [], 'nor its date')
  t.strictSame(confirmed([none], {}, {}, false).length, 1, 'it has none')
  t.strictSame(confirmed([a], {}, { etag: '"a"' }, false).length, 1, 'what was not sent is named')
  t.end()
})

t.test('a 304 is about what the client has only by a tag that was sent for it (RFC 9111 4.3.2)', t => {
  for (const [title, asked, request, received, about] of [
    ['its tag', { 'if-none-match': '"1", "c"' }, { 'if-none-match': '"c"' }, { etag: '"c"' }, true], ['weakly', { 'if-none-match': '"1", "c"' }, { 'if-none-match': '"c"' }, { etag: 'W/"c"' }, true], ['another', { 'if-none-match': '"1", "c"' }, { 'if-none-match': '"c"' }, { etag: '"1"' }, false],
    ['none', { 'if-none-match': '"1", "c"' }, { 'if-none-match': '"c"' }, {}, false], ['not sent', {}, { 'if-none-match': '"c"' }, { etag: '"c"' }, false], ['nothing asked', null, { 'if-none-match': '"c"' }, { etag: '"c"' }, false], ['any', { 'if-none-match': '"1"' }, { 'if-none-match': '*' }, { etag: '"c"' }, false]
  ] as const) t.equal(confirmsClient(asked, request, received), about, title)
  t.end()
})

t.test('each received field replaces the stored one, but for those of the framing (RFC 9111 3.2)', t => {
  const name = fc.constantFrom('a', 'b', 'etag', 'cache-control', 'content-length', 'content-encoding', 'content-range', 'transfer-encoding', 'age', 'set-cookie', '__proto__', 'constructor')
  const fields = fc.array(fc.tuple(name, fc.oneof(fc.string(), fc.array(fc.string(), { minLength: 2, maxLength: 3 }))), { maxLength: 6 }).map(pairs => {
    const map = Object.create(null) as Record<string, string | string[]>
    for (const [name, value] of pairs) map[name] = value
    return map
  })
  const framing = new Set(['content-length', 'content-encoding', 'content-range', 'transfer-encoding'])
  fc.assert(fc.property(fields, fields, fc.boolean(), (stored, received, keepsCookies) => {
    const updated = updatedFields(stored, received, keepsCookies)
    const names = new Set([...Object.keys(stored), ...Object.keys(received)])
    return Object.keys(updated).every(name => names.has(name)) && [...names].every(name => {
      if (framing.has(name)) return updated[name] === stored[name]
      if (name === 'age') return updated[name] === received[name]
      if (name === 'set-cookie' && !keepsCookies && stored[name] === undefined) return updated[name] === undefined
      return updated[name] === (received[name] ?? stored[name])
    })
  }), { numRuns: 2000 })
  t.end()
})

t.test('a HEAD is about the stored response if all that it says is the same (RFC 9111 4.3.5)', t => {
  const { response } = entry({ etag: '"1"', 'last-modified': date })
  for (const [received, same] of [
    [{}, true], [{ etag: '"1"' }, true], [{ 'last-modified': date }, true], [{ 'content-length': '7' }, true], [{ etag: '"1"', 'last-modified': date, 'content-length': '7' }, true],
    [{ etag: '"2"' }, false], [{ etag: 'W/"1"' }, false], [{ 'last-modified': 'x' }, false], [{ 'content-length': '8' }, false], [{ 'content-length': 'seven' }, false], [{ etag: '"1"', 'content-length': '8' }, false]
  ] as const) t.equal(matchesHead(response, 7, received), same, JSON.stringify(received))
  t.equal(matchesHead(entry({}).response, 7, { etag: '"1"' }), false, 'a tag that the stored response does not have')
  t.end()
})
