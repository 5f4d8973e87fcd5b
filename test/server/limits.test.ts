/** What a client may cost: every limit of the listener, through raw sockets. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Server, type Socket } from 'node:net'
import { queryObjects } from 'node:v8'
import pino from 'pino'
import t from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { startInstance } from '../../src/server/instance.ts'
import { createProcessLog } from '../../src/server/logger.ts'
import { parseHttpDate } from '../../src/http/date.ts'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])

t.test('a field section that drips in is cut off (CVE class slowloris)', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { headerTimeout: '300ms' } } })

  const answer = await talk(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ')

  t.equal(status(answer), 408)
  t.equal(origin.requests.length, 0)
})

t.test('content that stops arriving is cut off, and the upstream let go', async t => {
  const origin = await startRawOrigin(t, () => {})
  const proxy = await startProxy(t, origin.url, { server: { limits: { bodyTimeout: '150ms' } } })

  const answer = await talk(proxy.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc')

  t.equal(status(answer), 408)
  await until(() => origin.open === 0)
})

t.test('waiting for a slow upstream is not cut off by the limits on clients', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => { setTimeout(() => { socket.write(response('late')) }, 500) })
  const proxy = await startProxy(t, origin.url, { server: { limits: { bodyTimeout: '100ms', writeTimeout: '100ms' } } })

  t.match(await talk(proxy.port, get('/')), /late$/)
  t.match(await talk(proxy.port, 'POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx'), /late$/)
})

/** As fast as it is taken. */
function writeLargeResponse (socket: Socket): void {
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n')
  const piece = Buffer.alloc(1_000_000)
  const write = (): void => { while (!socket.destroyed && socket.write(piece)) continue; socket.once('drain', write) }
  write()
}

t.test('a client that reads nothing is cut off, and the upstream let go', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => { writeLargeResponse(socket) })
  const proxy = await startProxy(t, origin.url, { server: { limits: { writeTimeout: '300ms' } } })

  const client = openSocket(proxy.port)
  client.on('error', () => {})
  client.pause()
  client.write(get('/'))
  await until(() => origin.requests.length === 1)
  await until(() => origin.open === 0)

  t.equal(origin.open, 0)
  client.destroy()
})

t.test('nor does one that sends on meanwhile read anything', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => { writeLargeResponse(socket) })
  const proxy = await startProxy(t, origin.url, { server: { limits: { writeTimeout: '300ms' } } })

  for (const [title, request, more] of [
    ['what is ignored behind the last request', get('/'), 'x'],
    ['empty lines', get('/'), '\r\n'],
    ['a next request, octet by octet', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'G']
  ] as const) {
    const asked = origin.requests.length
    const client = openSocket(proxy.port)
    client.on('error', () => {})
    client.pause()
    client.write(request)
    const timer = setInterval(() => { client.write(more) }, 50)
    t.teardown(() => { clearInterval(timer) })
    await until(() => origin.requests.length > asked)
    await until(() => origin.open === 0)

    t.equal(origin.open, 0, title)
    clearInterval(timer)
    client.destroy()
  }
})

t.test('too many fields, too long ones, and content without end are refused', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { headerCount: 20, headerBytes: '4KiB' } } })

  t.equal(status(await talk(proxy.port, get('/', Array.from({ length: 18 }, (_, i) => `X-${i}: 1`)))), 200)
  t.equal(status(await talk(proxy.port, get('/', Array.from({ length: 19 }, (_, i) => `X-${i}: 1`)))), 431)
  t.equal(status(await talk(proxy.port, get('/', Array.from({ length: 200 }, (_, i) => `X-${i}: 1`)))), 431)
  t.equal(status(await talk(proxy.port, get('/', [`X-Long: ${'x'.repeat(5000)}`]))), 431)
  t.equal(status(await talk(proxy.port, get(`/${'x'.repeat(5000)}`))), 414)
  t.equal(origin.requests.length, 1)
})

t.test('a target that is too long is 414, and a method that nobody knows 501 (RFC 9112 3, RFC 9110 9.1)', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60']))
  const seen: unknown[] = []
  const logger = pino({}, { write (line: string) { seen.push(JSON.parse(line)) } })
  const proxy = await startProxy(t, origin.url, { server: { limits: { headerBytes: '4KiB' } }, logger })
  const before = 'GET /first HTTP/1.1\r\nHost: a\r\n\r\n'
  const long = 'x'.repeat(5000)

  for (const [text, expected, code] of [
    [get(`/${long}`), 414, 'uri_too_long'],
    [`GET /${long}`, 414, 'uri_too_long'],
    [get(`/?${long}`).replace('HTTP/1.1', 'HTTP/1.0'), 414, 'uri_too_long'],
    [get('/', [`X-Long: ${long}`]), 431, 'too_many_fields'],
    [`GET / HTTP/1.1\r\nX-Long: ${long}`, 431, 'too_many_fields'],
    [get('/').replace('GET', 'BREW'), 501, 'method_not_supported'],
    [get('/').replace('GET', 'get'), 501, 'method_not_supported'],
    [get('/').replace('GET', 'GETTER'), 501, 'method_not_supported'],
    [get('/').replace('GET', 'G(T'), 400, 'bad_request'],
    ['nonsense\r\n\r\n', 400, 'bad_request'],
    ['BREW / coffee\r\n\r\n', 400, 'bad_request'],
    ['\x16\x03\x01\0', 400, 'bad_request']
  ] as const) {
    const answer = await talk(proxy.port, text)
    t.match(answer, `HTTP/1.1 ${expected}`, text.slice(0, 20))
    t.match(answer, `"code":"${code}"`)
    t.match(seen.at(-1), { status: expected, code })
  }
  // Behind a request that has been answered.
  const socket = openSocket(proxy.port)
  let text = ''
  socket.on('data', chunk => { text += chunk.toString('latin1') })
  socket.write(before)
  await until(() => text.endsWith('ok'))
  socket.write(get(`/${long}`))
  await until(() => socket.destroyed)
  t.match(text, /ok[^]*HTTP\/1\.1 414/)
  t.equal(origin.requests.length, 1)
})

t.test('connections over the ceiling are closed, and requests per connection counted', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { limits: { connections: 3, requestsPerConnection: 2 } } })
  const idle = Array.from({ length: 3 }, () => openSocket(proxy.port))
  await until(() => idle.every(socket => !socket.connecting))
  await new Promise(resolve => { setImmediate(resolve) })

  t.equal(await talk(proxy.port, get('/')), '', 'no answer')
  for (const socket of idle) socket.destroy()
  let answer = ''
  while (answer === '') answer = await talk(proxy.port, get('/'))
  t.equal(status(answer), 200)

  const three = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(3)
  const answers = await talk(proxy.port, three)
  t.equal(answers.split('HTTP/1.1 200').length - 1, 2)
  t.match(answers, /connection: close/i)
})

t.test('what is no request gets an answer and the end', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const [octets, code] of [
    ['hello\r\n\r\n', 400], ['GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n', 400], ['\x16\x03\x01\x02\x00\x01\x00', 400],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx', 400],
    ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n', 501], ['GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n', 417],
    ['GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400], ['GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400], ['GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400]
  ] as const) {
    const answer = await talk(proxy.port, Buffer.from(octets, 'latin1'), /\}$/)
    t.equal(status(answer), code, octets.slice(0, 30))
    const dates = [...answer.matchAll(/\r\nDate: ([^\r]*)/gi)].map(([, date]) => parseHttpDate(date as string, Date.now()))
    t.same(dates.map(date => date === null), [false], 'RFC 9110 6.6.1: with the date')
  }
  t.equal(status(await talk(proxy.port, 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')), 204)
  t.equal(origin.requests.length, 0)
})

t.test('what holds up the event loop while a proxy starts is no load', async t => {
  const origin = await startRawOrigin(t, () => response('x'))
  // As loading modules and routes does; longer than a sample.
  const slow = async (): Promise<void> => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200) }
  const proxy = await startProxy(t, origin.url, { loadShedding: { eventLoopDelay: '50ms', sampleInterval: '1s' }, holdfast: { extensions: [{ plugin: slow, name: 'slow' }] } })
  // The timer of the first sample is due by now.
  await new Promise(resolve => { setTimeout(resolve, 20) })

  t.match(await talk(proxy.port, get('/')), /^HTTP\/1\.1 200 /)
})

t.test('while overloaded, misses are 503 with Retry-After and hits are served', async t => {
  const origin = await startRawOrigin(t, () => response('x', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { loadShedding: { rssBytes: 1, sampleInterval: '700ms', retryAfter: '7s' } })
  // Until the first sample nothing is known, and nothing refused.
  let refused = ''
  let stored = false
  while (!/503/.test(refused)) {
    if (!stored) stored = status(await talk(proxy.port, get('/stored'))) === 200
    refused = await talk(proxy.port, get(`/${Math.random()}`))
  }

  t.match(refused, /HTTP\/1\.1 503[^]*retry-after: 7\r\n[^]*overloaded/i)
  t.ok(stored)
  t.match(await talk(proxy.port, get('/stored')), /; hit/)
})

t.test('the system is asked for as long a backlog as the configuration says', async t => {
  const listens = t.capture(Server.prototype, 'listen', Server.prototype.listen)
  const upstreams = { default: { targets: ['http://127.0.0.1:9'] } }
  const routes = [{ name: 'default', upstream: 'default' }]

  for (const [given, expected] of [[{}, 4096], [{ backlog: 7 }, 7]] as const) {
    const config = resolveConfig({ server: { host: '127.0.0.1', port: 0, ...given }, admin: { enabled: false }, upstreams, routes })
    const instance = await startInstance({ config, log: createProcessLog('silent'), read: async () => config, admin: false })
    await instance.drain()

    t.match(listens().at(-1)?.args[0], { host: '127.0.0.1', backlog: expected })
  }
})

t.test('of pipelined responses that nobody reads each says write_timeout in its access line, and not that its client has left', async t => {
  const origin = await startRawOrigin(t, ({ text }) => response(text.includes('/big') ? 'x'.repeat(20_000_000) : 'small'))
  const lines: Array<Record<string, unknown>> = []
  const logger = pino({}, { write (line: string) { lines.push(JSON.parse(line) as Record<string, unknown>) } })
  const proxy = await startProxy(t, origin.url, { server: { limits: { writeTimeout: '200ms' } }, logger })
  const client = openSocket(proxy.port)
  client.on('error', () => {})
  client.write('GET /big HTTP/1.1\r\nHost: proxy.test\r\n\r\nGET /small HTTP/1.1\r\nHost: proxy.test\r\n\r\n')
  await until(() => lines.filter(line => line['path'] !== undefined).length === 2)
  client.destroy()

  t.strictSame(lines.filter(line => line['path'] !== undefined).map(({ path, code, aborted }) => [path, code, aborted]), [['/big', 'write_timeout', true], ['/small', 'write_timeout', true]])
})

t.test('a connection that waits for its next request holds nothing of the one before', async t => {
  const origin = await startRawOrigin(t, ({ text }) => response('content', [`Cache-Control: ${text.startsWith('GET /stored ') ? 'max-age=60' : 'no-store'}`]))
  const proxy = await startProxy(t, origin.url, { loadShedding: { eventLoopDelay: 0 } })
  // Looks through all memory, which the proxy would take for an overload.
  const held = (): number => queryObjects(ServerResponse, { format: 'count' }) + queryObjects(IncomingMessage, { format: 'count' })
  await talk(proxy.port, get('/stored'))
  const before = held()

  for (const path of ['/stored', '/passing']) {
    const clients = Array.from({ length: 20 }, () => openSocket(proxy.port))
    await Promise.all(clients.map(async client => {
      let seen = ''
      client.on('data', chunk => { seen += chunk.toString('latin1') })
      client.write(`GET ${path} HTTP/1.1\r\nHost: proxy.test\r\n\r\n`)
      await until(() => seen.endsWith('content'))
    }))

    await until(() => held() < before + 5)
    for (const client of clients) t.notOk(client.destroyed)
    for (const client of clients) client.destroy()
  }
})
