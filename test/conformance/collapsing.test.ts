/**
 * Collapsed requests: one travels, the others wait for its response (RFC 9111 section 4: a response that is stored or
 * storable may satisfy several requests; RFC 9211 2.6).
 */
import Fastify from 'fastify'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { Writable } from 'node:stream'
import pino from 'pino'
import t, { type Test } from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { holdfast } from '../../src/index.ts'
import { bodyOf, rfc9111, startWire, type Wire } from '../fixtures/conformance.ts'
import { get, openSocket, talk, until, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawExchange } from '../fixtures/raw-origin.ts'

const status = (answer: string): string => [...answer.matchAll(/\r\ncache-status: ([^\r]*)/gi)].at(-1)?.[1] ?? ''
const fresh = ['Cache-Control: max-age=60']
const withCache = (cache: object, more: ProxySettings = {}): ProxySettings => ({ ...rfc9111, ...more, route: { cache: { setCookie: 'store', vary: 'meaning', ...cache } } })
const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })
const all = (count: number, make: () => Promise<string>): Array<Promise<string>> => Array.from({ length: count }, make)

/** A logger, and the codes of the access lines it was given. */
function codeLog (): { readonly logger: object, readonly codes: () => unknown[] } {
  const lines: Array<Record<string, unknown>> = []
  const logger = pino({}, new Writable({ write (chunk: Buffer, _encoding, done) { lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>); done() } }))
  return { logger, codes: () => lines.filter(({ msg }) => msg === 'request').map(({ code }) => code) }
}

interface Held extends Wire {
  /** Requests at the origin server, in order, answered by the test. */
  readonly exchanges: RawExchange[]
  /** So many have arrived at the origin server. */
  readonly arrived: (count: number) => Promise<RawExchange>
  /** So many requests of clients were not answered by a stored response; each of them travels or waits by then. */
  readonly missed: (count: number) => Promise<void>
}

/** An origin server that keeps its answers back until the test gives them. */
async function hold (t: Test, settings: ProxySettings = rfc9111): Promise<Held> {
  const exchanges: RawExchange[] = []
  const wire = await startWire(t, exchange => { exchanges.push(exchange) }, settings)
  return {
    ...wire,
    exchanges,
    async arrived (count) {
      await until(() => exchanges.length >= count)
      return exchanges[count - 1] as RawExchange
    },
    async missed (count) {
      await until(() => wire.proxy.control.stats().cache.misses >= count)
      await turn()
    }
  }
}

/** Sends a request and collects what comes, until the test ends it. */
function open (t: Test, port: number, octets: string): { readonly socket: Socket, readonly seen: () => string, readonly closed: () => boolean } {
  const socket = openSocket(port)
  let seen = ''
  let closed = false
  socket.on('error', () => {})
  socket.on('data', chunk => { seen += chunk.toString('latin1') })
  socket.once('close', () => { closed = true })
  socket.write(octets)
  t.teardown(() => { socket.destroy() })
  return { socket, seen: () => seen, closed: () => closed }
}

t.test('1,000 concurrent requests for what is not stored make one request at the origin server, and all stream as it arrives', { timeout: 60_000 }, async t => {
  // A thousand clients in this very process are what load shedding would see.
  const { proxy, exchanges, arrived, missed, origin } = await hold(t, { ...rfc9111, loadShedding: { eventLoopDelay: 0 } })
  const before = process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const warnings: Error[] = []
  const note = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', note)
  t.teardown(() => { process.off('warning', note) })
  const clients = Array.from({ length: 1000 }, () => open(t, proxy.port, get('/')))
  await missed(1000)
  await arrived(1)
  t.equal(exchanges.length, 1)
  const { socket } = await arrived(1)

  socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfirst')
  await until(() => clients.every(({ seen }) => seen().endsWith('first')))
  t.pass('the first half is there before the second is sent')
  socket.write('later')
  await until(() => clients.every(({ closed }) => closed()))

  t.equal(origin.requests.length, 1)
  t.ok(clients.every(({ seen }) => bodyOf(seen()) === 'firstlater'))
  t.equal(clients.filter(({ seen }) => / ttl=\d+$/.test(status(seen())) && status(seen()).includes('; collapsed;')).length, 999)
  t.equal(proxy.control.stats().cache.collapsed, 999)
  t.match(status(await talk(proxy.port, get('/'))), '; hit')
  await until(() => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length <= before + 5)
  t.same(warnings.map(({ name }) => name), [], 'no listener is left behind')
})

t.test('a collapsed request says so, with the status of the next hop and what is left of the lifetime (RFC 9211 2.3, 2.4, 2.6)', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t)
  const answers = all(3, () => ask('/'))
  await missed(3)
  ;(await arrived(1)).socket.write(response('x', ['Cache-Control: max-age=60', 'Age: 20']))
  const said = (await Promise.all(answers)).map(status).sort()
  t.same(said, [
    'holdfast; fwd=uri-miss; fwd-status=200; collapsed; ttl=40',
    'holdfast; fwd=uri-miss; fwd-status=200; collapsed; ttl=40',
    'holdfast; fwd=uri-miss; fwd-status=200; stored; ttl=40'
  ])
  t.equal(exchanges.length, 1)
})

t.test('a response that others must not have sends all who wait to the origin server at once, each for its own (RFC 9111 section 4)', async t => {
  for (const fields of [['Cache-Control: private, max-age=60'], ['Cache-Control: no-store'], ['Cache-Control: no-cache', 'ETag: "1"'], ['Cache-Control: max-age=0', 'ETag: "1"'], ['Vary: *', 'Cache-Control: max-age=60']]) {
    const { ask, missed, arrived, exchanges, pass } = await hold(t)
    const answers = all(5, () => ask('/'))
    await missed(5)
    await arrived(1)
    t.equal(exchanges.length, 1, fields.join())
    ;(await arrived(1)).socket.write(response('own 1', fields))
    await arrived(5)
    for (const { socket, count } of exchanges.slice(1)) socket.write(response(`own ${count}`, fields))
    const got = await Promise.all(answers)
    t.same(got.map(bodyOf).sort(), ['own 1', 'own 2', 'own 3', 'own 4', 'own 5'])
    t.equal(got.filter(answer => status(answer).includes('; collapsed=?0')).length, 4)

    // And the next ones are not made to wait for each other, for a while: hit-for-miss.
    const next = all(3, () => ask('/', ['Cache-Control: max-age=0']))
    await arrived(8)
    for (const { socket } of exchanges.slice(5)) socket.write(response('own', fields))
    for (const answer of await Promise.all(next)) t.notMatch(status(answer), 'collapsed')
    pass(121)
    const later = all(3, () => ask('/', ['Cache-Control: max-age=0']))
    await missed(11)
    await arrived(9)
    t.equal(exchanges.length, 9, 'then they wait again')
    ;(await arrived(9)).socket.write(response('x', fields))
    await arrived(11)
    for (const { socket } of exchanges.slice(9)) socket.write(response('own', fields))
    await Promise.all(later)
  }
})

t.test('hit-for-miss says so, and is over as soon as a response proves shareable', async t => {
  const { ask, missed, arrived, exchanges, pass } = await hold(t)
  const first = ask('/')
  ;(await arrived(1)).socket.write(response('x', ['Cache-Control: private']))
  await first
  const second = ask('/')
  ;(await arrived(2)).socket.write(response('x', ['Cache-Control: max-age=10']))
  t.match(status(await second), 'detail=hit-for-miss')

  pass(11)
  const answers = all(3, () => ask('/'))
  await missed(5)
  await arrived(3)
  t.equal(exchanges.length, 3, 'the next ones wait for each other again')
  ;(await arrived(3)).socket.write(response('x', fresh))
  await Promise.all(answers)
})

t.test('a leader whose client leaves before the head hands over to those who wait', async t => {
  const { proxy, missed, arrived, exchanges, ask } = await hold(t)
  const leader = open(t, proxy.port, get('/'))
  await arrived(1)
  const waiters = all(3, () => ask('/'))
  await missed(4)
  leader.socket.destroy()
  await until(() => leader.closed())
  await turn()
  ;(await arrived(1)).socket.write(response('shared', fresh))
  t.ok((await Promise.all(waiters)).every(answer => bodyOf(answer) === 'shared'))
  t.equal(exchanges.length, 1)
  t.match(status(await ask('/')), '; hit', 'and it is stored')
})

t.test('a leader whose client leaves after the head hands over as well', async t => {
  const { proxy, missed, arrived, exchanges, ask } = await hold(t)
  const leader = open(t, proxy.port, get('/'))
  const { socket } = await arrived(1)
  const waiter = open(t, proxy.port, get('/'))
  await missed(2)
  socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n')
  await until(() => leader.seen().includes('first') && waiter.seen().includes('first'))
  leader.socket.destroy()
  await turn()
  const late = open(t, proxy.port, get('/'))
  await until(() => late.seen().includes('first'))
  socket.write('5\r\nlater\r\n0\r\n\r\n')
  await until(() => waiter.closed() && late.closed())
  for (const { seen } of [waiter, late]) t.match(seen(), /first[^]*later\r\n0\r\n\r\n$/)
  t.equal(exchanges.length, 1)
  t.match(status(await ask('/')), '; hit')
})

t.test('when all who wanted it have left, the origin server is told: before the head and after it', async t => {
  for (const headHasCome of [false, true]) {
    const { proxy, missed, arrived, origin } = await hold(t)
    const clients = [open(t, proxy.port, get('/'))]
    const { socket } = await arrived(1)
    clients.push(open(t, proxy.port, get('/')))
    await missed(2)
    if (headHasCome) {
      socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1000000\r\n\r\nfirst')
      await until(() => clients.every(({ seen }) => seen().endsWith('first')))
    }
    let ended = false
    socket.once('close', () => { ended = true })
    clients[0]?.socket.destroy()
    await turn()
    t.equal(ended, false, 'one still wants it')
    clients[1]?.socket.destroy()
    await until(() => ended)
    await until(() => origin.open === 0)
    t.equal(proxy.control.stats().cache.recordingBytes, 0)

    const again = talk(proxy.port, get('/'))
    ;(await arrived(2)).socket.write(response('new', fresh))
    t.equal(bodyOf(await again), 'new', 'nobody waits for what is gone')
  }
})

t.test('a leader whose origin server fails fails those who wait, once', async t => {
  const failures: ReadonlyArray<readonly [string, (socket: Socket) => void, RegExp]> = [
    ['reset before the head', socket => { socket.resetAndDestroy() }, /^HTTP\/1\.1 502/],
    ['hung up within the head', socket => { socket.end('HTTP/1.1 200 OK\r\nCache-Con') }, /^HTTP\/1\.1 502/],
    ['no HTTP', socket => { socket.write('nonsense\r\n\r\n') }, /^HTTP\/1\.1 502/],
    ['503 that is not storable', socket => { socket.write(response('busy', ['Retry-After: 5'], '503 Busy')) }, /^HTTP\/1\.1 50[23]/]
  ]
  for (const [title, fail, expected] of failures) {
    const { ask, missed, arrived, exchanges } = await hold(t)
    const answers = all(10, () => ask('/'))
    await missed(10)
    fail((await arrived(1)).socket)
    for (const answer of await Promise.all(answers)) t.match(answer, expected, title)
    t.equal(exchanges.length, 1, `${title}: no second stampede`)

    const next = ask('/')
    ;(await arrived(2)).socket.write(response('well', fresh))
    t.equal(bodyOf(await next), 'well', `${title}: it is tried again afterwards`)
  }
})

t.test('a leader that runs into its deadline fails those who wait', async t => {
  const { ask, missed, exchanges } = await hold(t, withCache({}, { upstream: { timeouts: { firstByte: '200ms' } } }))
  const answers = all(3, () => ask('/'))
  await missed(3)
  for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 504/)
  t.equal(exchanges.length, 1)
})

t.test('a response cut short in its content is cut short for all who share it, and not stored', async t => {
  const { logger, codes } = codeLog()
  const { proxy, missed, arrived, exchanges, ask } = await hold(t, { ...rfc9111, logger })
  const clients = Array.from({ length: 3 }, () => open(t, proxy.port, get('/')))
  await missed(3)
  const { socket } = await arrived(1)
  socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nhalf')
  await until(() => clients.every(({ seen }) => seen().endsWith('half')))
  socket.destroy()
  await until(() => clients.every(({ closed }) => closed()))
  await until(() => codes().length === 3)
  t.same(codes(), ['upstream_reset', 'upstream_reset', 'upstream_reset'], 'the access lines say whose fault it was')
  const next = ask('/')
  ;(await arrived(2)).socket.write(response('whole', fresh))
  t.match(status(await next), 'fwd=uri-miss')
  t.equal(exchanges.length, 2)
})

t.test('a request waits no longer than the route says, then goes by itself', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t, withCache({ collapse: { wait: '100ms' } }))
  const first = ask('/')
  const { socket } = await arrived(1)
  const second = ask('/')
  await missed(2)
  ;(await arrived(2)).socket.write(response('own', fresh))
  const answer = await second
  t.equal(bodyOf(answer), 'own')
  t.match(status(answer), 'fwd=uri-miss; fwd-status=200; stored; collapsed=?0')
  socket.write(response('late', fresh))
  t.equal(bodyOf(await first), 'late')
  t.equal(exchanges.length, 2)
})

t.test('Vary discovered late: each gets the response for its own fields, and those of one variant share it (RFC 9111 4.1)', async t => {
  const { ask, missed, arrived, exchanges, pass } = await hold(t)
  const languages = ['de', 'fr', 'fr', 'it', 'de', 'fr']
  const first = ask('/', ['Accept-Language: de'])
  await arrived(1)
  const answers = [first, ...languages.slice(1).map(language => ask('/', [`Accept-Language: ${language}`]))]
  await missed(languages.length)
  await arrived(1)
  t.equal(exchanges.length, 1)
  const speak = ({ socket, text }: RawExchange): void => { socket.write(response(/accept-language: (\w+)/i.exec(text)?.[1] ?? 'none', [...fresh, 'Vary: Accept-Language'])) }
  speak(await arrived(1))
  await arrived(3)
  for (const exchange of exchanges.slice(1)) speak(exchange)
  const got = await Promise.all(answers)
  t.same(got.map(bodyOf), languages)
  t.equal(exchanges.length, 3, 'one for each language')
  for (const language of new Set(languages)) t.match(status(await ask('/', [`Accept-Language: ${language}`])), '; hit')

  // What is known of Vary divides the next ones from the beginning.
  pass(61)
  const again = ['de', 'fr', 'de', 'fr'].map(language => ask('/', [`Accept-Language: ${language}`]))
  await missed(10)
  await arrived(5)
  t.equal(exchanges.length, 5)
  await arrived(5)
  for (const exchange of exchanges.slice(3)) speak(exchange)
  t.same((await Promise.all(again)).map(bodyOf), ['de', 'fr', 'de', 'fr'])
})

t.test('validations are collapsed: one 304 serves all who waited (RFC 9111 4.3.3)', async t => {
  const { ask, missed, arrived, exchanges, pass } = await hold(t)
  const first = ask('/')
  ;(await arrived(1)).socket.write(response('kept', [...fresh, 'ETag: "1"']))
  await first
  pass(61)
  const answers = all(5, () => ask('/'))
  await missed(6)
  await arrived(2)
  t.equal(exchanges.length, 2)
  const { socket, text } = await arrived(2)
  t.match(text, /if-none-match: "1"/i)
  socket.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n')
  const got = await Promise.all(answers)
  t.ok(got.every(answer => bodyOf(answer) === 'kept'))
  t.equal(got.filter(answer => /fwd=stale; fwd-status=304; collapsed; ttl=\d+; detail=validated/.test(status(answer))).length, 4)
  t.equal(exchanges.length, 2)
})

t.test('a validation that brings a new response brings it to all who waited', async t => {
  const { ask, missed, arrived, exchanges, pass } = await hold(t)
  const first = ask('/')
  ;(await arrived(1)).socket.write(response('old', [...fresh, 'ETag: "1"']))
  await first
  pass(61)
  const answers = all(4, () => ask('/'))
  await missed(5)
  ;(await arrived(2)).socket.write(response('new', [...fresh, 'ETag: "2"']))
  t.ok((await Promise.all(answers)).every(answer => bodyOf(answer) === 'new'))
  t.equal(exchanges.length, 2)
})

t.test('HEAD joins a GET and does not lead one', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t)
  const head = ask('/', [], 'HEAD')
  await arrived(1)
  const answers = [ask('/'), ask('/')]
  await arrived(2)
  const joining = ask('/', [], 'HEAD')
  await missed(4)
  await arrived(2)
  t.equal(exchanges.length, 2, 'a HEAD of its own, and one GET')
  const { socket, text } = exchanges.find(({ text }) => text.startsWith('GET')) as RawExchange
  t.match(text, /^GET/)
  socket.write(response('content', fresh))
  t.ok((await Promise.all(answers)).every(answer => bodyOf(answer) === 'content'))
  const joined = await joining
  t.match(joined, /content-length: 7\r\n/)
  t.equal(bodyOf(joined), '')
  t.match(status(joined), '; collapsed;')
  exchanges.find(({ text }) => text.startsWith('HEAD'))?.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n')
  await head
})

t.test('who asks for a range, for validation, or for nothing to be stored, neither waits nor is waited for', async t => {
  for (const field of ['Range: bytes=0-1', 'Cache-Control: no-cache', 'Pragma: no-cache', 'Cache-Control: no-store', 'If-Match: "1"', 'If-Unmodified-Since: Mon, 05 Jan 2026 08:00:00 GMT']) {
    const { ask, arrived, exchanges } = await hold(t)
    const first = ask('/')
    await arrived(1)
    const others = all(2, () => ask('/', [field]))
    await arrived(3)
    for (const { socket } of exchanges) socket.write(response('x', fresh))
    for (const answer of await Promise.all([first, ...others])) t.notMatch(status(answer), 'collapsed', field)
  }
})

t.test('a client\'s own precondition waits, and is answered from what comes; others do not wait for its 304', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t)
  const own = ask('/', ['If-None-Match: "1"'])
  await arrived(1)
  const plain = ask('/')
  await arrived(2)
  const waiting = ask('/', ['If-None-Match: "1"'])
  await missed(3)
  await arrived(2)
  t.equal(exchanges.length, 2)
  const [conditional, whole] = exchanges[0]?.text.includes('"1"') === true ? exchanges : [...exchanges].reverse()
  conditional?.socket.write('HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
  whole?.socket.write(response('content', [...fresh, 'ETag: "1"']))
  t.match(await own, /^HTTP\/1\.1 304/)
  t.equal(bodyOf(await plain), 'content')
  t.match(await waiting, /^HTTP\/1\.1 304[^]*fwd-status=200; collapsed/)
})

t.test('credentials: requests with Authorization wait for each other only, and do not make others go alone (RFC 9111 3.5)', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t)
  const secret = all(2, () => ask('/', ['Authorization: Basic eA==']))
  await missed(2)
  const plain = all(2, () => ask('/'))
  await missed(4)
  await arrived(2)
  t.equal(exchanges.length, 2)
  await arrived(2)
  for (const { socket, text } of exchanges.slice(0, 2)) socket.write(response(/authorization/i.test(text) ? 'secret' : 'plain', fresh))
  await arrived(3)
  exchanges[2]?.socket.write(response('secret', fresh))
  t.same((await Promise.all(secret)).map(bodyOf), ['secret', 'secret'])
  t.same((await Promise.all(plain)).map(bodyOf), ['plain', 'plain'])
})

t.test('credentials: a request that says its Authorization is for the connection alone is waited for by none without (RFC 9111 3.5)', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t)
  const secret = ask('/', ['Connection: Authorization', 'Authorization: Basic eA=='])
  await arrived(1)
  const plain = all(2, () => ask('/'))
  await missed(3)
  await arrived(2)

  for (const [index, { socket }] of exchanges.entries()) socket.write(response(['secret', 'plain'][index] ?? 'other', fresh))

  t.equal(bodyOf(await secret), 'secret')
  t.same((await Promise.all(plain)).map(bodyOf), ['plain', 'plain'])
  t.equal(exchanges.length, 2)
})

t.test('a slow reader holds up neither the others nor the origin server', async t => {
  const { proxy, missed, arrived, origin } = await hold(t)
  const slow = open(t, proxy.port, get('/'))
  slow.socket.pause()
  const quick = Array.from({ length: 3 }, () => open(t, proxy.port, get('/')))
  await missed(4)
  const bytes = 8 * 1024 * 1024
  const { socket } = await arrived(1)
  socket.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: ${bytes}\r\n\r\n`)
  socket.write(Buffer.alloc(bytes, 'x'))
  await until(() => quick.every(({ closed }) => closed()))
  t.ok(quick.every(({ seen }) => bodyOf(seen()).length === bytes))
  t.equal(slow.closed(), false)
  slow.socket.resume()
  await until(() => slow.closed())
  t.equal(bodyOf(slow.seen()).length, bytes, 'and has its bytes when it comes to them')
  t.equal(origin.requests.length, 1)
})

t.test('a response that turns out too large to be stored goes on to all who read; a reader too slow for it is cut off, the next one asks anew', async t => {
  const { logger, codes } = codeLog()
  const { proxy, missed, arrived } = await hold(t, withCache({ maxResponseBytes: '256KiB' }, { logger }))
  const slow = open(t, proxy.port, get('/'))
  slow.socket.pause()
  const quick = Array.from({ length: 2 }, () => open(t, proxy.port, get('/')))
  await missed(3)
  const { socket } = await arrived(1)
  socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n')
  const piece = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`
  const pieces = 320
  for (let i = 0; i < pieces; i++) if (!socket.write(piece)) await new Promise(resolve => { socket.once('drain', resolve) })
  const late = open(t, proxy.port, get('/'))
  ;(await arrived(2)).socket.write(response('anew', fresh))
  await until(() => late.closed())
  t.equal(bodyOf(late.seen()), 'anew')
  t.ok(proxy.control.stats().cache.recordingBytes === 0)
  socket.write('0\r\n\r\n')
  await until(() => quick.every(({ closed }) => closed()))
  t.ok(quick.every(({ seen }) => seen().endsWith('0\r\n\r\n') && seen().length > pieces * 65_536))
  slow.socket.resume()
  await until(() => slow.closed())
  t.notMatch(slow.seen().slice(-20), '\r\n0\r\n\r\n', 'it does not look whole')
  await until(() => codes().length === 4)
  t.same(codes(), [undefined, undefined, undefined, 'too_slow'], 'and its access line says why')
})

t.test('after somebody was too slow for a response that others shared, each asks for itself and has all of it', async t => {
  const { proxy, missed, arrived, exchanges } = await hold(t, withCache({ maxResponseBytes: '256KiB' }))
  const slow = open(t, proxy.port, get('/'))
  slow.socket.pause()
  const quick = open(t, proxy.port, get('/'))
  await missed(2)
  const large = 'x'.repeat(20_000_000)
  const chunked = `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`
  ;(await arrived(1)).socket.write(chunked)
  await until(() => quick.closed())
  slow.socket.resume()
  await until(() => slow.closed())
  t.ok(slow.seen().length < large.length)

  const again = open(t, proxy.port, get('/'))
  again.socket.pause()
  const beside = open(t, proxy.port, get('/'))
  await missed(4)
  for (const count of [2, 3]) (await arrived(count)).socket.write(chunked)
  await until(() => beside.closed())
  again.socket.resume()
  await until(() => again.closed())
  t.ok(again.seen().length > large.length)
  t.equal(exchanges.length, 3)
})

t.test('one client that was too slow has the next response to itself, whatever others are sent meanwhile, who go on sharing', async t => {
  const { proxy, missed, arrived, exchanges } = await hold(t, withCache({ maxResponseBytes: '256KiB' }, { server: { ...rfc9111.server as object, trustedProxies: ['loopback'] } }))
  const from = (client: string) => open(t, proxy.port, get('/', [`X-Forwarded-For: ${client}`]))
  const slow = from('192.0.2.1')
  slow.socket.pause()
  const quick = from('192.0.2.2')
  await missed(2)
  const large = 'x'.repeat(20_000_000)
  const head = `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n${large.length.toString(16)}\r\n`
  const rest = `${large}\r\n0\r\n\r\n`
  ;(await arrived(1)).socket.write(head + rest)
  await until(() => quick.closed())
  slow.socket.resume()
  await until(() => slow.closed())
  t.ok(slow.seen().length < large.length)

  const others = [from('192.0.2.2'), from('192.0.2.3')]
  await missed(4)
  const { socket } = await arrived(2)
  t.equal(exchanges.length, 2, 'others share')
  socket.write(`${head}x`)
  await until(() => others.every(({ seen }) => seen().includes('200 OK')))
  const again = from('192.0.2.1')
  again.socket.pause()
  await missed(5)
  ;(await arrived(3)).socket.write(head + rest)
  socket.write(rest.slice(1))
  await until(() => others.every(({ closed }) => closed()))
  again.socket.resume()
  await until(() => again.closed())
  t.ok(again.seen().length > large.length, 'asked again it is not shared with who is faster')
  t.equal(exchanges.length, 3)
})

t.test('a response announced as too large is not waited for', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t, withCache({ maxResponseBytes: 10 }))
  const answers = all(2, () => ask('/'))
  await missed(2)
  ;(await arrived(1)).socket.write(response('x'.repeat(11), fresh))
  ;(await arrived(2)).socket.write(response('y'.repeat(11), fresh))
  const got = await Promise.all(answers)
  t.same(got.map(answer => bodyOf(answer)[0]).sort(), ['x', 'y'])
  t.equal(exchanges.length, 2)
})

t.test('pipelined requests for one response share it, in order', async t => {
  const { proxy, missed, arrived, exchanges } = await hold(t)
  const client = open(t, proxy.port, [...Array.from({ length: 3 }, () => 'GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n'), get('/')].join(''))
  await arrived(1)
  await missed(4)
  const bytes = 300_000
  ;(await arrived(1)).socket.write(response('Z'.repeat(bytes), fresh))
  await until(() => client.closed())
  t.equal(client.seen().split('HTTP/1.1 200 OK').length, 5)
  t.equal(client.seen().match(/Z+/g)?.filter(content => content.length === bytes).length, 4)
  t.equal(exchanges.length, 1)
})

t.test('HTTP/2 streams are collapsed with each other, and with one that is reset', async t => {
  const exchanges: RawExchange[] = []
  const origin = await startRawOrigin(t, exchange => { exchanges.push(exchange) })
  const app = Fastify({ http2: true })
  let misses = (): number => 0
  await app.register(holdfast, { config: { resolved: resolveConfig({ log: { access: false }, upstreams: { default: { targets: [origin.url] } }, routes: [{ name: 'all', upstream: 'default' }] }) }, onControl: control => { misses = () => control.stats().cache.misses } })
  await app.ready()
  await app.listen({ host: '127.0.0.1', port: 0 })
  const session = connectHttp2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  t.teardown(async () => {
    session.destroy()
    await app.close()
  })
  const answers = Array.from({ length: 20 }, () => {
    const stream = session.request({ ':path': '/' })
    const answer = { body: '', ended: false, status: '', stream }
    stream.on('response', fields => { answer.status = String(fields['cache-status']) })
    stream.setEncoding('latin1').on('data', (text: string) => { answer.body += text })
    stream.on('close', () => { answer.ended = true })
    stream.on('error', () => {})
    return answer
  })
  await until(() => misses() === 20 && exchanges.length > 0)
  await turn()
  t.equal(exchanges.length, 1)
  answers[0]?.stream.close(8)
  await until(() => answers[0]?.ended === true)
  exchanges[0]?.socket.write(response('shared', fresh))
  await until(() => answers.every(({ ended }) => ended))
  t.ok(answers.slice(1).every(({ body }) => body === 'shared'))
  t.ok(answers.slice(1).every(({ status }) => status.includes('; collapsed')))
  t.equal(exchanges.length, 1)
})

t.test('an invalidation while a response is under way: who asked before may have it, who asks after gets a new one (RFC 9111 4.4)', async t => {
  for (const headHasCome of [false, true]) {
    const { proxy, ask, missed, arrived, exchanges } = await hold(t)
    const before = [open(t, proxy.port, get('/')), open(t, proxy.port, get('/'))]
    await missed(2)
    const old = await arrived(1)
    if (headHasCome) {
      old.socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\r\no')
      await until(() => before.every(({ seen }) => seen().endsWith('o')))
    }
    const unsafe = talk(proxy.port, 'DELETE / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n')
    ;(await arrived(2)).socket.write(response('gone'))
    await unsafe
    const after = all(3, () => ask('/'))
    await arrived(3)
    await missed(5)
    await arrived(3)
    t.equal(exchanges.length, 3, 'and those share theirs')
    exchanges[2]?.socket.write(response('new', fresh))
    t.ok((await Promise.all(after)).every(answer => bodyOf(answer) === 'new'))
    old.socket.write(headHasCome ? 'ld' : response('old', fresh))
    await until(() => before.every(({ closed }) => closed()))
    t.ok(before.every(({ seen }) => bodyOf(seen()) === 'old'))
    t.equal(bodyOf(await ask('/')), 'new', 'the old one did not take its place')
  }
})

t.test('an invalidation of a group reaches members that still stream (RFC 9875 3)', async t => {
  const { proxy, ask, arrived } = await hold(t)
  const before = open(t, proxy.port, get('/'))
  const old = await arrived(1)
  old.socket.write('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nCache-Groups: "g"\r\nContent-Length: 3\r\n\r\no')
  await until(() => before.seen().endsWith('o'))
  const unsafe = talk(proxy.port, 'POST /other HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  ;(await arrived(2)).socket.write(response('', ['Cache-Group-Invalidation: "g"']))
  await unsafe
  const after = ask('/')
  ;(await arrived(3)).socket.write(response('new', fresh))
  t.equal(bodyOf(await after), 'new')
  old.socket.write('ld')
  await until(() => before.closed())
  t.equal(bodyOf(await ask('/')), 'new')
})

t.test('a reload while a response is under way: those who wait get it', async t => {
  const { proxy, ask, missed, arrived, exchanges } = await hold(t)
  const answers = all(3, () => ask('/'))
  await missed(3)
  await proxy.control.reload({ ...proxy.control.config, server: { ...proxy.control.config.server, trustedProxies: ['10.0.0.1'] } })
  ;(await arrived(1)).socket.write(response('shared', fresh))
  t.ok((await Promise.all(answers)).every(answer => bodyOf(answer) === 'shared'))
  t.equal(exchanges.length, 1)
})

t.test('a route may turn it off', async t => {
  const { ask, arrived, exchanges } = await hold(t, withCache({ collapse: { enabled: false } }))
  const answers = all(3, () => ask('/'))
  await arrived(3)
  for (const { socket } of exchanges) socket.write(response('x', fresh))
  for (const answer of await Promise.all(answers)) t.notMatch(status(answer), 'collapsed')
})

t.test('a status without content is shared as well', async t => {
  const { ask, missed, arrived, exchanges } = await hold(t)
  const answers = all(3, () => ask('/'))
  await missed(3)
  ;(await arrived(1)).socket.write('HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\n\r\n')
  for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 204/)
  t.equal(exchanges.length, 1)
})

t.test('a waiter that leaves is forgotten, and the others go on', async t => {
  const { proxy, ask, missed, arrived, exchanges } = await hold(t)
  const first = ask('/')
  await arrived(1)
  const leaves = open(t, proxy.port, get('/'))
  await missed(2)
  leaves.socket.destroy()
  await until(() => leaves.closed())
  const stays = ask('/')
  await missed(3)
  ;(await arrived(1)).socket.write(response('x', fresh))
  t.same((await Promise.all([first, stays])).map(bodyOf), ['x', 'x'])
  t.equal(exchanges.length, 1)
})
