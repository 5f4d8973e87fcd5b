import fc from 'fast-check'
import t from 'tap'
import { maxDeltaSeconds, parseCacheControl, parseDeltaSeconds, type CacheControl } from '../../src/http/cache-control.ts'

const parse = (...lines: string[]): CacheControl => parseCacheControl({ 'cache-control': lines.length === 1 ? lines[0] as string : lines })

const rows: ReadonlyArray<readonly [string, string | string[], Partial<CacheControl>]> = [
  ['no argument is needed for flags', 'no-store, public, immutable, no-transform, only-if-cached', { noStore: true, public: true, immutable: true, noTransform: true, onlyIfCached: true, malformed: false }],
  ['case of names does not matter', 'MAX-age=5, No-Store', { maxAge: 5, noStore: true }],
  ['an argument may be a token or a quoted string', 'max-age="5", s-maxage=6', { maxAge: 5, sMaxage: 6, malformed: false }],
  ['a quoted pair stands for its character', 'max-age="\\5"', { maxAge: 5 }],
  ['a quoted comma is no separator', 'x="a, no-store", max-age=5', { maxAge: 5, noStore: false, malformed: false }],
  ['empty members are ignored', ', ,max-age=5,, ,', { maxAge: 5, malformed: false }],
  ['several lines are one list', ['max-age=5', 'no-cache'], { maxAge: 5, noCache: true }],
  ['extensions that are not known are ignored', 'x=1, y="2", z, max-age=5, path=/a;b=c', { maxAge: 5, malformed: false }],
  ['of two lifetimes the shorter counts', 'max-age=5, max-age=3, s-maxage=1, s-maxage=7', { maxAge: 3, sMaxage: 1 }],
  ['a lifetime that is no number is none', 'max-age=abc', { maxAge: 0 }],
  ['a negative lifetime is none', 'max-age=-5', { maxAge: 0 }],
  ['a fraction is none', 'max-age=5.5', { maxAge: 0 }],
  ['a missing argument is none', 'max-age', { maxAge: 0 }],
  ['an empty argument is none', 'max-age=', { maxAge: 0 }],
  ['leading zeros change nothing', 'max-age=0005', { maxAge: 5 }],
  ['a lifetime too large is 2^31', `max-age=${'9'.repeat(400)}`, { maxAge: maxDeltaSeconds }],
  ['an s-maxage that is none permits nothing', 's-maxage=abc', { sMaxage: 0, malformed: true }],
  ['a permission with an argument permits nothing', 'public=1, max-age=5', { malformed: true }],
  ['white space around = is not in the grammar, a restriction still counts', 'no-cache = "a"', { noCache: ['a'], malformed: true }],
  ['no-cache with names', 'no-cache="Set-Cookie, x-A"', { noCache: ['set-cookie', 'x-a'], malformed: false }],
  ['no-cache with a name as a token', 'no-cache=Set-Cookie', { noCache: ['set-cookie'] }],
  ['no-cache with and without names covers everything', ['no-cache="a"', 'no-cache'], { noCache: true }],
  ['names of several no-cache are joined', 'no-cache="a", no-cache="b"', { noCache: ['a', 'b'] }],
  ['private with an empty list covers everything', 'private=""', { private: true, malformed: true }],
  ['private with nothing behind = covers everything', 'private=', { private: true, malformed: true }],
  ['private with something that is no name covers everything', 'private="a b"', { private: true, malformed: true }],
  ['a quote that does not end makes the field malformed', 'max-age=5, private="a', { maxAge: 5, malformed: true }],
  ['restrictions behind garbage are still seen', 'x="y"z, no-store', { noStore: true, malformed: true }],
  ['restrictions inside an unended quote are still seen', 'x="y, no-store', { noStore: true, malformed: true }],
  ['two words without a comma are malformed', 'max-age=5 public', { malformed: true, public: false }],
  ['a semicolon is no separator', 'max-age=5; public', { malformed: true, public: false }],
  ['max-stale without an argument accepts any', 'max-stale', { maxStale: Infinity }],
  ['max-stale with an argument that is none accepts nothing', 'max-stale=x', { maxStale: 0 }],
  ['of two max-stale the stricter counts', 'max-stale, max-stale=5', { maxStale: 5 }],
  ['of two min-fresh the stricter counts', 'min-fresh=5, min-fresh=9', { minFresh: 9 }],
  ['stale-while-revalidate and stale-if-error', 'stale-while-revalidate=5, stale-if-error="6"', { staleWhileRevalidate: 5, staleIfError: 6 }],
  ['__proto__ is an extension like any other', '__proto__=5, constructor', { maxAge: undefined, malformed: false }]
]

for (const [title, value, expected] of rows) {
  t.test(`Cache-Control: ${title} (RFC 9111 5.2)`, async t => {
    t.match(parse(...[value].flat()), expected)
    for (const [name, wanted] of Object.entries(expected)) t.strictSame(parse(...[value].flat())[name as keyof CacheControl], wanted, name)
  })
}

t.test('an absent field says nothing (RFC 9111 5.2)', async t => {
  const control = parseCacheControl(Object.create(null))
  t.strictSame(Object.values(control).filter(value => value !== undefined && value !== false), [])
  t.ok(Object.isFrozen(control), 'shared, so it cannot be changed')
})

t.test('another field of the same grammar can be read (RFC 9111 5.4)', async t => {
  t.equal(parseCacheControl({ pragma: 'no-cache' }, 'pragma').noCache, true)
})

t.test('delta-seconds are digits only, up to 2^31 (RFC 9111 1.2.2)', async t => {
  t.equal(parseDeltaSeconds('2147483648'), maxDeltaSeconds)
  t.equal(parseDeltaSeconds('2147483649'), maxDeltaSeconds)
  for (const text of ['', ' 1', '+1', '-1', '1e3', '0x1', '１', '1.0', undefined]) t.equal(parseDeltaSeconds(text), null, String(text))
})

t.test('parsing never throws, and lifetimes are never negative (property)', async () => {
  const pieces = fc.constantFrom('max-age', 's-maxage', 'private', 'no-cache', 'no-store', '=', '"', ',', ' ', '\\', '5', '-', 'x', '\t', ';', '\xff', '\0')
  const hostile = fc.oneof(fc.string({ unit: 'binary' }), fc.array(pieces, { maxLength: 40 }).map(parts => parts.join('')))
  fc.assert(fc.property(fc.array(hostile, { maxLength: 3 }), lines => {
    const control = parseCacheControl({ 'cache-control': lines })
    for (const value of Object.values(control)) if (typeof value === 'number' && !(value >= 0)) return false
    return true
  }), { numRuns: 3000 })
})

t.test('no-store as a member of a list is seen whatever stands around it, unless it is quoted (property)', async () => {
  // Without `=` before a quote there is no quoted string that the word could be part of.
  const around = fc.string({ unit: 'binary' }).map(text => text.replaceAll('=', ''))
  fc.assert(fc.property(around, around, (before, after) => parse(`${before},no-store,${after}`).noStore), { numRuns: 2000 })
})

t.test('what breaks the grammar makes the field malformed, whatever stood before it (property)', async () => {
  fc.assert(fc.property(fc.constantFrom('max-age=9"', 'public x', 'a="', '=5', '@', 'private="'), fc.constantFrom('', 'max-age=60, ', 'public, '), (bad, before) => parse(before + bad).malformed))
})

t.test('time grows with length only: no field can hold the process up (RFC 9111 5.2)', async t => {
  const long = 60_000
  // Quadratic work on any of these takes seconds, and the file times out long before they are done.
  const values = [`a,${' '.repeat(long)}"`, `a=${' '.repeat(long)}"`, `a${' '.repeat(long)}b`, `a="${'\\"'.repeat(long / 2)}`, 'a="b"c,'.repeat(long / 8), 'a="'.repeat(long / 3), ','.repeat(long)]
  for (let round = 0; round < 50; round++) for (const value of values) parse(value)
  t.pass()
})
