/** Stale responses: while they are validated in the background, and while the upstream fails (RFC 5861; RFC 9111 4.2.4). */
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { bodyOf, checkRows, outcomeOf, rfc9111, startWire, type Row } from '../fixtures/conformance.ts'
import { talk, get, until, type ProxySettings } from '../fixtures/proxy.ts'
import { response, type RawExchange } from '../fixtures/raw-origin.ts'

const status = (answer: string): string => [...answer.matchAll(/\r\ncache-status: ([^\r]*)/gi)].at(-1)?.[1] ?? ''
const withCache = (cache: object, more: ProxySettings = {}): ProxySettings => ({ ...rfc9111, ...more, route: { cache: { setCookie: 'store', vary: 'meaning', ...cache } } })
const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

// --- stale-while-revalidate (section 3) -----------------------------------------------------------------------

/** An origin server that answers the first request and keeps later ones back. */
async function first (t: Test, fields: readonly string[], settings: ProxySettings = rfc9111) {
  const later: RawExchange[] = []
  const wire = await startWire(t, exchange => {
    if (exchange.count === 1) return response('old', [...fields])
    later.push(exchange)
    return undefined
  }, settings)
  await wire.ask('/')
  return { ...wire, later, validated: async (count: number) => { await until(() => later.length >= count); return later[count - 1] as RawExchange } }
}

t.test('a stale response within its window is answered at once and visibly stale, with exactly one validation behind it (RFC 5861 3, SHOULD)', async t => {
  const { ask, pass, later, validated } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30', 'ETag: "1"'])
  pass(15)

  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/')))
  for (const answer of answers) {
    t.equal(bodyOf(answer), 'old')
    t.equal(status(answer), 'holdfast; hit; ttl=-5; detail=stale-while-revalidate')
    t.match(answer, /\r\nage: 15\r\n/)
  }
  const { socket, text } = await validated(1)
  t.match(text, /^GET \/ [^]*if-none-match: "1"/i)
  t.equal(later.length, 1)

  socket.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=10\r\n\r\n')
  await until(() => later[0] !== undefined)
  let answer = ''
  await until(() => { ask('/').then(text => { answer = text }, () => {}); return status(answer).startsWith('holdfast; hit; ttl=1') || status(answer).startsWith('holdfast; hit; ttl=9') })
  t.equal(later.length, 1, 'fresh again')
})

t.test('a request with no-store sets off no validation: its answer could not be stored (RFC 9111 5.2.1.5)', async t => {
  const { ask, pass, later, validated } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30'])
  pass(15)
  t.equal(bodyOf(await ask('/', ['Cache-Control: no-store'])), 'old')
  t.equal(bodyOf(await ask('/')), 'old')
  t.notMatch((await validated(1)).text, 'no-store')
  t.equal(later.length, 1)
})

t.test('the background validation may bring another response, which is the next answer (RFC 5861 3)', async t => {
  const { ask, pass, later, validated } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30'])
  pass(15)
  t.equal(bodyOf(await ask('/')), 'old')
  const { socket, text } = await validated(1)
  t.notMatch(text, /if-none-match|if-modified-since/i)
  t.equal(bodyOf(await ask('/')), 'old', 'meanwhile')
  socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=10\r\nContent-Length: 3\r\n\r\nn')
  t.equal(bodyOf(await ask('/')), 'old', 'until it is whole')
  socket.write('ew')
  let body = ''
  await until(() => { ask('/').then(answer => { body = bodyOf(answer) }, () => {}); return body === 'new' })
  t.equal(later.length, 1)
})

t.test('past the window the request waits for the validation (RFC 5861 3, SHOULD NOT), and joins one under way', async t => {
  const { ask, pass, later, validated, proxy } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30', 'ETag: "1"'])
  pass(40)
  t.match(status(await ask('/')), 'ttl=-30; detail=stale-while-revalidate', 'its last second')
  await validated(1)
  pass(1)
  const waiting = ask('/')
  await until(() => proxy.control.stats().cache.misses === 2)
  await turn()
  ;(await validated(1)).socket.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=10\r\n\r\n')
  t.match(status(await waiting), /fwd=stale; fwd-status=304; collapsed; ttl=\d+; detail=validated/)
  t.equal(later.length, 1)
  pass(41)
  const own = ask('/')
  ;(await validated(2)).socket.write(response('new', ['Cache-Control: max-age=10']))
  t.match(status(await own), 'fwd=stale; fwd-status=200; stored')
})

t.test('a validation that fails leaves the stale response for its window, and the next request tries again (RFC 5861 3.1)', async t => {
  const { ask, pass, validated, proxy } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=100, stale-if-error=0', 'ETag: "1"'], withCache({}, { upstream: { retry: { enabled: false } } }))
  pass(15)
  for (const [place, fail] of [(socket: RawExchange['socket']) => { socket.destroy() }, (socket: RawExchange['socket']) => { socket.write(response('error', [], '500 Error')) }].entries()) {
    t.equal(bodyOf(await ask('/')), 'old')
    fail((await validated(place + 1)).socket)
    await until(() => (proxy.control.stats().upstreams['default']?.targets[0]?.inFlight ?? 0) === 0)
  }
  t.equal(bodyOf(await ask('/')), 'old')
  ;(await validated(3)).socket.write(response('new', ['Cache-Control: max-age=10']))
  let body = ''
  await until(() => { ask('/').then(answer => { body = bodyOf(answer) }, () => {}); return body === 'new' })
})

t.test('a validation that brings what cannot be stored ends the use of the stale response, and holds no connection', async t => {
  const { ask, pass, later, validated, proxy } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=100'])
  pass(15)
  await ask('/')
  const { socket } = await validated(1)
  socket.write(`HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10000000\r\n\r\n${'x'.repeat(300_000)}`)
  await until(() => (proxy.control.stats().upstreams['default']?.targets[0]?.inFlight ?? 0) === 0)
  const next = ask('/')
  ;(await validated(2)).socket.write(response('own', ['Cache-Control: no-store']))
  t.match(status(await next), 'fwd=uri-miss')
  t.equal(later.length, 2)
})

t.test('a background validation is not ended when one that waited for it leaves', async t => {
  const { ask, pass, proxy, validated } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30', 'ETag: "1"'])
  pass(15)
  await ask('/')
  const { socket } = await validated(1)
  pass(30)
  const left = talk(proxy.port, get('/'), /never/)
  await until(() => proxy.control.stats().cache.misses === 2)
  await turn()
  let cut = false
  socket.once('close', () => { cut = true })
  proxy.connections.destroyAll()
  await left
  await turn()
  t.equal(cut, false)
  socket.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=1000\r\n\r\n')
  let answer = ''
  await until(() => { ask('/').then(text => { answer = text }, () => {}); return status(answer).includes('; hit') })
})

t.test('the background validation is for the whole, whatever the client wanted of it', async t => {
  for (const field of ['Range: bytes=0-0', 'If-None-Match: "mine"', 'If-Modified-Since: Mon, 05 Jan 2026 08:00:00 GMT']) {
    const { ask, pass, validated } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30'])
    pass(15)
    t.match(status(await ask('/', [field])), 'detail=stale-while-revalidate', field)
    t.notMatch((await validated(1)).text, /range|mine|if-modified-since/i, field)
  }
  const { ask, pass, validated } = await first(t, ['Cache-Control: max-age=10, stale-while-revalidate=30'])
  pass(15)
  await ask('/', [], 'HEAD')
  t.match((await validated(1)).text, /^GET /)
})

const swr = 'stale-while-revalidate=60'
const when: Row[] = [
  ['must-revalidate forbids it (RFC 9111 5.2.2.2)', ['ETag: "1"', `Cache-Control: max-age=10, must-revalidate, ${swr}`], [[0, 'uri-miss'], [11, 'stale']]],
  ['proxy-revalidate forbids it (RFC 9111 5.2.2.8)', ['ETag: "1"', `Cache-Control: max-age=10, proxy-revalidate, ${swr}`], [[0, 'uri-miss'], [11, 'stale']]],
  ['s-maxage forbids it, which means proxy-revalidate (RFC 9111 5.2.2.10)', ['ETag: "1"', `Cache-Control: s-maxage=10, ${swr}`], [[0, 'uri-miss'], [11, 'stale']]],
  ['no-cache forbids it (RFC 9111 5.2.2.4)', ['ETag: "1"', `Cache-Control: max-age=10, no-cache, ${swr}`], [[0, 'uri-miss'], [11, 'stale no-cache']]],
  ['no-cache with field names forbids it as well (RFC 9111 4.2.4)', ['ETag: "1"', `Cache-Control: max-age=10, no-cache="x-a", ${swr}`], [[0, 'uri-miss'], [11, 'stale']]],
  ['a value that is no delta-seconds is none', ['ETag: "1"', 'Cache-Control: max-age=10, stale-while-revalidate=long'], [[0, 'uri-miss'], [11, 'stale']]],
  ['a request with no-cache does not want it (RFC 9111 5.2.1.4)', ['ETag: "1"', `Cache-Control: max-age=10, ${swr}`], [[0, 'uri-miss'], [11, 'request', { send: ['Cache-Control: no-cache'] }]]],
  ['a request with max-age does not want a stale one (RFC 9111 5.2.1.1)', ['ETag: "1"', `Cache-Control: max-age=10, ${swr}`], [[0, 'uri-miss'], [11, 'stale', { send: ['Cache-Control: max-age=60'] }]]],
  ['a request with min-fresh does not want a stale one (RFC 9111 5.2.1.3)', ['ETag: "1"', `Cache-Control: max-age=10, ${swr}`], [[0, 'uri-miss'], [11, 'stale', { send: ['Cache-Control: min-fresh=1'] }]]],
  ['a request with max-stale does not want one that is staler (RFC 9111 5.2.1.2)', ['ETag: "1"', `Cache-Control: max-age=10, ${swr}`], [[0, 'uri-miss'], [20, 'stale', { send: ['Cache-Control: max-stale=5'] }]]]
]
t.test('stale-while-revalidate: what forbids it', t => checkRows(t, when))

t.test('the route\'s own staleWhileRevalidate is for responses that do not say it themselves', t => checkRows(t, [
  ['says nothing', ['Cache-Control: max-age=10', 'ETag: "1"'], [[0, 'uri-miss'], [41, 'stale']]],
  ['says none', ['Cache-Control: max-age=10, stale-while-revalidate=0', 'ETag: "1"'], [[0, 'uri-miss'], [11, 'stale']]],
  ['must-revalidate', ['Cache-Control: max-age=10, must-revalidate', 'ETag: "1"'], [[0, 'uri-miss'], [11, 'stale']]]
], withCache({ staleWhileRevalidate: '30s' })))

t.test('and lets a stale response be used', async t => {
  const { ask, pass, validated } = await first(t, ['Cache-Control: max-age=10'], withCache({ staleWhileRevalidate: '30s' }))
  pass(40)
  t.equal(outcomeOf(await ask('/'), true), 'hit stale-while-revalidate')
  await validated(1)
})

// --- stale-if-error (section 4) -------------------------------------------------------------------------------

const failures: ReadonlyArray<readonly [string, (exchange: RawExchange) => string | void, number]> = [
  ['500', () => response('error', [], '500 Error'), 500],
  ['502', () => response('error', [], '502 Error'), 502],
  ['503', () => response('error', [], '503 Error'), 503],
  ['504', () => response('error', [], '504 Error'), 504],
  ['a reset before the head', ({ socket }) => { socket.resetAndDestroy() }, 502],
  ['an end before the head', ({ socket }) => { socket.end() }, 502],
  ['an end within the head', ({ socket }) => { socket.end('HTTP/1.1 200 OK\r\nConte') }, 502],
  ['what is no HTTP', ({ socket }) => { socket.end('nonsense\r\n\r\n') }, 502],
  ['silence until the deadline', () => {}, 504]
]

t.test('any situation that would result in 500, 502, 503 or 504 is an error, for which the stale response stands in (RFC 5861 4, MAY)', async t => {
  for (const [title, fail, code] of failures) {
    for (const [directives, send, used] of [['stale-if-error=30', [], true], ['', ['Cache-Control: stale-if-error=30'], true], ['', [], false]] as const) {
      const { ask, pass } = await startWire(t, exchange => exchange.count === 1 ? response('kept', [`Cache-Control: max-age=10, ${directives}`, 'ETag: "1"']) : fail(exchange), withCache({}, { upstream: { timeouts: { firstByte: '150ms' } } }))
      await ask('/')
      pass(20)
      const answer = await ask('/', [...send])
      const name = `${title}, ${directives}${send.join()}`
      t.match(answer, used ? 'HTTP/1.1 200 OK' : `HTTP/1.1 ${code}`, name)
      if (!used) continue
      t.equal(bodyOf(answer), 'kept', name)
      t.match(answer, /\r\nage: 20\r\n/, name)
      t.match(status(answer), /^holdfast; fwd=stale(; fwd-status=50\d)?; ttl=-10; detail=stale-if-error$/, name)
    }
  }
})

t.test('an upstream that cannot be reached is an error as well', async t => {
  const { ask, pass, proxy, origin } = await startWire(t, () => response('kept', ['Cache-Control: max-age=10, stale-if-error=30', 'Connection: close']))
  await ask('/')
  const closed = createServer().listen(0, '127.0.0.1')
  await until(() => closed.listening)
  const { port } = closed.address() as AddressInfo
  closed.close()
  const { config } = proxy.control
  await proxy.control.reload({ ...config, upstreams: { default: { ...config.upstreams['default'] as object, targets: [`http://127.0.0.1:${port}`] } as never } })
  pass(20)
  t.match(status(await ask('/')), 'detail=stale-if-error')
  t.equal(origin.requests.length, 1)
})

t.test('other answers are no errors: they are passed on', async t => {
  for (const code of [400, 403, 404, 410, 429, 501, 505]) {
    const { ask, pass } = await startWire(t, ({ count }) => count === 1 ? response('kept', ['Cache-Control: max-age=10, stale-if-error=30']) : response('other', [], `${code} Other`))
    await ask('/')
    pass(20)
    t.match(await ask('/'), `HTTP/1.1 ${code}`)
  }
})

const failing = (fields: readonly string[]): Row[1] => ({ count }) => count === 1 ? { fields } : { status: '503 Busy', body: 'error' }
const standing: Row[] = [
  ['up to the indicated staleness (RFC 5861 4, SHOULD NOT beyond)', failing(['Cache-Control: max-age=10, stale-if-error=30']), [[0, 'uri-miss'], [40, 'stale stale-if-error', { has: /200 OK/ }], [1, 'stale', { has: /^HTTP\/1\.1 503/ }]]],
  ['the larger of response and request counts', failing(['Cache-Control: max-age=10, stale-if-error=5']), [[0, 'uri-miss'], [20, 'stale stale-if-error', { send: ['Cache-Control: stale-if-error=10'] }], [1, 'stale', { has: /503/, send: ['Cache-Control: stale-if-error=10'] }]]],
  ['the scope of the request\'s is that request (RFC 5861 4)', failing(['Cache-Control: max-age=10', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale stale-if-error', { send: ['Cache-Control: stale-if-error=60'] }], [0, 'stale', { has: /503/ }]]],
  ['also for a response that is fresh, which the request wanted validated', failing(['Cache-Control: max-age=10, stale-if-error=30']), [[0, 'uri-miss'], [1, 'request stale-if-error', { send: ['Cache-Control: no-cache'], has: /200 OK/ }]]],
  ['must-revalidate forbids it (RFC 9111 5.2.2.2)', failing(['Cache-Control: max-age=10, must-revalidate, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale', { has: /503/ }]]],
  ['proxy-revalidate forbids it', failing(['Cache-Control: max-age=10, proxy-revalidate, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale', { has: /503/ }]]],
  ['s-maxage forbids it', failing(['Cache-Control: s-maxage=10, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale', { has: /503/ }]]],
  ['no-cache forbids it', failing(['Cache-Control: max-age=10, no-cache, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale', { has: /503/ }]]],
  ['the request\'s cannot lift that', failing(['Cache-Control: max-age=10, must-revalidate', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale', { has: /503/, send: ['Cache-Control: stale-if-error=60'] }]]],
  ['an error does not remove what is stored', ({ count }) => count === 2 ? { status: '503 Busy' } : { fields: ['Cache-Control: max-age=10', 'ETag: "1"'] }, [[0, 'uri-miss'], [11, 'stale', { has: /503/ }], [0, 'stale', { asks: /if-none-match: "1"/i }]]],
  ['the client\'s own precondition is answered from it', failing(['Cache-Control: max-age=10, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale stale-if-error', { send: ['If-None-Match: "1"'], has: /^HTTP\/1\.1 304/ }]]],
  ['so is its range', failing(['Cache-Control: max-age=10, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale stale-if-error', { send: ['Range: bytes=1-2'], has: /^HTTP\/1\.1 206[^]*\r\n\r\non$/ }]]],
  ['and HEAD', failing(['Cache-Control: max-age=10, stale-if-error=30', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale stale-if-error', { method: 'HEAD', has: /^HTTP\/1\.1 200[^]*\r\n\r\n$/ }]]],
  ['without anything stored the error is the answer', { status: '503 Busy', fields: ['X: y'], body: 'busy' }, [[0, 'uri-miss', { send: ['Cache-Control: stale-if-error=60'], has: /^HTTP\/1\.1 503[^]*busy$/ }]]]
]
t.test('stale-if-error: how long, and what forbids it (RFC 5861 4)', t => checkRows(t, standing))

t.test('the route\'s own staleIfError is for responses that do not say it themselves', t => checkRows(t, [
  ['says nothing', failing(['Cache-Control: max-age=10']), [[0, 'uri-miss'], [40, 'stale stale-if-error'], [1, 'stale', { has: /503/ }]]],
  ['says less', failing(['Cache-Control: max-age=10, stale-if-error=5', 'ETag: "1"']), [[0, 'uri-miss'], [16, 'stale', { has: /503/ }]]],
  ['must-revalidate', failing(['Cache-Control: max-age=10, must-revalidate', 'ETag: "1"']), [[0, 'uri-miss'], [11, 'stale', { has: /503/ }]]]
], withCache({ staleIfError: '30s' })))

t.test('keep: a response that has been stale for longer is not validated, and not used', t => checkRows(t, [
  ['within', ['Cache-Control: max-age=10', 'ETag: "1"'], [[0, 'uri-miss'], [40, 'stale', { asks: /if-none-match/i }]]],
  ['beyond', ['Cache-Control: max-age=10, stale-if-error=1000', 'ETag: "1"'], [[0, 'uri-miss'], [41, 'uri-miss']]]
], withCache({ keep: '30s' })))

t.test('a route that ignores request directives ignores the request\'s stale-if-error', t => checkRows(t, [
  ['ignored', failing(['Cache-Control: max-age=10', 'ETag: "1"']), [[0, 'uri-miss'], [20, 'stale', { send: ['Cache-Control: stale-if-error=60'], has: /503/ }]]]
], withCache({ requestDirectives: 'ignore' })))
