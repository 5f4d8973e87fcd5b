/** Which stored response a request selects by `Vary` (RFC 9111 4.1), under each way of comparing. */
import t from 'tap'
import { bodyOf, checkRows, outcomeOf, rfc9111, startWire, type Ask, type Row, type Saying } from '../fixtures/conformance.ts'
import type { ProxySettings } from '../fixtures/proxy.ts'
import { response } from '../fixtures/raw-origin.ts'

const sent = (text: string, name: string): string | undefined => new RegExp(`\\r\\n${name}: ([^\\r]*)`, 'i').exec(text)?.[1]

/** A response for an hour that names a field of its request in its content. */
const varying = (vary: readonly string[], more: readonly string[] = []) => ({ text, at }: Saying) => ({
  fields: ['Cache-Control: max-age=3600', `Date: ${at(0)}`, ...vary.map(value => `Vary: ${value}`), ...more],
  body: `${sent(text, 'a') ?? 'none'}`
})

const once = (vary: readonly string[], first: readonly string[], second: readonly string[], is: string): [Row[1], Ask[]] =>
  [varying(vary), [[0, 'uri-miss', { send: first }], [1, is, { send: second }]]]

t.test('a stored response is used only where all nominated fields match (RFC 9111 4.1)', async t => {
  await checkRows(t, [
    ['the same value matches', ...once(['A'], ['A: 1'], ['A: 1'], 'hit')],
    ['another value does not', ...once(['A'], ['A: 1'], ['A: 2'], 'vary-miss')],
    ['letter case matters where the field does not say otherwise', ...once(['A'], ['A: one'], ['A: One'], 'vary-miss')],
    ['names in Vary are case-insensitive', ...once(['a'], ['A: 1'], ['a: 2'], 'vary-miss')],
    ['a field that is absent matches only where it was absent', ...once(['A'], [], ['A: 1'], 'vary-miss')],
    ['a field that was there does not match where it is absent', ...once(['A'], ['A: 1'], [], 'vary-miss')],
    ['absent matches absent', ...once(['A'], [], [], 'hit')],
    ['a field that its client says is for the connection alone selects nothing, since the origin server does not get it (RFC 9110 7.6.1)', ...once(['A'], ['Connection: A', 'A: 1'], ['A: 1'], 'vary-miss')],
    ['with such a field a request selects what was stored without it', ...once(['A'], [], ['Connection: Keep-Alive, a', 'A: 1'], 'hit')],
    ['an empty value is not an absent field', ...once(['A'], [], ['A:'], 'vary-miss')],
    ['fields that Vary does not name do not matter', ...once(['A'], ['A: 1', 'B: 1'], ['A: 1', 'B: 2'], 'hit')],
    ['every member of the list counts', ...once(['A, B'], ['A: 1', 'B: 1'], ['A: 1', 'B: 2'], 'vary-miss')],
    ['all members match', ...once(['A, B'], ['A: 1', 'B: 1'], ['B: 1', 'A: 1'], 'hit')],
    ['the list goes on in a second line', ...once(['A', 'B'], ['A: 1', 'B: 1'], ['A: 1', 'B: 2'], 'vary-miss')],
    ['empty members and spaces mean nothing', ...once([', A ,, ,B,'], ['A: 1', 'B: 1'], ['A: 1', 'B: 1'], 'hit')],
    ['behind empty members there is a name', ...once([', ,, A'], ['A: 1'], ['A: 2'], 'vary-miss')],
    ['an empty Vary nominates nothing', ...once([''], ['A: 1'], ['A: 2'], 'hit')],
    ['lines of one field match the same list in one line', ...once(['A'], ['A: 1', 'A: 2'], ['A: 1, 2'], 'hit')],
    ['white space around commas means nothing', ...once(['A'], ['A: 1 ,2'], ['A: 1,   2'], 'hit')],
    ['white space within a member may mean something', ...once(['A'], ['A: 1 2'], ['A: 1  2'], 'vary-miss')],
    ['a comma within quotes is none', ...once(['A'], ['A: "1 , 2"'], ['A: "1, 2"'], 'vary-miss')],
    ['white space beside a comma may mean something where the field is no list (RFC 9110 5.6.1)', varying(['Cookie, User-Agent']), [[0, 'uri-miss', { send: ['Cookie: a=1, 2', 'User-Agent: x'] }], [1, 'vary-miss', { send: ['Cookie: a=1,2', 'User-Agent: x'] }], [1, 'vary-miss', { send: ['Cookie: a=1, 2', 'User-Agent: x (y, z)'] }], [1, 'vary-miss', { send: ['Cookie: a=1, 2', 'User-Agent: x (y,z)'] }]]],
    ['letter case of a media type means nothing, that of a parameter\'s value may (RFC 9110 8.3.1)', varying(['Accept']), [[0, 'uri-miss', { send: ['Accept: a/b;profile=X;q=0.5'] }], [1, 'hit', { send: ['Accept: A/B;Profile=X;Q=0.50'] }], [1, 'vary-miss', { send: ['Accept: a/b;profile=x;q=0.5'] }]]],
    ['a name like a property of objects is a field', ...once(['constructor'], [], ['Constructor: 1'], 'vary-miss')]
  ])
})

t.test('a Vary with "*" anywhere never matches (RFC 9111 4.1)', async t => {
  const twice = (vary: readonly string[]): [Row[1], Ask[]] => [varying(vary), [[0, 'uri-miss vary-star'], [0, 'uri-miss vary-star']]]
  await checkRows(t, [
    ['alone', ...twice(['*'])],
    ['behind a name', ...twice(['A, *'])],
    ['before a name', ...twice(['*, A'])],
    ['in a second line', ...twice(['A', '*'])],
    ['among empty members', ...twice([',, * ,'])],
    ['what is no field name is taken for it', ...twice(['A B'])]
  ])
})

t.test('several variants are stored, and each request gets its own (RFC 9111 4.1)', async t => {
  const { ask, origin } = await startWire(t, ({ text }) => response(`for ${sent(text, 'a') ?? 'none'}`, ['Cache-Control: max-age=3600', 'Vary: A']))
  for (const is of ['miss', 'hit']) {
    for (const value of ['1', '2', '3', undefined]) {
      const answer = await ask('/', value === undefined ? [] : [`A: ${value}`])
      t.match(outcomeOf(answer, false), is)
      t.equal(bodyOf(answer), `for ${value ?? 'none'}`)
    }
  }
  t.equal(origin.requests.length, 4)
})

t.test('of those that match the most recent by Date is used, not the one stored last (RFC 9111 4, 4.1)', async t => {
  await checkRows(t, [
    ['the second is older', ({ at, count }) => ({
      fields: ['Cache-Control: max-age=3600', `Date: ${at(count === 1 ? 0 : -100)}`, count === 1 ? 'Vary: A' : 'Vary: A, B'], body: `answer ${count}`
    }), [
      [0, 'uri-miss', { send: ['A: 1', 'B: 1'] }],
      [1, 'request', { send: ['A: 1', 'B: 1', 'Cache-Control: no-cache'] }],
      [1, 'hit', { send: ['A: 1', 'B: 1'], has: /answer 1$/ }]
    ]],
    ['the second is younger', ({ at, count }) => ({
      fields: ['Cache-Control: max-age=3600', `Date: ${at(count === 1 ? -100 : 0)}`, count === 1 ? 'Vary: A' : 'Vary: A, B'], body: `answer ${count}`
    }), [
      [0, 'uri-miss', { send: ['A: 1', 'B: 1'] }],
      [1, 'request', { send: ['A: 1', 'B: 1', 'Cache-Control: no-cache'] }],
      [1, 'hit', { send: ['A: 1', 'B: 1'], has: /answer 2$/ }]
    ]],
    ['both are of the same second', ({ at, count }) => ({
      fields: ['Cache-Control: max-age=3600', `Date: ${at(0)}`, count === 1 ? 'Vary: A' : 'Vary: A, B'], body: `answer ${count}`
    }), [
      [0, 'uri-miss', { send: ['A: 1', 'B: 1'] }],
      [0, 'request', { send: ['A: 1', 'B: 1', 'Cache-Control: no-cache'] }],
      [0, 'hit', { send: ['A: 1', 'B: 1'], has: /answer 2$/ }]
    ]],
    ['one with Vary goes before a younger one without (SHOULD)', ({ at, count }) => ({
      fields: ['Cache-Control: max-age=3600', `Date: ${at(count === 1 ? -100 : 0)}`, ...(count === 1 ? ['Vary: A'] : [])], body: `answer ${count}`
    }), [
      [0, 'uri-miss', { send: ['A: 1'] }],
      [1, 'vary-miss'],
      [1, 'hit', { send: ['A: 1'], has: /answer 1$/ }],
      [0, 'hit', { send: ['A: 2'], has: /answer 2$/ }]
    ]]
  ])
})

t.test('the variants of a URI are bounded, and the oldest goes first (MAY)', async t => {
  const { ask, proxy } = await startWire(t, ({ text }) => response(sent(text, 'a'), ['Cache-Control: max-age=3600', 'Vary: A']), { ...rfc9111, cache: { maxVariants: 3 } })
  for (const value of [1, 2, 3, 4]) await ask('/', [`A: ${value}`])

  t.equal(proxy.control.stats().cache.entries, 3)
  for (const value of [2, 3, 4]) t.equal(outcomeOf(await ask('/', [`A: ${value}`]), false), 'hit')
  t.equal(outcomeOf(await ask('/', ['A: 1']), false), 'vary-miss')
})

/** The same pairs under all three ways of comparing: `=` where they match. */
const pairs: ReadonlyArray<readonly [name: string, first: string, second: string, exact: string, normalise: string, meaning: string]> = [
  ['Accept-Encoding', 'gzip, br', 'gzip,br', '=', '=', '='],
  ['Accept-Encoding', 'gzip, br', 'br, gzip', '', '=', '='],
  ['Accept-Encoding', 'GZIP', 'gzip', '', '=', '='],
  ['Accept-Encoding', 'gzip;q=1.0', 'gzip', '', '=', '='],
  ['Accept-Encoding', 'gzip;q=0.5', 'gzip ; q=0.50', '', '=', '='],
  ['Accept-Encoding', 'gzip;q=0.5', 'gzip', '', '', ''],
  ['Accept-Encoding', 'gzip', 'br', '', '', ''],
  ['Accept-Language', 'de-DE, en;q=0.5', 'de-de,en;q=0.5', '', '=', '='],
  ['Accept-Language', 'en;q=0.5, de', 'de, en;q=0.5', '', '=', '='],
  ['Accept-Language', 'de, en', 'en, de', '', '', '='],
  ['Accept-Language', 'de, en', 'de', '', '', ''],
  ['Accept', 'text/html, application/json;q=0.9', 'application/json;q=0.900 ,TEXT/HTML', '', '=', '='],
  ['Accept', 'text/html, text/plain', 'text/plain, text/html', '', '', '='],
  ['Accept', 'text/html;level=1', 'text/html', '', '', ''],
  ['Accept', 'a/b;x="1,2"', 'a/b; x="1,2"', '', '', ''],
  ['Accept', 'a/b, a/b', 'a/b', '', '=', '='],
  ['Accept', 'a/b;q=2', 'a/b', '', '', ''],
  ['Accept-Charset', 'utf-8, iso-8859-1', 'iso-8859-1, utf-8', '', '', '='],
  ['User-Agent', 'A', 'a', '', '', '']
]

for (const [place, mode] of ['exact', 'normalise', 'meaning'].entries()) {
  t.test(`preferences that mean the same match, compared by "${mode}" (RFC 9111 4.1, RFC 9110 12.5)`, async t => {
    const settings: ProxySettings = { ...rfc9111, route: { cache: { setCookie: 'store', vary: mode } } }
    await checkRows(t, pairs.map(([name, first, second, ...matches]): Row => [
      `${name}: ${first} | ${second}`, varying([name]), [[0, 'uri-miss', { send: [`${name}: ${first}`] }], [1, matches[place] === '=' ? 'hit' : 'vary-miss', { send: [`${name}: ${second}`] }]]
    ]), settings)
  })
}

t.test('where preferences are ranked, the stored response that says it is the preferred one is chosen (RFC 9111 4.1, MAY)', async t => {
  const language = (first: string, said: string | undefined, second: string, is: string): Row => [
    `${first} -> ${said ?? 'nothing'}; then ${second}: ${is}`,
    varying(['Accept-Language'], said === undefined ? [] : [`Content-Language: ${said}`]),
    [[0, 'uri-miss', { send: [`Accept-Language: ${first}`] }], [1, is, { send: [`Accept-Language: ${second}`] }]]
  ]
  const coding = (first: string, said: string | undefined, second: string, is: string): Row => [
    `${first} -> ${said ?? 'no coding'}; then ${second}: ${is}`,
    varying(['Accept-Encoding'], said === undefined ? [] : [`Content-Encoding: ${said}`]),
    [[0, 'uri-miss', { send: [`Accept-Encoding: ${first}`] }], [1, is, { send: [`Accept-Encoding: ${second}`] }]]
  ]
  await checkRows(t, [
    language('fr, en;q=0.5', 'fr', 'fr', 'hit'),
    language('fr, en;q=0.5', 'fr', 'fr;q=0.9, de;q=0.1', 'hit'),
    language('de, fr;q=0.5', 'fr', 'de', 'vary-miss'),
    language('fr', 'fr', 'fr, de', 'vary-miss'),
    language('fr', 'FR', 'Fr, de;q=0.1', 'hit'),
    language('fr', 'fr, en', 'fr, de;q=0.1', 'vary-miss'),
    language('fr', undefined, 'fr, de;q=0.1', 'vary-miss'),
    language('fr', 'fr', 'fr;q=0', 'vary-miss'),
    language('fr', 'fr', '*', 'vary-miss'),
    coding('gzip, br', 'br', 'br', 'hit'),
    coding('gzip', 'gzip', 'gzip, br', 'hit'),
    coding('gzip', 'gzip', 'br, gzip;q=0.5', 'vary-miss'),
    coding('gzip', 'gzip', 'gzip;q=0', 'vary-miss'),
    coding('br', undefined, 'gzip', 'vary-miss'),
    ['by another field as well it does not', varying(['Accept-Language, A'], ['Content-Language: fr']), [
      [0, 'uri-miss', { send: ['Accept-Language: fr', 'A: 1'] }], [1, 'vary-miss', { send: ['Accept-Language: fr, de;q=0.1', 'A: 2'] }]
    ]],
    ['a request that states no preference does not', varying(['Accept-Language'], ['Content-Language: fr']), [[0, 'uri-miss', { send: ['Accept-Language: fr'] }], [1, 'vary-miss']]]
  ])
})

t.test('the default profile compares by spelling and not by what was chosen, where a server may rank by order (deviation)', async t => {
  const said = varying(['Accept-Language'], ['Content-Language: fr'])
  await checkRows(t, [
    ['order', said, [[0, 'uri-miss', { send: ['Accept-Language: fr, de'] }], [1, 'vary-miss', { send: ['Accept-Language: de, fr'] }]]],
    ['choice', said, [[0, 'uri-miss', { send: ['Accept-Language: fr, de;q=0.5'] }], [1, 'vary-miss', { send: ['Accept-Language: fr'] }]]]
  ], {})
})

t.test('a response that varies by a field which the proxy writes anew is not stored, since it fits nobody else (RFC 9111 4.1)', async t => {
  await checkRows(t, ['X-Forwarded-For', 'Via', 'X-Request-Id'].map((name): Row => [name, varying([name]), [[0, 'uri-miss vary-generated'], [0, 'uri-miss vary-generated']]]))
})

t.test('a response that varies by less takes the place of those that no request selects any more (RFC 9111 4)', async t => {
  let vary = 'A, B'
  const { ask, pass, proxy } = await startWire(t, ({ text }) => response(`for ${sent(text, 'a') ?? 'none'}`, [`Cache-Control: max-age=${sent(text, 'a') === '2' ? 600 : 60}`, `Vary: ${vary}`]), {})
  for (const [a, b] of [['1', '1'], ['1', '2'], ['2', '1']]) await ask('/', [`A: ${a}`, `B: ${b}`])
  const entries = (): number => proxy.control.stats().cache.entries
  t.equal(entries(), 3)

  vary = 'A'
  pass(61)
  t.equal(outcomeOf(await ask('/', ['A: 1', 'B: 1']), false), 'stale')
  t.equal(entries(), 2, 'the other one with A: 1 went, the one with A: 2 did not')
  t.equal(outcomeOf(await ask('/', ['A: 1', 'B: 2']), false), 'hit')
  t.equal(outcomeOf(await ask('/', ['A: 2', 'B: 1']), false), 'hit')
})
