/**
 * Hits that are answered before Fastify's routing are the hits of the long way: the same requests go to two proxies of one
 * configuration, of which one never answers quickly, and responses, access lines and counters are the same.
 */
import fc from 'fast-check'
import pino from 'pino'
import { resolveConfig } from '../../src/config/load.ts'
import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { openSocket, startProxy, talk, until, type ProxySettings, type RunningProxy } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

interface Watched {
  readonly proxy: RunningProxy
  /** Access lines so far, without what differs between any two requests. */
  readonly lines: Array<Record<string, unknown>>
  /** Requests to its origin server. */
  readonly asked: () => number
  /** Times that somebody has looked for a quick hit. */
  readonly looked: () => number
  readonly origin: string
}

interface Pair {
  readonly quick: Watched
  readonly long: Watched
  /** Sends the same octets to both, and gives back what each of them was answered with. */
  ask (octets: string): Promise<readonly [string, string]>
  /** The same as `ask`, with all that must be equal looked at. */
  compare (t: Test, octets: string, title?: string): Promise<string>
}

const started = Date.UTC(2026, 5, 1, 12)
const dates = ['Date: Mon, 01 Jun 2026 12:00:00 GMT', 'Last-Modified: Sun, 31 May 2026 12:00:00 GMT']

/** What the origin server has, by path; each response of one path is the same. */
function answerOf (text: string): string {
  const path = /^\S+ (\/[^ ?]*)/.exec(text)?.[1] ?? '/'
  const shared = [...dates, 'Cache-Control: max-age=60']
  switch (path) {
    case '/tagged': return response('tagged content', [...shared, 'ETag: "one"', 'Accept-Ranges: bytes'])
    case '/varied': return response(`for ${/\r\naccept-language: ([^\r]*)/i.exec(text)?.[1] ?? 'all'}`, [...shared, 'Vary: Accept-Language'])
    case '/user': return response(`for ${/\r\nx-user: ([^\r]*)/i.exec(text)?.[1] ?? 'nobody'}`, [...shared, 'Vary: X-User'])
    case '/large': return response('x'.repeat(200_000), [...shared, 'ETag: "large"'])
    case '/missing': return response('none', shared, '404 Not Found')
    case '/empty': return `HTTP/1.1 204 No Content\r\n${shared.join('\r\n')}\r\n\r\n`
    case '/moved': return response('', [...shared, 'Location: /tagged'], '301 Moved Permanently')
    case '/stale': return response('stale', [...dates, 'Cache-Control: max-age=0, stale-while-revalidate=60'])
    case '/private': return response('private', [...dates, 'Cache-Control: private'])
    case '/status': return response('cached before', [...shared, 'Cache-Status: origin; hit'])
    default: return response('plain', shared)
  }
}

async function startPair (t: Test, settings: ProxySettings = {}): Promise<Pair> {
  const start = async (holdfast: ProxySettings['holdfast']): Promise<Watched> => {
    const origin = await startRawOrigin(t, ({ text }) => answerOf(text))
    const lines: Array<Record<string, unknown>> = []
    const logger = pino({}, new Writable({
      write (chunk: Buffer, _encoding, done) {
        const { time: _time, pid: _pid, hostname: _host, durationMs: _duration, upstreamMs: _upstream, target: _target, reqId, ...line } = JSON.parse(chunk.toString()) as Record<string, unknown>
        if (line['msg'] === 'request') lines.push({ ...line, named: typeof reqId })
        done()
      }
    }))
    let looked = 0
    // Nothing else shows from outside which way a hit took.
    const now = (): number => {
      if (new Error().stack?.includes('/quick-hits.ts') === true) looked++
      return started
    }
    const proxy = await startProxy(t, origin.url, { ...settings, logger, holdfast: { now, ...settings.holdfast, ...holdfast } })
    return { proxy, lines, asked: () => origin.requests.length, looked: () => looked, origin: origin.url }
  }
  const quick = await start({})
  const long = await start({ deviceClass: () => '' })

  const ask: Pair['ask'] = async octets => {
    const [one, other] = await Promise.all([quick, long].map(({ proxy }) => talk(proxy.port, octets)))
    return [comparable(one as string), comparable(other as string)]
  }
  return {
    quick,
    long,
    ask,
    async compare (t, octets, title = octets) {
      const before = quick.lines.length
      const [one, other] = await ask(octets)
      t.equal(one, other, `response: ${title}`)
      await until(() => quick.lines.length > before && quick.lines.length === long.lines.length)
      t.same(quick.lines.slice(before), long.lines.slice(before), `access lines: ${title}`)
      t.equal(quick.asked(), long.asked(), `requests to the origin server: ${title}`)
      return one
    }
  }
}

/** Heads with their lines sorted, since lines of different names have no order (RFC 9110 5.3), and without ids and names of instances. */
function comparable (text: string): string {
  return text.split(/(?=HTTP\/1\.1 [1-5]\d\d )/).map(one => {
    const end = one.indexOf('\r\n\r\n')
    const [status = '', ...lines] = one.slice(0, end).split('\r\n')
    const kept = lines.map(line => {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      const value = line.slice(colon + 1).trim()
      if (name === 'x-request-id') return `${name}: ${/^given/.test(value) ? value : 'made'}`
      return name === 'date' ? 'date' : `${name}: ${name === 'via' ? value.replace(/-[0-9a-f]{8}/g, '') : value}`
    })
    const body = one.slice(end + 4).replace(/"requestId":"[^"]*"/, '"requestId":""')
    // A new boundary for each answer of several parts.
    return [status, ...kept.sort(), '', body].join('\r\n').replace(/holdfast-[0-9a-f]{24}/g, 'boundary')
  }).join('')
}

/** What the metrics say of requests and of the store, without durations and bytes. */
async function counters ({ proxy }: Watched): Promise<readonly string[]> {
  const text = await proxy.metrics.metrics()
  return text.split('\n').filter(line => /^holdfast_(?:requests_total|request_duration_seconds_count|cache_(?:hits|misses|stale|collapsed|entries|keys))/.test(line)).sort()
}

function request (line: string, fields: readonly string[] = [], host = 'proxy.test'): string {
  return [line, ...host === '' ? [] : [`Host: ${host}`], ...fields, 'Connection: close', '', ''].join('\r\n')
}

const paths = ['/', '/tagged', '/varied', '/user', '/large', '/missing', '/empty', '/moved', '/stale', '/private', '/status', '/query?a=1&b=2', '/a/../tagged', '//tagged', '/%74agged', '/bad%zz', '/back\\slash', '/%2e%2e/x']

const fieldSets: ReadonlyArray<readonly string[]> = [
  [],
  ['If-None-Match: "one"'], ['If-None-Match: W/"one", "two"'], ['If-None-Match: *'], ['If-Match: "one"'], ['If-Match: "two"'],
  ['If-Modified-Since: Sun, 31 May 2026 12:00:00 GMT'], ['If-Unmodified-Since: Sat, 30 May 2026 12:00:00 GMT'],
  ['Range: bytes=2-5'], ['Range: bytes=0-0, 3-4'], ['Range: bytes=900000-'], ['Range: bytes=-3', 'If-Range: "one"'], ['Range: bytes=-3', 'If-Range: "two"'], ['Range: lines=1-2'],
  ['Cache-Control: no-cache'], ['Cache-Control: no-store'], ['Cache-Control: max-age=0'], ['Cache-Control: only-if-cached'], ['Cache-Control: min-fresh=90'], ['Cache-Control: max-stale'], ['Pragma: no-cache'],
  ['Accept-Language: de'], ['Accept-Language: en', 'Accept-Language: de'],
  ['X-User: ann'], ['X_User: ann'], ['Authorization: Basic YTpi'], ['Cookie: a=1'],
  ['Content-Length: 0'], ['Expect: 100-continue'], ['Expect: something'],
  ['X-Forwarded-For: 198.51.100.7'], ['X-Forwarded-For: 198.51.100.7, 203.0.113.9'], ['X-Forwarded-Proto: https'], ['X-Forwarded-Proto: ftp'], ['Forwarded: for=198.51.100.7;proto=https'],
  ['X-Http-Method-Override: DELETE'], ['Upgrade: h2c'], ['Via: 1.1 other'], ['TE: trailers'], ['Origin: https://a.test'],
  ['X-Request-Id: given-1'], ['X-Request-Id: not harmless'], ['Accept-Version: 1.0.0'], ['Content-Type: nonsense'], ['Host: other.test'], ['Max-Forwards: 0'],
  ['A: 1', 'B: 2', 'C: 3', 'D: 4', 'E: 5', 'F: 6', 'G: 7', 'H: 8', 'I: 9', 'J: 10'],
  ['Content-Length: 3'], ['Transfer-Encoding: chunked']
]

/** Framing that announces content, with it. */
function withContent (octets: string, fields: readonly string[]): string {
  return fields.includes('Content-Length: 3') ? `${octets}abc` : fields.includes('Transfer-Encoding: chunked') ? `${octets}3\r\nabc\r\n0\r\n\r\n` : octets
}

const plain: ProxySettings = { server: { limits: { headerCount: 12 } } }
const allFields: ProxySettings = { ...plain, cache: { statusKey: true } }

const settings: ReadonlyArray<readonly [title: string, settings: ProxySettings]> = [
  ['a plain route', allFields],
  ['trusted proxies', { ...plain, server: { ...plain.server, trustedProxies: ['loopback'] } }],
  ['a list of those who may come in', { ...plain, server: { trustedProxies: ['loopback'] }, route: { access: { allow: ['127.0.0.0/8'], methods: ['GET'] } } }],
  ['cross-origin requests', { ...plain, route: { cors: { origins: ['https://a.test', 'https://b.test'] } } }],
  ['a field that only authentication may set on another route', {
    ...plain,
    routes: [
      { name: 'users', upstream: 'default', match: { path: '/users/*' }, auth: { apiKeys: { keys: [{ name: 'ann', hash: `sha256:${'0'.repeat(64)}` }] }, identityField: 'x-user' } },
      { name: 'default', upstream: 'default' }
    ]
  }],
  ['authentication', { ...plain, route: { auth: { apiKeys: { keys: [{ name: 'ann', hash: `sha256:${'0'.repeat(64)}` }] } } } }],
  ['rules for requests', { ...plain, route: { rewrite: { setFields: { 'x-user': 'rule' }, query: { remove: ['a'] }, methodOverride: {} } } }],
  ['rules for the URL and fields of each request', { ...plain, route: { rewrite: { query: { set: { who: '{client.ip}' } }, setFields: { 'x-forwarded-host': 'b' } } } }],
  ['rules for responses', { ...plain, route: { response: { rules: [{ when: { cache: 'hit' }, set: { 'x-was': 'hit' } }], security: {}, setFields: { 'x-always': '1' } } } }],
  ['key rules', { ...plain, route: { cache: { key: { fields: ['accept-language'], query: { sort: true } } } } }],
  ['compression', { ...plain, route: { response: { compression: { enabled: true, minBytes: 1 } } } }],
  ['rate limits with hits for nothing', { ...plain, route: { rateLimit: { max: 5, window: '1m', hits: 0 } } }],
  ['rate limits by a field', { ...plain, route: { rateLimit: { max: 30, window: '1m', key: { field: 'x-user' } } } }],
  ['names in the key and no directives of clients', { ...plain, route: { cache: { requestDirectives: 'ignore', noVarySearch: true } } }]
]

for (const [title, given] of settings) {
  t.test(`${title}: every request of the table is answered, logged and counted as on the long way`, async t => {
    const pair = await startPair(t, given)

    for (const path of paths) await pair.compare(t, request(`GET ${path} HTTP/1.1`))
    for (const fields of fieldSets) {
      for (const path of ['/tagged', '/varied', '/user']) await pair.compare(t, withContent(request(`GET ${path} HTTP/1.1`, fields), fields))
    }
    for (const line of ['HEAD /tagged HTTP/1.1', 'HEAD /large HTTP/1.1', 'GET /tagged HTTP/1.0', 'POST /tagged HTTP/1.1', 'GET /tagged HTTP/1.1', 'OPTIONS /tagged HTTP/1.1', 'PURGE /tagged HTTP/1.1', 'BREW /tagged HTTP/1.1']) await pair.compare(t, request(line))
    for (const target of ['http://proxy.test/tagged', 'http://other.test/tagged', 'https://proxy.test/tagged', 'http://proxy.test:80/tagged', 'http://a@proxy.test/', 'ftp://proxy.test/']) await pair.compare(t, request(`GET ${target} HTTP/1.1`))
    for (const host of ['PROXY.test', 'proxy.test:80', 'proxy.test:8080', '', 'bad host', 'a/b', 'proxy.test.']) await pair.compare(t, request('GET /tagged HTTP/1.1', [], host))

    t.same(await counters(pair.quick), await counters(pair.long))
  })
}

t.test('plain hits take the quick way, and no request takes it where it is left off', async t => {
  const pair = await startPair(t)

  for (let i = 0; i < 3; i++) await pair.compare(t, request('GET /tagged HTTP/1.1'))

  t.equal(pair.quick.looked(), 3)
  t.equal(pair.long.looked(), 0)
})

for (const [title, options] of [['no filter', {}], ['a rate limit', { route: { rateLimit: { max: 20, window: '1m', hits: 0.5 } } }], ['a trusted proxy', { server: { trustedProxies: ['loopback'] } }]] as const) {
  t.test(`whatever is asked, with ${title}: any method, target, version and fields lead to the same`, async t => {
    const pair = await startPair(t, options)
    const line = fc.tuple(
      fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'PURGE', 'DELETE'),
      fc.oneof({ arbitrary: fc.constantFrom(...paths), weight: 4 }, { arbitrary: fc.string({ unit: fc.constantFrom('/', '.', '%', '2', 'e', 'f', 'a', '?', '&', '=', '*', ':', '@', ';', '~', '"', '<', '|') }).map(text => `/${text}`), weight: 1 }),
      fc.constantFrom('1.1', '1.1', '1.1', '1.0')
    ).map(([method, path, version]) => `${method} ${path} HTTP/${version}`)
    // Each with its framing complete: what follows on the connection would else be another request.
    const framed = fieldSets.filter(fields => !fields.some(field => /^(?:content-length|transfer-encoding|expect|host)/i.test(field)))
    const fields = fc.array(fc.constantFrom(...framed), { maxLength: 3 }).map(sets => sets.flat())

    await fc.assert(fc.asyncProperty(line, fields, fc.constantFrom('proxy.test', 'other.test', 'PROXY.TEST:80'), async (line, fields, host) => {
      const [one, other] = await pair.ask(request(line, fields, host))
      return one === other && pair.quick.asked() === pair.long.asked()
    }), { numRuns: 400, seed: 20_260_601 })
    await until(() => pair.quick.lines.length === pair.long.lines.length)

    t.same(pair.quick.lines, pair.long.lines)
    t.same(await counters(pair.quick), await counters(pair.long))
    t.ok(pair.quick.looked() > 0)
  })
}

t.test('many requests at once on one connection are answered in order, each once (RFC 9112 9.3.2)', async t => {
  const pair = await startPair(t)
  const more = (line: string, fields: readonly string[] = []): string => [line, 'Host: proxy.test', ...fields, '', ''].join('\r\n')
  await pair.ask(request('GET /tagged HTTP/1.1'))
  await pair.ask(request('GET /large HTTP/1.1'))

  const answer = await pair.compare(t, [
    more('GET /tagged HTTP/1.1'), more('GET /large HTTP/1.1'), more('HEAD /tagged HTTP/1.1'), more('GET /private HTTP/1.1'), more('GET /tagged HTTP/1.1', ['If-None-Match: "one"']),
    more('GET /tagged HTTP/1.1', ['Range: bytes=1-2']), request('GET /tagged HTTP/1.1')
  ].join(''), 'pipelined')

  t.equal(answer.match(/HTTP\/1\.1 [2345]\d\d /g)?.length, 7)
  await until(() => pair.quick.lines.length === 9 && pair.long.lines.length === 9)
  t.same(pair.quick.lines, pair.long.lines)
  t.same(await counters(pair.quick), await counters(pair.long))
})

t.test('the last request that a connection may have is told so, quickly as well', async t => {
  const pair = await startPair(t, { server: { limits: { requestsPerConnection: 2 } } })
  await pair.ask(request('GET /tagged HTTP/1.1'))

  const answer = await pair.compare(t, 'GET /tagged HTTP/1.1\r\nHost: proxy.test\r\n\r\n'.repeat(2), 'two')

  t.match(answer, /keep-alive[^]*connection: close/)
})

t.test('a reload counts for the next request on a connection that goes on, and a drain for the last', async t => {
  const pair = await startPair(t)
  const { proxy, origin } = pair.quick
  const socket = openSocket(proxy.port)
  let seen = ''
  socket.on('data', chunk => { seen += chunk.toString('latin1') })
  const answers = (): number => seen.match(/HTTP\/1\.1 \d\d\d /g)?.length ?? 0
  const ask = async (): Promise<string> => {
    const [from, before] = [seen.length, answers()]
    socket.write('GET /tagged HTTP/1.1\r\nHost: proxy.test\r\n\r\n')
    await until(() => answers() > before)
    return seen.slice(from)
  }

  await ask()
  t.match(await ask(), / 200 OK[^]*; hit/)
  await proxy.control.reload(resolveConfig({
    ...{ admin: { enabled: false }, server: { host: '127.0.0.1', port: 0 }, log: { access: true } },
    upstreams: { default: { targets: [origin] } },
    routes: [{ name: 'default', upstream: 'default', access: { deny: ['127.0.0.0/8'] } }]
  }))
  t.match(await ask(), / 403 /)

  const closed = new Promise(resolve => { socket.once('close', resolve) })
  proxy.connections.closeGracefully()
  await closed
  t.equal(answers(), 3)
})
