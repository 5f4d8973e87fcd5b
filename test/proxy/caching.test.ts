/** The cache as a client sees it, both ends of the wire on one page. Time is injected. */
import t from 'tap'
import { get, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawExchange } from '../fixtures/raw-origin.ts'
import { formatHttpDate } from '../../src/http/date.ts'

const cacheStatus = (text: string): string => /cache-status: ([^\r]*)/i.exec(text)?.[1] ?? ''
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)
const sentBy = (exchange: RawExchange, name: string): string | undefined => new RegExp(`\\r\\n${name}: ([^\\r]*)`, 'i').exec(exchange.text)?.[1]

/** A proxy whose clock the test moves. */
async function timed (t: Parameters<typeof startProxy>[0], answer: Parameters<typeof startRawOrigin>[1], settings: Parameters<typeof startProxy>[2] = {}) {
  let at = Date.now()
  const origin = await startRawOrigin(t, answer)
  const proxy = await startProxy(t, origin.url, { ...settings, holdfast: { now: () => at } })
  return { origin, proxy, ask: (path = '/', fields: string[] = []) => talk(proxy.port, get(path, fields)), pass: (seconds: number) => { at += seconds * 1000 }, now: () => at }
}

t.test('a fresh stored response is reused with its age, a stale one is validated (RFC 9111 4.2, 4.3)', async t => {
  const { origin, ask, pass } = await timed(t, exchange => sentBy(exchange, 'if-none-match') === '"1"'
    ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\nX-New: yes\r\n\r\n'
    : response('body', ['Cache-Control: max-age=60', 'ETag: "1"', 'X-Old: yes']))

  t.match(cacheStatus(await ask()), 'holdfast; fwd=uri-miss; fwd-status=200; stored')
  pass(59)
  const hit = await ask()
  t.match(cacheStatus(hit), /^holdfast; hit; ttl=[01]$/)
  t.match(hit, /\r\nage: 59\r\n/)
  pass(2)
  const validated = await ask()
  t.match(cacheStatus(validated), /^holdfast; fwd=stale; fwd-status=304; stored; ttl=\d+; detail=validated$/)
  t.equal(bodyOf(validated), 'body')
  t.match(validated, /x-old: yes/)
  t.match(validated, /x-new: yes/, 'fields of the 304 replace stored ones')
  t.match(cacheStatus(await ask()), /; hit/, 'fresh again')
  t.equal(origin.requests.length, 2)
})

t.test('s-maxage before max-age before Expires before heuristics (RFC 9111 4.2.1, 4.2.2)', async t => {
  const start = Date.now()
  const lines: Record<string, string[]> = {
    '/s': ['Cache-Control: max-age=1, s-maxage=100'],
    '/m': ['Cache-Control: max-age=100', `Expires: ${formatHttpDate(start)}`],
    '/e': [`Date: ${formatHttpDate(start)}`, `Expires: ${formatHttpDate(start + 100_000)}`],
    '/h': [`Date: ${formatHttpDate(start)}`, `Last-Modified: ${formatHttpDate(start - 1_000_000)}`],
    '/0': ['Expires: 0', 'ETag: "x"'],
    '/none': []
  }
  const { ask, pass } = await timed(t, ({ text }) => response('x', lines[text.split(' ')[1] as string]))
  for (const path of Object.keys(lines)) await ask(path)

  pass(90)
  for (const path of ['/s', '/m', '/e', '/h']) t.match(cacheStatus(await ask(path)), '; hit', path)
  t.match(cacheStatus(await ask('/0')), 'fwd=stale')
  t.match(cacheStatus(await ask('/none')), 'fwd=uri-miss')
  pass(20)
  for (const path of ['/s', '/m', '/e', '/h']) t.notMatch(cacheStatus(await ask(path)), '; hit', path)
})

t.test('what must not be stored is not, and Cache-Status says why (RFC 9111 3)', async t => {
  const rows: ReadonlyArray<readonly [string, string[], string[], string]> = [
    ['private', [], ['Cache-Control: private, max-age=60'], 'private'],
    ['no-store', [], ['Cache-Control: no-store, max-age=60'], 'no-store'],
    ['authorization', ['Authorization: Basic eA=='], ['Cache-Control: max-age=60'], 'authorization'],
    ['request no-store', ['Cache-Control: no-store'], ['Cache-Control: max-age=60'], 'request-no-store'],
    ['vary star', [], ['Cache-Control: max-age=60', 'Vary: Accept, *'], 'vary-star'],
    ['set-cookie', [], ['Cache-Control: max-age=60', 'Set-Cookie: a=b'], 'set-cookie'],
    ['no lifetime', [], [], 'no-lifetime']
  ]
  const { ask } = await timed(t, ({ text }) => response('x', [...(rows[Number(text.split('/')[1]?.split(' ')[0])]?.[2] ?? [])]))

  for (const [i, [title, fields, , detail]] of rows.entries()) {
    for (let again = 0; again < 2; again++) t.equal(cacheStatus(await ask(`/${i}`, fields)), `holdfast; fwd=uri-miss; fwd-status=200; detail=${detail}`, title)
  }
})

t.test('several variants are stored and each request gets its own (RFC 9111 4.1)', async t => {
  const { origin, ask } = await timed(t, exchange => response(`for ${sentBy(exchange, 'accept-language') ?? 'none'}`, ['Cache-Control: max-age=60', 'Vary: Accept-Language']))

  for (const round of [/fwd=(?:uri|vary)-miss/, /; hit/]) {
    for (const language of ['de', 'fr', undefined]) {
      const answer = await ask('/', language === undefined ? [] : [`Accept-Language: ${language}`])
      t.match(cacheStatus(answer), round)
      t.equal(bodyOf(answer), `for ${language ?? 'none'}`)
    }
  }
  t.match(cacheStatus(await ask('/', ['Accept-Language: it'])), 'fwd=vary-miss')
  t.equal(origin.requests.length, 4)
})

t.test('a client that has the response gets 304 (RFC 9110 13.2.2)', async t => {
  const changed = 'Mon, 05 Jan 2026 08:00:00 GMT'
  const { ask } = await timed(t, () => response('body', ['Cache-Control: max-age=60', 'ETag: "1"', `Last-Modified: ${changed}`, 'Content-Type: text/plain', 'Vary: X']))
  await ask()

  for (const [fields, code] of [
    [['If-None-Match: "1"'], 304], [['If-None-Match: W/"1"'], 304], [['If-None-Match: "0", "1"'], 304], [['If-None-Match: *'], 304],
    [['If-None-Match: "2"'], 200], [[`If-Modified-Since: ${changed}`], 304], [['If-Modified-Since: Sun, 04 Jan 2026 08:00:00 GMT'], 200],
    [['If-None-Match: "2"', `If-Modified-Since: ${changed}`], 200], [['If-Modified-Since: nonsense'], 200]
  ] as const) {
    const answer = await ask('/', [...fields])
    t.match(answer, `HTTP/1.1 ${code}`, fields.join())
    t.match(cacheStatus(answer), '; hit')
    t.match(answer, 'etag: "1"')
    if (code === 304) t.notMatch(answer, /content-length|content-type|body/)
  }
})

t.test('request directives are honoured, or ignored where the route says so (RFC 9111 5.2.1, 5.4)', async t => {
  const answer = (): string => response('x', ['Cache-Control: max-age=60', 'ETag: "1"'])
  const { ask, pass } = await timed(t, answer)
  await ask()
  pass(30)

  t.match(cacheStatus(await ask('/', ['Cache-Control: max-age=40'])), '; hit')
  t.match(cacheStatus(await ask('/', ['Cache-Control: min-fresh=20'])), '; hit')
  t.match(cacheStatus(await ask('/', ['Cache-Control: only-if-cached'])), '; hit')
  t.match(cacheStatus(await ask('/', ['Cache-Control: max-age=10'])), 'fwd=request')
  pass(100)
  t.match(cacheStatus(await ask('/', ['Cache-Control: max-stale'])), /; hit; ttl=-\d+; detail=request-max-stale/)
  t.match(await ask('/', ['Cache-Control: only-if-cached']), /504[^]*not_in_cache/)
  t.match(cacheStatus(await ask('/', ['Pragma: no-cache'])), 'fwd=request')

  const ignoring = await timed(t, answer, { route: { cache: { requestDirectives: 'ignore' } } })
  await ignoring.ask()
  t.match(cacheStatus(await ignoring.ask('/', ['Cache-Control: no-cache'])), '; hit')
})

t.test('an unsafe request invalidates its target and what Location names, unless it failed (RFC 9111 4.4)', async t => {
  let code = '400 Bad Request'
  const { ask, proxy } = await timed(t, ({ text }) => text.startsWith('GET') ? response('x', ['Cache-Control: max-age=60']) : response('', ['Location: /other'], code))
  const post = (): Promise<string> => talk(proxy.port, 'POST /target HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx')
  for (const path of ['/target', '/other', '/third']) await ask(path)

  await post()
  t.match(cacheStatus(await ask('/target')), '; hit', 'an error changes nothing')
  code = '201 Created'
  await post()
  t.match(cacheStatus(await ask('/target')), 'uri-miss')
  t.match(cacheStatus(await ask('/other')), 'uri-miss')
  t.match(cacheStatus(await ask('/third')), '; hit')
})

t.test('a response asked for before an invalidation is not stored after it', async t => {
  let answerGet: (() => void) | null = null
  const { ask, proxy } = await timed(t, ({ socket, text, count }) => {
    if (text.startsWith('GET') && count === 1) answerGet = () => { socket.write(response('old', ['Cache-Control: max-age=60'])) }
    else return response('new', ['Cache-Control: max-age=60'])
    return undefined
  })

  const old = ask()
  await until(() => answerGet !== null)
  await talk(proxy.port, 'DELETE / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n')
  ;(answerGet as unknown as () => void)()

  t.equal(bodyOf(await old), 'old')
  t.equal(bodyOf(await ask()), 'new')
})

t.test('stale-if-error lets a stale response stand in (RFC 5861 4), must-revalidate does not', async t => {
  for (const [directive, code, detail] of [['stale-if-error=100', 200, 'stale-if-error'], ['must-revalidate, stale-if-error=100', 502, '']] as const) {
    const { ask, pass } = await timed(t, ({ socket, count }) => {
      if (count === 1) return response('kept', [`Cache-Control: max-age=10, ${directive}`, 'ETag: "1"'])
      socket.destroy()
      return undefined
    })
    await ask()
    pass(20)
    const answer = await ask()
    t.match(answer, `HTTP/1.1 ${code}`)
    t.ok(cacheStatus(answer).includes(detail))
  }
})

t.test('HEAD is answered from a stored GET, with its length and without content (RFC 9111 4)', async t => {
  const { origin, proxy, ask } = await timed(t, () => response('12345', ['Cache-Control: max-age=60']))
  await ask()

  const head = await talk(proxy.port, get('/').replace('GET', 'HEAD'))

  t.match(cacheStatus(head), '; hit')
  t.match(head, /content-length: 5\r\n/)
  t.equal(bodyOf(head), '')
  t.equal(origin.requests.length, 1)
})

t.test('hosts have caches of their own, spelled in any way', async t => {
  const { origin, proxy } = await timed(t, () => response('x', ['Cache-Control: max-age=60']))
  const from = (host: string): Promise<string> => talk(proxy.port, get('/').replace('proxy.test', host))

  await from('one.test')
  t.match(cacheStatus(await from('ONE.test:80')), '; hit')
  t.match(cacheStatus(await from('one.test.')), '; hit')
  t.match(cacheStatus(await from('two.test')), 'uri-miss')
  t.match(cacheStatus(await from('one.test:8080')), 'uri-miss')
  t.equal(origin.requests.length, 3)
})

t.test('rules of the route give lifetimes to responses that say nothing', async t => {
  const { ask } = await timed(t, () => response('x', [], '404 Not Found'), { route: { cache: { ttl: [{ status: [404], ttl: '10s' }] } } })

  await ask()
  t.match(cacheStatus(await ask()), '; hit; ttl=10')
})

t.test('a store that throws makes a miss, never an error', async t => {
  const broken = new Proxy({}, { get: (_target, name) => name === 'statistics' ? () => ({ bytes: 0, maxBytes: 1e6, entries: 0, maxEntries: 1, evictions: 0 }) : () => { throw new Error('broken') } })
  const origin = await startRawOrigin(t, () => response('x', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { holdfast: { store: broken as never } })

  for (let i = 0; i < 2; i++) t.match(await talk(proxy.port, get('/')), /HTTP\/1\.1 200[^]*x$/)
  t.ok(proxy.control.stats().cache.failures >= 2)
})

t.test('the first byte does not wait for the last, and recording stops at its limit while the response goes on', async t => {
  let finish: (() => void) | null = null
  const { proxy, ask } = await timed(t, ({ socket }) => {
    socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n')
    finish = () => { socket.write(`800\r\n${'x'.repeat(2048)}\r\n0\r\n\r\n`) }
  }, { cache: { maxResponseBytes: 1024 } })

  let seen = ''
  const whole = talk(proxy.port, get('/'), { test: (text: string) => { seen = text; return false } } as never)
  await until(() => seen.includes('first'))
  ;(finish as unknown as () => void)()
  t.match(await whole, /x{2048}/)
  t.equal(proxy.control.stats().cache.entries, 0)
  const again = ask()
  await until(() => finish !== null)
  setTimeout(() => { finish?.() }, 20)
  t.match(cacheStatus(await again), 'uri-miss')
  t.equal(proxy.control.stats().cache.recordingBytes, 0)
})
