/** Byte ranges as text and as positions (RFC 9110 14, 13.1.5). */
import fc from 'fast-check'
import t from 'tap'
import { formatContentRange, ifRangeHolds, parseContentRange, parseRange, resolveRange, resolveRanges } from '../../src/http/range.ts'
import { parseEntityTag } from '../../src/http/entity-tag.ts'
import { parseHttpDate } from '../../src/http/date.ts'

t.test('Range is read as its grammar says, and otherwise not at all (RFC 9110 14.1.1, 14.2)', t => {
  for (const [value, expected] of [
    ['bytes=0-4', [{ first: 0, last: 4 }]], ['bytes=5-', [{ first: 5, last: null }]], ['bytes=-5', [{ suffix: 5 }]], ['bytes=-0', [{ suffix: 0 }]], ['Bytes=0-0', [{ first: 0, last: 0 }]],
    ['bytes=0-1,4-,-2', [{ first: 0, last: 1 }, { first: 4, last: null }, { suffix: 2 }]], ['bytes= 0-1 ,\t2-3', [{ first: 0, last: 1 }, { first: 2, last: 3 }]], ['bytes=,,0-1,', [{ first: 0, last: 1 }]],
    ['bytes=', null], ['bytes=,', null], ['bytes=-', null], ['bytes=4-0', null], ['bytes=0-1,4-0', null], ['bytes=a', null], ['bytes=0-a', null], ['bytes=-1-2', null], ['bytes=0 -1', null], ['items=0-1', null], ['0-1', null], ['', null], ['bytes', null]
  ] as const) t.strictSame(parseRange(value), expected, value)
  const many = (count: number): string => `bytes=${Array.from({ length: count }, (_, i) => `${i * 2}-${i * 2}`).join()}`
  t.equal(parseRange(many(16))?.length, 16)
  t.equal(parseRange(many(17)), null, 'too many are ignored (17.15)')
  t.equal(parseRange(`bytes=${','.repeat(100)}0-1`), null)
  t.end()
})

t.test('reading never throws, whatever the octets', t => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.string().map(text => `bytes=${text}`), fc.stringMatching(/^bytes=[-0-9, ]*$/)), text => {
    const specs = parseRange(text)
    parseContentRange(text)
    ifRangeHolds(text, { etag: null, lastModifiedAt: null, dateAt: 0, fields: {} }, 0)
    return specs === null || specs.every(spec => 'suffix' in spec ? spec.suffix >= 0 : spec.first >= 0 && (spec.last === null || spec.last >= spec.first))
  }), { numRuns: 2000 })
  t.end()
})

t.test('a resolved range lies within the content (RFC 9110 14.1.2)', t => {
  for (const [value, expected] of [
    ['0-4', { start: 0, end: 4 }], ['0-100', { start: 0, end: 9 }], ['9-', { start: 9, end: 9 }], ['10-', null], ['10-20', null], ['-1', { start: 9, end: 9 }], ['-10', { start: 0, end: 9 }], ['-11', { start: 0, end: 9 }], ['-0', null],
    [`0-${'9'.repeat(30)}`, { start: 0, end: 9 }], [`${'9'.repeat(400)}-`, null], [`-${'9'.repeat(400)}`, { start: 0, end: 9 }]
  ] as const) {
    const [spec] = parseRange(`bytes=${value}`) ?? []
    t.strictSame(spec === undefined ? 'unread' : resolveRange(spec, 10), expected, value)
  }
  t.equal(resolveRange({ suffix: 1 }, 0), null)
  t.end()
})

const specOf = fc.oneof(
  fc.record({ suffix: fc.nat(120) }),
  fc.tuple(fc.nat(120), fc.option(fc.nat(120))).map(([first, more]) => ({ first, last: more === null ? null : first + more }))
)

t.test('resolved ranges cover what was asked for, once each, with a gap between any two (RFC 9110 15.3.7.2)', t => {
  fc.assert(fc.property(fc.array(specOf, { minLength: 1, maxLength: 16 }), fc.nat(100), (specs, totalBytes) => {
    const asked = new Set(specs.flatMap(spec => {
      const range = resolveRange(spec, totalBytes)
      return range === null ? [] : Array.from({ length: range.end - range.start + 1 }, (_, i) => range.start + i)
    }))
    const ranges = resolveRanges(specs, totalBytes)
    const sent = ranges.flatMap(({ start, end }) => Array.from({ length: end - start + 1 }, (_, i) => start + i))
    const apart = ranges.every((a, i) => ranges.every((b, j) => i === j || a.end + 1 < b.start || b.end + 1 < a.start))
    return apart && sent.length === asked.size && sent.every(place => asked.has(place) && place < totalBytes)
  }), { numRuns: 2000 })
  t.end()
})

t.test('Content-Range is read only where it is valid and about bytes (RFC 9110 14.4)', t => {
  for (const [value, expected] of [
    ['bytes 0-4/10', { start: 0, end: 4, totalBytes: 10 }], ['bytes 9-9/10', { start: 9, end: 9, totalBytes: 10 }], ['bytes 0-4/*', { start: 0, end: 4, totalBytes: null }], ['BYTES 0-4/10', { start: 0, end: 4, totalBytes: 10 }],
    ['bytes */10', null], ['bytes 4-0/10', null], ['bytes 0-10/10', null], ['bytes 0-4/4', null], ['items 0-4/10', null], ['bytes=0-4/10', null], ['bytes 0-4', null], ['0-4/10', null], ['bytes 0 - 4/10', null], ['bytes -4/10', null],
    [`bytes 0-4/${'9'.repeat(16)}`, null], [['bytes 0-4/10', 'bytes 0-4/10'], null], [undefined, null]
  ] as const) t.strictSame(parseContentRange(value as string), expected, String(value))
  fc.assert(fc.property(fc.nat(), fc.nat(), fc.nat(), (start, more, rest) => {
    const [end, totalBytes] = [start + more, start + more + 1 + rest]
    const read = parseContentRange(formatContentRange({ start, end }, totalBytes))
    return read?.start === start && read.end === end && read.totalBytes === totalBytes
  }))
  t.end()
})

t.test('If-Range holds for a validator that is the same and strong (RFC 9110 13.1.5, 8.8.2.2)', t => {
  const date = 'Mon, 05 Jan 2026 08:00:00 GMT'
  const at = parseHttpDate(date, 0) as number
  const stored = (etag: string | undefined, lastModified: string | undefined, dateAt: number) => ({ etag: parseEntityTag(etag), fields: lastModified === undefined ? {} : { 'last-modified': lastModified }, lastModifiedAt: lastModified === undefined ? null : at, dateAt })
  for (const [value, validators, holds] of [
    [undefined, stored(undefined, undefined, 0), true],
    ['"1"', stored('"1"', date, at), true], ['"1"', stored('"2"', date, at), false], ['"1"', stored('W/"1"', date, at), false], ['W/"1"', stored('W/"1"', date, at), false], ['W/"1"', stored('"1"', date, at), false], ['"1"', stored(undefined, date, at + 1000), false],
    [date, stored('"1"', date, at + 1000), true], [date, stored(undefined, date, at + 1000), true], [date, stored(undefined, date, at + 999), false], [date, stored(undefined, undefined, at + 1000), false],
    ['Mon Jan  5 08:00:00 2026', stored(undefined, date, at + 1000), false], ['Mon, 05 Jan 2026 08:00:01 GMT', stored(undefined, date, at + 5000), false],
    [['"1"', '"1"'], stored('"1"', date, at), false], ['', stored('"1"', date, at), false]
  ] as const) t.equal(ifRangeHolds(value as string, validators, at), holds, JSON.stringify([value, validators]))
  t.end()
})
