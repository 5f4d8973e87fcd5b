/** What the rules of a route make of the cache key, of freshness and of request directives; all of it ours, none of it on by default. */
import t from 'tap'
import { bodyOf, checkRows, rfc9111, startWire, type Wire } from '../fixtures/conformance.ts'
import { talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response } from '../fixtures/raw-origin.ts'

const status = (answer: string): string => [...answer.matchAll(/\r\ncache-status: ([^\r]*)/gi)].at(-1)?.[1] ?? ''
const fresh = ['Cache-Control: max-age=60']
const withCache = (cache: object, more: ProxySettings = {}): ProxySettings => ({ ...rfc9111, ...more, route: { cache: { setCookie: 'store', vary: 'meaning', ...cache } } })
const withKey = (key: object): ProxySettings => withCache({ key })
const unsafe = ({ proxy }: Wire, path: string, host = 'proxy.test'): Promise<string> => talk(proxy.port, `DELETE ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)

t.test('query parameters left out, kept, sorted: the key changes, the request does not', async t => {
  await checkRows(t, [
    ['left out', fresh, [[0, 'uri-miss', { query: '?a=1&utm_source=x', asks: /\?a=1&utm_source=x HTTP/ }], [0, 'hit', { query: '?utm_campaign=y&a=1' }], [0, 'hit', { query: '?a=1' }], [0, 'uri-miss', { query: '?a=2' }], [0, 'uri-miss', { query: '?a=1&b' }]]]
  ], withKey({ query: { ignore: ['utm_*'] } }))
  await checkRows(t, [
    ['kept', fresh, [[0, 'uri-miss', { query: '?id=1&x=2' }], [0, 'hit', { query: '?y=3&id=1' }], [0, 'uri-miss', { query: '?x=2' }], [0, 'hit']]]
  ], withKey({ query: { keep: ['id'] } }))
  await checkRows(t, [
    ['sorted', fresh, [[0, 'uri-miss', { query: '?b=1&a=2&a=1' }], [0, 'hit', { query: '?a=2&a=1&b=1' }], [0, 'uri-miss', { query: '?a=1&a=2&b=1' }]]]
  ], withKey({ query: { sort: true } }))
})

t.test('fields and cookies in the key', async t => {
  await checkRows(t, [
    ['a field, written in any case', fresh, [[0, 'uri-miss', { send: ['X-Team: a'] }], [0, 'hit', { send: ['x-team: a'] }], [0, 'uri-miss', { send: ['X-Team: b'] }], [0, 'uri-miss'], [0, 'hit'], [0, 'uri-miss', { send: ['X-Team:'] }]]]
  ], withKey({ fields: ['X-Team'] }))
  await checkRows(t, [
    ['a cookie', fresh, [[0, 'uri-miss', { send: ['Cookie: lang=de; session=1'] }], [0, 'hit', { send: ['Cookie: session=2; lang=de'] }], [0, 'uri-miss', { send: ['Cookie: lang=fr'] }], [0, 'uri-miss', { send: ['Cookie: session=1'] }], [0, 'hit']]]
  ], withKey({ cookies: ['lang'] }))
})

t.test('host aliases share what is stored, other hosts do not', async t => {
  const { proxy } = await startWire(t, () => response('x', fresh), withKey({ hosts: { 'www.a.test': 'a.test', 'a.test:8080': 'a.test' } }))
  const from = async (host: string): Promise<string> => status(await talk(proxy.port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`))
  t.match(await from('a.test'), 'uri-miss')
  for (const host of ['www.a.test', 'WWW.A.test:80', 'a.test:8080']) t.match(await from(host), '; hit', host)
  for (const host of ['b.a.test', 'constructor', 'a.test:8081']) t.match(await from(host), 'uri-miss', host)
})

t.test('letter case of the path', t => checkRows(t, [
  ['ignored', fresh, [[0, 'uri-miss'], [0, 'hit'], [0, 'uri-miss', { query: '?A' }], [0, 'uri-miss', { query: '?a' }]]]
], withKey({ ignorePathCase: true })))

t.test('letter case of the path tells apart otherwise, and is one key where the route says so', async t => {
  for (const [ignorePathCase, expected] of [[true, '; hit'], [false, 'uri-miss']] as const) {
    const { ask } = await startWire(t, () => response('x', fresh), withKey({ ignorePathCase }))
    await ask('/Page')
    t.match(status(await ask('/pAGE')), expected)
  }
})

t.test('the class of a device is part of the key; a function that throws or has no word keeps the request out of the cache', async t => {
  const classes: Record<string, unknown> = { phone: 'phone', desktop: 'desktop', number: 7 }
  const settings = withCache({}, {
    holdfast: {
      deviceClass: request => {
        const agent = request.headers['user-agent'] ?? ''
        if (agent === 'broken') throw new Error('no idea')
        return classes[agent] as string
      }
    }
  })
  const { ask, origin } = await startWire(t, ({ text }) => response(/user-agent: (\w+)/i.exec(text)?.[1] ?? 'none', fresh), settings)
  for (const round of ['uri-miss', '; hit']) {
    for (const agent of ['phone', 'desktop']) {
      const answer = await ask('/', [`User-Agent: ${agent}`])
      t.match(status(answer), round)
      t.equal(bodyOf(answer), agent)
    }
  }
  t.equal(origin.requests.length, 2)
  for (const agent of ['broken', 'number', 'other', 'broken']) {
    const answer = await ask('/', [`User-Agent: ${agent}`])
    t.equal(bodyOf(answer), agent)
    t.match(status(answer), 'holdfast; fwd=bypass; fwd-status=200; detail=device-class')
  }
})

t.test('an invalidation reaches all that is stored for a URI, under whatever key (RFC 9111 4.4)', async t => {
  const settings = withCache({ key: { query: { ignore: ['utm'], sort: true }, fields: ['x-team'], cookies: ['lang'], hosts: { 'www.proxy.test': 'proxy.test' }, ignorePathCase: true } }, { holdfast: { deviceClass: request => request.headers['user-agent'] ?? '' } })
  const wire = await startWire(t, () => response('x', fresh), settings)
  const { ask } = wire
  const requests = [[], ['X-Team: 1'], ['X-Team: 2', 'Cookie: lang=de'], ['User-Agent: phone']]
  const outcomes = async (path: string): Promise<string[]> => {
    const found: string[] = []
    for (const fields of requests) found.push(status(await ask(path, fields)).includes('; hit') ? 'hit' : 'miss')
    return found
  }
  for (const path of ['/Page?b=1&a=2', '/page?a=3', '/other']) await outcomes(path)
  for (const path of ['/page?utm=9&a=2&b=1', '/page?a=3', '/other']) t.same(await outcomes(path), ['hit', 'hit', 'hit', 'hit'], path)
  await unsafe(wire, '/PAGE?a=2&utm=5&b=1', 'www.proxy.test')
  t.same(await outcomes('/page?a=2&b=1'), ['miss', 'miss', 'miss', 'miss'])
  t.same(await outcomes('/page?a=3'), ['hit', 'hit', 'hit', 'hit'])
  t.same(await outcomes('/other'), ['hit', 'hit', 'hit', 'hit'])
  t.same(await outcomes('/page?a=2&b=1'), ['hit', 'hit', 'hit', 'hit'], 'and what is stored afterwards stays')
})

// --- freshness ------------------------------------------------------------------------------------------------

const overrides = (...rules: object[]): ProxySettings => withCache({ overrides: rules })

t.test('a lifetime is raised, and Cache-Status names it', t => checkRows(t, [
  ['shorter', ['Cache-Control: max-age=1'], [[0, 'uri-miss override-raised', { has: /ttl=30/ }], [29, 'hit override-raised'], [1, 'stale override-raised']]],
  ['none', [], [[0, 'uri-miss override-raised'], [29, 'hit override-raised']]],
  ['longer stays', ['Cache-Control: max-age=100'], [[0, 'uri-miss'], [90, 'hit']]],
  ['s-maxage too', ['Cache-Control: s-maxage=1', 'ETag: "1"'], [[0, 'uri-miss override-raised'], [29, 'hit override-raised'], [2, 'stale override-raised']]],
  ['no-store still forbids', ['Cache-Control: no-store, max-age=1'], [[0, 'uri-miss no-store'], [1, 'uri-miss no-store']]],
  ['private still forbids', ['Cache-Control: private'], [[0, 'uri-miss private'], [1, 'uri-miss private']]],
  ['Authorization still forbids', ['Cache-Control: max-age=1'], [[0, 'uri-miss authorization', { send: ['Authorization: Basic eA=='] }]]],
  ['Vary: * still forbids', ['Cache-Control: max-age=1', 'Vary: *'], [[0, 'uri-miss vary-star'], [1, 'uri-miss vary-star']]],
  ['no-cache still asks for validation', ['Cache-Control: no-cache', 'ETag: "1"'], [[0, 'uri-miss override-raised'], [1, 'stale']]]
], overrides({ atLeast: '30s' })))

t.test('a lifetime is cut down, and Cache-Status names it', t => checkRows(t, [
  ['longer', ['Cache-Control: max-age=100', 'ETag: "1"'], [[0, 'uri-miss override-capped', { has: /ttl=30/ }], [29, 'hit override-capped'], [2, 'stale']]],
  ['shorter stays', ['Cache-Control: max-age=10', 'ETag: "1"'], [[0, 'uri-miss'], [9, 'hit'], [2, 'stale']]],
  ['heuristics too', ({ at }) => [`Last-Modified: ${at(-1_000_000)}`, `Date: ${at(0)}`], [[0, 'uri-miss override-capped'], [29, 'hit override-capped'], [2, 'stale']]]
], overrides({ atMost: '30s' })))

t.test('the origin server is not asked about freshness', async t => {
  await checkRows(t, [
    ['no-cache', ['Cache-Control: no-cache'], [[0, 'uri-miss override-origin-ignored', { has: /ttl=30/ }], [29, 'hit override-origin-ignored']]],
    ['max-age=0, must-revalidate', ['Cache-Control: max-age=0, must-revalidate'], [[0, 'uri-miss override-origin-ignored'], [29, 'hit override-origin-ignored']]],
    ['a long lifetime', ['Cache-Control: max-age=1000', 'ETag: "1"'], [[0, 'uri-miss override-origin-ignored'], [29, 'hit override-origin-ignored'], [2, 'stale']]],
    ['Expires', ['Expires: 0'], [[0, 'uri-miss override-origin-ignored'], [29, 'hit override-origin-ignored']]],
    ['no-store still forbids', ['Cache-Control: no-store'], [[0, 'uri-miss no-store']]],
    ['private still forbids', ['Cache-Control: private'], [[0, 'uri-miss private']]]
  ], overrides({ ignoreOrigin: true, atLeast: '30s' }))
  await checkRows(t, [
    ['the route\'s ttl decides', ['Cache-Control: no-cache'], [[0, 'uri-miss override-origin-ignored'], [19, 'hit override-origin-ignored']]]
  ], withCache({ overrides: [{ ignoreOrigin: true }], ttl: [{ status: [200], ttl: '20s' }] }))
  await checkRows(t, [
    ['and may still be cut down', ['Cache-Control: max-age=1000', 'ETag: "1"'], [[0, 'uri-miss override-origin-ignored'], [4, 'hit override-origin-ignored'], [2, 'stale']]]
  ], withCache({ overrides: [{ ignoreOrigin: true, atMost: '5s' }], ttl: [{ status: [200], ttl: '20s' }] }))
})

t.test('the first override that is for the status counts', t => checkRows(t, [
  ['404', { status: '404 Not Found', fields: ['Cache-Control: max-age=100', 'ETag: "1"'] }, [[0, 'uri-miss override-capped'], [6, 'stale']]],
  ['others', ['Cache-Control: max-age=1'], [[0, 'uri-miss override-raised'], [50, 'hit override-raised']]]
], overrides({ status: [404], atMost: '5s' }, { status: [200], atLeast: '60s' })))

t.test('negative caching: lifetimes per status for responses that say nothing of one', t => checkRows(t, [
  ['404', { status: '404 Not Found' }, [[0, 'uri-miss'], [9, 'hit'], [1, 'stale']]],
  ['503', { status: '503 Busy' }, [[0, 'uri-miss'], [1, 'hit'], [1, 'stale']]],
  ['one that says it itself', { status: '404 Not Found', fields: ['Cache-Control: max-age=2'] }, [[0, 'uri-miss'], [1, 'hit'], [1, 'stale']]],
  ['one that forbids it', { status: '404 Not Found', fields: ['Cache-Control: no-store'] }, [[0, 'uri-miss no-store'], [1, 'uri-miss no-store']]],
  ['a status without a rule', { status: '403 No' }, [[0, 'uri-miss no-lifetime'], [1, 'uri-miss no-lifetime']]]
], withCache({ ttl: [{ status: [404, 410], ttl: '10s' }, { status: [503], ttl: '2s' }] })))

// --- request directives ---------------------------------------------------------------------------------------

t.test('a route that ignores request directives answers from the cache whatever the client wants', t => checkRows(t, [
  ['fresh', fresh, [[0, 'uri-miss', { send: ['Cache-Control: no-store'] }], ...['no-cache', 'no-store', 'max-age=0', 'min-fresh=1000'].map(directive => [1, 'hit', { send: [`Cache-Control: ${directive}`] }] as const), [1, 'hit', { send: ['Pragma: no-cache'] }]]],
  ['stale', ['Cache-Control: max-age=5', 'ETag: "1"'], [[0, 'uri-miss'], [6, 'stale', { send: ['Cache-Control: max-stale'] }]]],
  ['nothing stored', fresh, [[0, 'uri-miss', { send: ['Cache-Control: only-if-cached'] }]]]
], withCache({ requestDirectives: 'ignore' })))
