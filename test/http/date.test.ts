import fc from 'fast-check'
import t from 'tap'
import { formatHttpDate, parseHttpDate } from '../../src/http/date.ts'

const now = Date.UTC(2026, 10, 23)
const example = Date.UTC(1994, 10, 6, 8, 49, 37)

const rows: ReadonlyArray<readonly [string, string, number | null]> = [
  ['IMF-fixdate', 'Sun, 06 Nov 1994 08:49:37 GMT', example],
  ['RFC 850 date', 'Sunday, 06-Nov-94 08:49:37 GMT', example],
  ['asctime date', 'Sun Nov  6 08:49:37 1994', example],
  ['asctime date with two digits', 'Wed Nov 16 08:49:37 1994', Date.UTC(1994, 10, 16, 8, 49, 37)],
  ['case does not matter to a cache (RFC 9111 4.2)', 'sun, 06 nov 1994 08:49:37 gmt', example],
  ['white space around is no part of the value', ' \tSun, 06 Nov 1994 08:49:37 GMT ', example],
  ['a leap second is the next second', 'Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2017, 0, 1)],
  ['29 February of a leap year', 'Thu, 29 Feb 2024 00:00:00 GMT', Date.UTC(2024, 1, 29)],
  ['year 0', 'Sat, 01 Jan 0000 00:00:00 GMT', -62167219200000],
  ['29 February of another year', 'Wed, 29 Feb 2023 00:00:00 GMT', null],
  ['30 February', 'Fri, 30 Feb 2024 00:00:00 GMT', null],
  ['day 0', 'Sun, 00 Nov 1994 08:49:37 GMT', null],
  ['hour 24', 'Sun, 06 Nov 1994 24:00:00 GMT', null],
  ['minute 60', 'Sun, 06 Nov 1994 08:60:00 GMT', null],
  ['second 61', 'Sun, 06 Nov 1994 08:49:61 GMT', null],
  ['no such month', 'Sun, 06 Foo 1994 08:49:37 GMT', null],
  ['a zone that is not GMT is invalid (RFC 9111 4.2)', 'Sun, 06 Nov 1994 08:49:37 UTC', null],
  ['an offset', 'Sun, 06 Nov 1994 08:49:37 +0000', null],
  ['one digit of a day', 'Sun, 6 Nov 1994 08:49:37 GMT', null],
  ['two digits of a year', 'Sun, 06 Nov 94 08:49:37 GMT', null],
  ['two spaces', 'Sun,  06 Nov 1994 08:49:37 GMT', null],
  ['no space', 'Sun,06 Nov 1994 08:49:37 GMT', null],
  ['no name of a day', '06 Nov 1994 08:49:37 GMT', null],
  ['something behind', 'Sun, 06 Nov 1994 08:49:37 GMT, x', null],
  ['a space that is not one', '\xa0Sun, 06 Nov 1994 08:49:37 GMT', null],
  ['ISO 8601', '1994-11-06T08:49:37Z', null],
  ['0', '0', null],
  ['-1', '-1', null],
  ['nothing', '', null]
]

for (const [title, text, expected] of rows) {
  t.test(`HTTP-date: ${title} (RFC 9110 5.6.7)`, async t => { t.equal(parseHttpDate(text, now), expected) })
}

t.test('a two-digit year more than 50 years ahead is in the past (RFC 9110 5.6.7)', async t => {
  const year = (text: string, at = now) => new Date(parseHttpDate(text, at) ?? NaN).getUTCFullYear()
  t.equal(year('Monday, 23-Nov-76 00:00:00 GMT'), 2076, 'exactly 50 years')
  t.equal(year('Monday, 23-Nov-76 00:00:01 GMT'), 1976, 'a second more')
  t.equal(year('Monday, 01-Jan-77 00:00:00 GMT'), 1977)
  t.equal(year('Monday, 01-Jan-00 00:00:00 GMT'), 2000)
  t.equal(year('Monday, 01-Jan-99 00:00:00 GMT'), 1999)
  t.equal(year('Monday, 29-Feb-00 00:00:00 GMT', Date.UTC(2150, 0, 1)), 2000, '2100 has no 29 February')
})

t.test('what is formatted is read back to the second (property)', async () => {
  fc.assert(fc.property(fc.integer({ min: -62167219200, max: 253402300799 }), seconds => parseHttpDate(formatHttpDate(seconds * 1000), now) === seconds * 1000))
})

t.test('parsing never throws and gives an instant or null (property)', async () => {
  const pieces = fc.constantFrom('Sun', ', ', '06', ' ', 'Nov', '1994', '08:49:37', 'GMT', 'day', '-', '99', '\0', '\xa0')
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.array(pieces).map(parts => parts.join(''))), text => {
    const at = parseHttpDate(text, now)
    return at === null || Number.isFinite(at)
  }), { numRuns: 3000 })
})
