/** RFC 9111 section 4.2: freshness lifetime and age; 5.1 Age; 5.3 Expires; 1.2.2 delta-seconds. */
import t from 'tap'
import { checkRows, startWire, type Ask, type Row } from '../fixtures/conformance.ts'
import { formatHttpDate } from '../../src/http/date.ts'

const tag = 'ETag: "1"'
/** Fresh for so many seconds and not a second longer; with a validator, so that it is stored in any case. */
const fresh = (seconds: number): readonly Ask[] => [[0, 'uri-miss'], ...(seconds > 1 ? [[1, 'hit'], [seconds - 2, 'hit'], [1, 'stale']] as const : [[0, seconds > 0 ? 'hit' : 'stale'], [1, 'stale']] as const)]
const stale = fresh(0)
const control = (title: string, value: string | readonly string[], asks: readonly Ask[]): Row => [title, [...[value].flat().map(line => `Cache-Control: ${line}`), tag], asks]

t.test('directives that give a lifetime (RFC 9111 4.2.1, 5.2)', async t => {
  await checkRows(t, [
    control('max-age: fresh until its age has reached it (RFC 9111 4.2)', 'max-age=60', [[0, 'uri-miss'], [59, 'hit', { has: /\r\nage: 59\r\n/i }], [0.999, 'hit'], [0.001, 'stale']]),
    control('s-maxage before max-age (RFC 9111 4.2.1)', 'max-age=1, s-maxage=60', fresh(60)),
    control('s-maxage before max-age, also where it is the shorter one (RFC 9111 5.2.2.10)', 's-maxage=10, max-age=60', fresh(10)),
    control('s-maxage=0 before max-age (RFC 9111 5.2.2.10)', 's-maxage=0, max-age=60', stale),
    control('names in any case (RFC 9111 5.2)', 'MaX-aGe=60', fresh(60)),
    control('S-MAXAGE in capitals (RFC 9111 5.2)', 'max-age=1, S-MAXAGE=60', fresh(60)),
    control('the quoted form is accepted (RFC 9111 5.2)', 'max-age="60"', fresh(60)),
    control('white space around commas, empty members (RFC 9110 5.6.1)', ' , \tmax-age=60 ,, foo ,', fresh(60)),
    control('several lines are one list (RFC 9110 5.3)', ['foo', 'max-age=60', 'bar'], fresh(60)),
    control('leading zeros (RFC 9111 1.2.2)', 'max-age=0060', fresh(60)),
    control('a lifetime quoted inside an extension is none (RFC 9111 5.2.3)', 'x="max-age=60, s-maxage=60", max-age=10', fresh(10)),
    control('a directive whose name only begins like it is another one (RFC 9111 5.2.3)', 'max-age=10, xmax-age=60, max-agex=60, s-max-age=60', fresh(10)),
    control('2^31 seconds are representable (RFC 9111 1.2.2)', 'max-age=2147483648', [[0, 'uri-miss'], [1_000_000_000, 'hit']]),
    ...['2147483649', '4294967296', '4294967306', '99999999999', '9'.repeat(400)].map(seconds => control(`${seconds.slice(0, 12)}: an overflow is 2^31 and never negative (RFC 9111 1.2.2)`, `max-age=${seconds}`, [[0, 'uri-miss', { has: /ttl=2147483648/ }], [1_000_000_000, 'hit']])),
    ...['-60', '60.0', '6e1', '0x3c', '60s', "'60'", '+60', 'x', '', '"', '" 60"', '60 60', '\xa060'].map(value => control(`max-age=${value} is no delta-seconds: stale, or not stored at all (RFC 9111 4.2.1)`, `max-age=${value}`, [[0, 'uri-miss'], [0, 'no hit']])),
    control('max-age without an argument: stale (RFC 9111 4.2.1)', 'max-age', stale),
    control('white space around = is not in the grammar: no lifetime is inferred (RFC 9111 5.2)', 'max-age = 60', [[0, 'uri-miss'], [0, 'no hit']]),
    control('two different max-age: the shorter one, which is the first or stale (RFC 9111 4.2.1)', 'max-age=10, max-age=60', fresh(10)),
    control('two different max-age, the longer one first (RFC 9111 4.2.1)', ['max-age=60', 'max-age=10'], fresh(10)),
    control('two s-maxage (RFC 9111 4.2.1)', 's-maxage=60, s-maxage=10', fresh(10)),
    control('the same max-age twice is one (RFC 9111 4.2.1)', 'max-age=60, max-age=60', fresh(60)),
    control('one max-age valid, one not: stale (RFC 9111 4.2.1)', 'max-age=60, max-age=x', stale),
    control('max-age and no-cache conflict: the more restrictive is honoured (RFC 9111 4.2.1)', 'max-age=60, no-cache', [[0, 'uri-miss'], [0, 'stale no-cache']]),
    control('max-age and no-store conflict: the more restrictive is honoured (RFC 9111 4.2.1)', 'max-age=60, no-store', [[0, 'uri-miss no-store'], [0, 'uri-miss']]),
    control('public and private conflict: the more restrictive is honoured (RFC 9111 4.2.1)', 'public, private, max-age=60', [[0, 'uri-miss private'], [0, 'uri-miss']])
  ])
})

t.test('Expires (RFC 9111 4.2.1, 5.3)', async t => {
  const expires = (title: string, value: (at: (seconds: number) => string) => readonly string[], asks: readonly Ask[]): Row => [title, ({ at }) => [...value(at), tag], asks]
  const zone = (at: (seconds: number) => string, text: string): string => at(60).replace('GMT', text)

  await checkRows(t, [
    expires('Expires minus Date is the lifetime (RFC 9111 4.2.1)', at => [`Date: ${at(0)}`, `Expires: ${at(60)}`], fresh(60)),
    expires('without Date the time of receipt (RFC 9111 4.2.1)', at => [`Expires: ${at(60)}`], fresh(60)),
    expires('a clock of the origin server that is ahead makes no difference (RFC 9111 4.2.1)', at => [`Date: ${at(1000)}`, `Expires: ${at(1060)}`], fresh(60)),
    expires('a clock of the origin server that is behind makes it older, not longer fresh (RFC 9111 4.2.3)', at => [`Date: ${at(-20)}`, `Expires: ${at(40)}`], fresh(40)),
    expires('an invalid Date counts as the time of receipt (RFC 9110 6.6.1)', at => ['Date: today', `Expires: ${at(60)}`], fresh(60)),
    expires('several Date lines are no valid Date (RFC 9110 6.6.1)', at => [`Date: ${at(-1000)}`, `Date: ${at(0)}`, `Expires: ${at(60)}`], fresh(60)),
    expires('Expires at Date is stale (RFC 9111 4.2)', at => [`Date: ${at(0)}`, `Expires: ${at(0)}`], stale),
    expires('Expires before Date is stale (RFC 9111 4.2.1)', at => [`Date: ${at(0)}`, `Expires: ${at(-60)}`], stale),
    expires('max-age: Expires MUST be ignored (RFC 9111 5.3)', at => ['Cache-Control: max-age=60', `Expires: ${at(-60)}`], fresh(60)),
    expires('max-age=0: Expires MUST be ignored (RFC 9111 5.3)', at => ['Cache-Control: max-age=0', `Expires: ${at(60)}`], stale),
    expires('s-maxage: Expires MUST be ignored (RFC 9111 5.3)', at => ['Cache-Control: s-maxage=60', `Expires: ${at(-60)}`], fresh(60)),
    expires('an invalid max-age does not bring Expires back (RFC 9111 4.2.1)', at => ['Cache-Control: max-age=x', `Expires: ${at(60)}`], stale),
    expires('other directives leave Expires in force (RFC 9111 4.2.1)', at => ['Cache-Control: public, foo', `Expires: ${at(60)}`], fresh(60)),
    ...['0', '-1', '', 'never', '60', '1780315200', '2030-01-01T00:00:00Z', 'Mon, 01 Jun 2030', '01 Jun 2030 12:00:00 GMT'].map(value => expires(`Expires: ${value} MUST be taken for already expired (RFC 9111 5.3)`, () => [`Expires: ${value}`], stale)),
    expires('Expires beside heuristics: heuristics MUST NOT be used, also when it is invalid (RFC 9111 4.2.2)', at => ['Expires: 0', `Last-Modified: ${at(-100_000)}`], stale),
    expires('the RFC 850 form (RFC 9110 5.6.7)', () => ['Date: Monday, 01-Jun-26 12:00:00 GMT', 'Expires: Tuesday, 01-Jun-27 12:00:00 GMT', 'Age: 0'], [[0, 'uri-miss'], [1, 'hit']]),
    expires('a two-digit year more than 50 years ahead is in the past (RFC 9110 5.6.7)', () => ['Expires: Monday, 01-Jun-77 12:00:00 GMT'], stale),
    expires('the asctime form (RFC 9110 5.6.7)', () => ['Expires: Tue Jun  1 12:00:00 2027'], [[0, 'uri-miss'], [1, 'hit']]),
    expires('any case SHOULD match (RFC 9111 4.2)', at => [`Date: ${at(0).toLowerCase()}`, `Expires: ${at(60).toUpperCase()}`], fresh(60)),
    ...['UTC', 'EST', 'CET', '+0000', '-0500', 'Z', ''].map(text => expires(`the zone "${text}" SHOULD make it invalid (RFC 9111 4.2)`, at => [`Expires: ${zone(at, text)}`], stale)),
    expires('several Expires lines: stale (RFC 9111 4.2.1)', at => [`Expires: ${at(60)}`, `Expires: ${at(120)}`], stale),
    expires('several Expires in one line: stale (RFC 9111 4.2.1)', at => [`Expires: ${at(60)}, ${at(60)}`], stale),
    expires('an Expires that is very far ahead does not overflow (RFC 9111 5.3, 1.2.2)', () => ['Expires: Fri, 31 Dec 9999 23:59:59 GMT'], [[0, 'uri-miss', { has: /ttl=2147483648/ }], [100_000_000, 'hit']])
  ])
})

t.test('no local time zone has a part in it (RFC 9111 4.2)', async t => {
  const before = process.env['TZ']
  process.env['TZ'] = 'America/New_York'
  t.teardown(() => { if (before === undefined) delete process.env['TZ']; else process.env['TZ'] = before })
  await checkRows(t, [
    ['Expires and Date in another zone', ({ at }) => [`Expires: ${at(60)}`, tag], fresh(60)],
    ['asctime, which names no zone', () => ['Expires: Tue Jun  1 12:00:00 2027', tag], [[0, 'uri-miss'], [1, 'hit']]]
  ])
})

t.test('heuristic freshness (RFC 9111 4.2.2)', async t => {
  const changed = (title: string, fields: readonly string[], asks: readonly Ask[], ago = 1000): Row => [title, ({ at }) => [...fields, `Date: ${at(0)}`, `Last-Modified: ${at(-ago)}`], asks]
  await checkRows(t, [
    changed('10 % of the time since Last-Modified MAY be assigned (RFC 9111 4.2.2)', [], fresh(100)),
    changed('at most a day, in both profiles', [], [[0, 'uri-miss'], [86_399, 'hit'], [1, 'stale']], 100_000_000),
    changed('also for a URI with a query (RFC 9111 4.2.2)', [], [[0, 'uri-miss', { query: '?a' }], [1, 'hit', { query: '?a' }]]),
    changed('an explicit lifetime MUST NOT be replaced (RFC 9111 4.2.2)', ['Cache-Control: max-age=10'], fresh(10)),
    changed('no-cache: no use without validation (RFC 9111 5.2.2.4)', ['Cache-Control: no-cache'], [[0, 'uri-miss'], [0, 'stale no-cache']]),
    changed('an age counts against it (RFC 9111 4.2)', ['Age: 40'], fresh(60)),
    ['Last-Modified in the future gives none', ({ at }) => [`Last-Modified: ${at(60)}`], stale],
    ['Last-Modified at Date gives none', ({ at }) => [`Date: ${at(0)}`, `Last-Modified: ${at(0)}`], stale],
    ['an invalid Last-Modified gives none', ['Last-Modified: 1', tag], stale],
    ['an ETag alone gives none', [tag], stale]
  ])
})

t.test('age (RFC 9111 4.2.3, 5.1)', async t => {
  const age = (title: string, fields: readonly string[], left: number): Row => [title, ['Cache-Control: max-age=3600', ...fields, tag], fresh(left)]
  await checkRows(t, [
    age('Age counts from the beginning (RFC 9111 4.2.3)', ['Age: 3000'], 600),
    age('older than its lifetime: stale at once (RFC 9111 4.2)', ['Age: 3600'], 0),
    age('a list: the first member SHOULD be used (RFC 9111 5.1)', ['Age: 3000, 0'], 600),
    age('several lines: the first SHOULD be used (RFC 9111 5.1)', ['Age: 3000', 'Age: 7200'], 600),
    age('an empty member is none (RFC 9110 5.6.1)', ['Age: , 3000'], 600),
    age('the first member is invalid: SHOULD be ignored (RFC 9111 5.1)', ['Age: x, 3000'], 3600),
    ...['-3000', '3000.0', '3e3', '"3000"', '3000;x=1', '3000 s', '+3000', 'x', ''].map(value => age(`Age: ${value} is invalid and SHOULD be ignored (RFC 9111 5.1)`, [`Age: ${value}`], 3600)),
    ...['2147483648', '4294967297', '9'.repeat(400)].map(value => age(`an Age of ${value.slice(0, 12)} is very old, and no overflow makes it young (RFC 9111 1.2.2)`, [`Age: ${value}`], 0)),
    ['the lifetime is Expires minus Date, the age that of Age (RFC 9111 4.2.1, 4.2.3)', ({ at }) => [`Date: ${at(0)}`, `Expires: ${at(3600)}`, 'Age: 3000', tag], fresh(600)],
    ['Age and an older Date: the larger of both counts (RFC 9111 4.2.3)', ({ at }) => [`Date: ${at(-3000)}`, 'Cache-Control: max-age=3600', 'Age: 10', tag], fresh(600)],
    ['Age and a younger Date: the larger of both counts (RFC 9111 4.2.3)', ({ at }) => [`Date: ${at(-10)}`, 'Cache-Control: max-age=3600', 'Age: 3000', tag], fresh(600)],
    ['apparent age: a Date in the past without Age (RFC 9111 4.2.3)', ({ at }) => [`Date: ${at(-3000)}`, 'Cache-Control: max-age=3600', tag], fresh(600)],
    ['a fraction of a second that Date cannot say is no age (RFC 9111 4.2.3)', ({ at }) => [`Date: ${at(0)}`, 'Cache-Control: max-age=1', tag], [[0.999, 'uri-miss'], [0.999, 'hit', { has: /\r\nage: 0\r\n/i }], [0.001, 'stale']]],
    ['a Date in the future makes no negative age (RFC 9111 4.2.3)', ({ at }) => [`Date: ${at(3000)}`, 'Cache-Control: max-age=3600', tag], [[0, 'uri-miss'], [0, 'hit', { has: /\r\nage: 0\r\n/i }], [3599, 'hit'], [1, 'stale']]],
    ['the time the origin server took counts (RFC 9111 4.2.3)', { fields: ['Cache-Control: max-age=60', 'Age: 10', tag], takes: 20 }, [[0, 'uri-miss'], [0, 'hit', { has: /\r\nage: 30\r\n/i }], [29, 'hit', { has: /\r\nage: 59\r\n/i }], [1, 'stale']]],
    ['Age MUST be generated, replacing the one received (RFC 9111 4)', ['Cache-Control: max-age=3600', 'Age: 100'], [[0, 'uri-miss', { has: /\r\nage: 100\r\n/i }], [20, 'hit', { has: /\r\nage: 120\r\n/i, lacks: /\r\nage: 100\r\n/i }], [0.9, 'hit', { has: /\r\nage: 120\r\n/i }]]],
    ['an Age that was invalid is replaced as well (RFC 9111 4)', ['Cache-Control: max-age=3600', 'Age: x'], [[0, 'uri-miss'], [20, 'hit', { has: /\r\nage: 20\r\n/i, lacks: /\r\nage: x/i }]]],
    ['a 304 for the client has an Age, too (RFC 9111 4)', ['Cache-Control: max-age=3600', tag], [[0, 'uri-miss'], [20, 'hit', { send: ['If-None-Match: "1"'], has: [/^HTTP\/1\.1 304/, /\r\nage: 20\r\n/i] }]]],
    ['a response that was not stored has no Age of ours (RFC 9111 5.1)', ['Cache-Control: max-age=3600'], [[0, 'uri-miss', { lacks: /\r\nage:/i }]]],
    ['a validated response is no older than its validation, and Age does not deny that it took place (RFC 9111 4.2, 5.1)', ({ count }) => count === 1 ? ['Cache-Control: max-age=60', 'Age: 30', tag] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n' }, [[0, 'uri-miss'], [100, 'stale validated', { lacks: /\r\nage:/i }], [59, 'hit', { has: /\r\nage: 59\r\n/i }], [1, 'stale']]],
    ['a 304 that comes from a cache has its age (RFC 9111 4.2.3)', ({ count }) => count === 1 ? ['Cache-Control: max-age=60', tag] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nAge: 20\r\nCache-Control: max-age=60\r\n\r\n' }, [[0, 'uri-miss'], [100, 'stale validated', { has: /\r\nage: 20\r\n/i }], [39, 'hit', { has: /\r\nage: 59\r\n/i }], [1, 'stale']]]
  ])
})

t.test('age is never negative, also when the clock was set back (RFC 9111 4.2.3)', async t => {
  const wire = await startWire(t, (_exchange, { now }) => `HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: ${formatHttpDate(now())}\r\nCache-Control: max-age=60\r\n\r\n`)
  await wire.ask('/')
  wire.pass(-3600)
  t.match(await wire.ask('/'), /\r\nage: 0\r\n[^]*; hit; ttl=60\r\n/i)
})

t.test('serving stale responses (RFC 9111 4.2.4)', async t => {
  const gone = (fields: readonly string[], asks: readonly Ask[], title: string): Row => [title, ({ count }) => count === 1 ? [...fields, tag] : { status: '503 Service Unavailable' }, [[0, 'uri-miss'], ...asks]]
  const anyStale = { send: ['Cache-Control: max-stale'] }
  await checkRows(t, [
    gone(['Cache-Control: max-age=1'], [[2, 'stale', { has: /^HTTP\/1\.1 503/ }]], 'MUST NOT be generated unless permitted, also when the origin server fails (RFC 9111 4.2.4)'),
    gone(['Cache-Control: max-age=1'], [[2, 'hit request-max-stale', { ...anyStale, has: /ttl=-1;/ }]], 'the client permits it by max-stale (RFC 9111 4.2.4)'),
    gone(['Cache-Control: max-age=1, stale-if-error=60'], [[2, 'stale stale-if-error', { has: /^HTTP\/1\.1 200/ }]], 'the origin server permits it by an extension (RFC 9111 4.2.4)'),
    ...['no-cache', 'must-revalidate', 'proxy-revalidate', 's-maxage=1'].map(directive => gone([`Cache-Control: max-age=1, stale-if-error=60, ${directive}`], [[2, 'stale', { ...anyStale, has: /^HTTP\/1\.1 503/ }]], `MUST NOT be generated where ${directive} prohibits it, whoever permits it (RFC 9111 4.2.4)`))
  ])
})
