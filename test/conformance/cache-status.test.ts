/** `Cache-Status`: how this cache handled the request (RFC 9211). */
import Fastify from 'fastify'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { parseList } from 'structured-headers'
import t from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { holdfast } from '../../src/index.ts'
import { reasons } from '../../src/cache/reasons.ts'
import { formatCacheStatus, nothingForwarded, type CacheOutcome } from '../../src/cache/status.ts'
import { rfc9111, startWire } from '../fixtures/conformance.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const lines = (answer: string): string[] => [...answer.matchAll(/\r\ncache-status: ([^\r]*)/gi)].map(([, value = '']) => value)
const status = (answer: string): string => lines(answer).at(-1) ?? ''
const fresh = ['Cache-Control: max-age=60']

t.test('why a request went forward, from the most specific reason (RFC 9211 2.2, SHOULD)', async t => {
  const { ask, pass } = await startWire(t, ({ text }) => {
    const path = text.split(' ')[1] as string
    if (path.startsWith('/vary')) return response('x', [...fresh, 'Vary: X-Kind'])
    if (path.startsWith('/part') && /range/i.test(text)) return 'HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/4\r\nContent-Length: 2\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\nab'
    return response('abcd', [...fresh, 'ETag: "1"'])
  })
  const rows: ReadonlyArray<readonly [string, string, readonly string[], string, string]> = [
    ['uri-miss', 'GET', [], '/', 'holdfast; fwd=uri-miss; fwd-status=200; stored; ttl=60'],
    ['request', 'GET', ['Cache-Control: no-cache'], '/', 'holdfast; fwd=request; fwd-status=200; stored; ttl=60; detail=request-no-cache'],
    ['method', 'POST', ['Content-Length: 0'], '/', 'holdfast; fwd=method; fwd-status=200; detail=method'],
    ['method, unknown', 'FROB', [], '/', 'holdfast; fwd=method; fwd-status=200; detail=method'],
    ['vary-miss, first', 'GET', ['X-Kind: a'], '/vary', 'holdfast; fwd=uri-miss; fwd-status=200; stored; ttl=60'],
    ['vary-miss', 'GET', ['X-Kind: b'], '/vary', 'holdfast; fwd=vary-miss; fwd-status=200; stored; ttl=60'],
    ['partial, first', 'GET', ['Range: bytes=0-1'], '/part', 'holdfast; fwd=uri-miss; fwd-status=206; stored; ttl=60'],
    ['a precondition only the origin server can evaluate', 'GET', ['If-Match: "1"'], '/match', 'holdfast; fwd=bypass; fwd-status=200;']
  ]
  for (const [title, method, fields, path, expected] of rows) {
    if (!['FROB'].includes(method)) t.ok(status(await ask(path, fields, method)).startsWith(expected), title)
  }
  t.match(status(await ask('/part', ['Range: bytes=0-3'])), 'holdfast; fwd=partial; fwd-status=')
  pass(61)
  t.match(status(await ask('/vary', ['X-Kind: a'])), 'holdfast; fwd=stale; fwd-status=200')
})

t.test('bypass: the cache is told not to handle the request', async t => {
  const { ask } = await startWire(t, () => response('x', fresh), { ...rfc9111, route: { cache: { enabled: false } } })
  t.equal(status(await ask('/')), 'holdfast; fwd=bypass; fwd-status=200; detail=cache-off')
})

t.test('hit and fwd exclude each other; 304 and 206 made from what is stored are hits (RFC 9211 2.1)', async t => {
  const { ask } = await startWire(t, () => response('abcd', [...fresh, 'ETag: "1"']))
  t.notMatch(status(await ask('/')), '; hit')
  for (const field of ['X: y', 'If-None-Match: "1"', 'Range: bytes=0-1', 'Range: bytes=9-']) {
    const said = status(await ask('/', [field]))
    t.match(said, /^holdfast; hit; ttl=60/, field)
    t.notMatch(said, 'fwd', field)
  }
})

t.test('fwd-status is what the next hop said, stored whether it was kept (RFC 9211 2.3, 2.5)', async t => {
  const { ask, pass } = await startWire(t, ({ text }) => /if-none-match/i.test(text) ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n' : response('x', text.includes('/private') ? ['Cache-Control: private'] : [...fresh, 'ETag: "1"']))
  await ask('/')
  pass(61)
  t.equal(status(await ask('/')), 'holdfast; fwd=stale; fwd-status=304; stored; ttl=60; detail=validated')
  t.equal(status(await ask('/private')), 'holdfast; fwd=uri-miss; fwd-status=200; detail=private')
})

t.test('ttl is what is left of the lifetime in whole seconds, negative when stale, heuristics included (RFC 9211 2.4)', async t => {
  const { ask, pass, now } = await startWire(t, ({ text }) => response('x', text.includes('/h')
    ? [`Date: ${new Date(now()).toUTCString()}`, `Last-Modified: ${new Date(now() - 1_000_000).toUTCString()}`]
    : ['Cache-Control: max-age=60', 'Age: 10']))
  t.match(status(await ask('/')), 'stored; ttl=50')
  t.match(status(await ask('/h')), 'stored; ttl=100')
  pass(49.5)
  t.match(status(await ask('/')), /hit; ttl=0$/)
  pass(0.6)
  t.match(status(await ask('/', ['Cache-Control: max-stale'])), 'hit; ttl=-1; detail=request-max-stale')
  t.match(status(await ask('/h')), /hit; ttl=49$/)
})

t.test('what caches nearer to the origin server said stays, before our member (RFC 9211 2, SHOULD)', async t => {
  const { ask, pass } = await startWire(t, ({ text }) => /if-none-match/i.test(text)
    ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\nCache-Status: Inner; fwd=stale\r\n\r\n'
    : response('x', [...fresh, 'ETag: "1"', 'Cache-Status: OriginCache; hit; ttl=1100', 'Cache-Status: "Company; Here"; fwd=uri-miss']))
  const own = (answer: string): string => lines(answer).join(', ')
  t.match(own(await ask('/')), /^OriginCache; hit; ttl=1100, "Company; Here"; fwd=uri-miss, holdfast; fwd=uri-miss/)
  t.match(own(await ask('/')), /^OriginCache; hit; ttl=1100, "Company; Here"; fwd=uri-miss, holdfast; hit; ttl=60$/)
  t.match(own(await ask('/', ['If-None-Match: "1"'])), /^OriginCache.*, holdfast; hit/)
  pass(61)
  t.match(own(await ask('/')), /^Inner; fwd=stale, holdfast; fwd=stale; fwd-status=304/)
})

t.test('and does so where responses go through hooks or HTTP/2', async t => {
  const origin = await startRawOrigin(t, () => response('x', [...fresh, 'Cache-Status: Inner; hit', 'X-Two: a', 'X-Two: b']))
  const app = Fastify({ http2: true })
  await app.register(holdfast, { config: { resolved: resolveConfig({ log: { access: false }, upstreams: { default: { targets: [origin.url] } }, routes: [{ name: 'all', upstream: 'default' }] }) } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(async () => {
    session.destroy()
    await app.close()
  })
  const ask = (): Promise<string> => new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/' })
    stream.on('response', fields => { resolve([fields['cache-status']].flat().join(', ')) }).on('error', reject).resume()
  })
  t.match(await ask(), /^Inner; hit, holdfast; fwd=uri-miss/)
  t.match(await ask(), /^Inner; hit, holdfast; hit; ttl=\d+$/)
})

t.test('key is said only where the configuration asks for it, as a String of ASCII (RFC 9211 2.7)', async t => {
  const { ask } = await startWire(t, () => response('x', fresh))
  t.notMatch(status(await ask('/')), 'key=')

  const showing = await startWire(t, () => response('x', fresh), { ...rfc9111, cache: { statusKey: true } })
  for (const path of ['/', '/a"b?q="\\', '/%22?a=%ff']) {
    for (const expected of [/fwd=uri-miss/, /; hit/]) {
      const answer = await showing.ask(path)
      const said = status(answer)
      t.match(said, expected, path)
      const [member] = parseList(said)
      const key = member?.[1].get('key')
      t.ok(typeof key === 'string' && key.includes('http://proxy.test/') && /^[\x20-\x7e]*$/.test(key), `${path}: ${String(key)}`)
    }
  }
})

t.test('detail is one of our words, each with a sentence and its source (RFC 9211 2.8)', async t => {
  for (const [word, { sentence, source }] of Object.entries(reasons)) {
    t.match(word, /^[a-z][a-z-]*$/)
    t.match(sentence, /\.$/, word)
    t.not(source, '', word)
  }
})

t.test('every outcome there can be is a List member of Structured Fields with parameters of the right types (RFC 9211 2)', async t => {
  const outcomes: CacheOutcome[] = []
  for (const hit of [true, false]) {
    for (const fwd of hit ? [null] : ['bypass', 'method', 'uri-miss', 'vary-miss', 'miss', 'request', 'stale', 'partial', null] as const) {
      for (const collapsed of [null, true, false]) {
        for (const key of [undefined, '', 'a"\\\x7f\x80\xff\n']) {
          outcomes.push({ ...nothingForwarded, hit, fwd, fwdStatus: fwd === null ? null : 599, stored: collapsed === true, collapsed, ttl: hit ? -3 : null, detail: hit ? null : 'stale', ...(key === undefined ? {} : { key }) })
        }
      }
    }
  }
  for (const outcome of outcomes) {
    const text = formatCacheStatus('name', outcome)
    const [[name, parameters] = ['', new Map()], ...others] = parseList(text)
    t.equal(others.length, 0, text)
    t.equal(String(name), 'name', text)
    t.equal(parameters.get('hit'), outcome.hit || undefined, text)
    t.equal(parameters.has('fwd') ? String(parameters.get('fwd')) : null, outcome.fwd, text)
    t.equal(parameters.get('collapsed') ?? null, outcome.collapsed, text)
    t.equal(parameters.get('ttl') ?? null, outcome.ttl, text)
    t.equal(typeof (parameters.get('key') ?? ''), 'string', text)
  }
})

t.test('the identifier is the operator\'s (RFC 9211 2, MUST be a String or Token)', async t => {
  const { ask } = await startWire(t, () => response('x', fresh), { ...rfc9111, cache: { name: 'edge-1' } })
  t.match(status(await ask('/')), /^edge-1; fwd=uri-miss/)
  for (const name of ['has space', '"', 'a,b', 'a;b', '1a', '']) {
    t.throws(() => resolveConfig({ cache: { name }, upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'all', upstream: 'default' }] }), name)
  }
})

t.test('responses that the proxy makes itself carry our member too, which says what was tried (RFC 9211 2, SHOULD NOT: a deviation)', async t => {
  const { ask } = await startWire(t, ({ socket }) => { socket.resetAndDestroy() })
  t.match(status(await ask('/', ['Cache-Control: only-if-cached'])), /^holdfast; detail=only-if-cached$/)
  t.match(status(await ask('/')), /^holdfast; fwd=uri-miss$/)
})
