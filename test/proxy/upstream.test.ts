/** Connections, deadlines, retries and what upstreams do wrong; numbers are those of traps.test.ts. */
import t from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import type { UpstreamConfig } from '../../src/config/schema.ts'
import type { Body } from '../../src/http/body.ts'
import { createUpstream } from '../../src/upstream/upstream.ts'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)
const codeOf = (text: string): string => /"code":"(\w+)"/.exec(text)?.[1] ?? ''

t.test('1, 2: refused bodies do not wedge the pool, a 503 is asked for once, and its Retry-After is the client\'s', async t => {
  const big = 'x'.repeat(200_000)
  let failing = true
  const origin = await startRawOrigin(t, () => failing ? response(big, ['Retry-After: 120'], '503 Service Unavailable') : response('well'))
  const proxy = await startProxy(t, origin.url, { upstream: { connections: 4 } })

  const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => talk(proxy.port, get(`/${i}`))))
  failing = false
  const after = await Promise.all(Array.from({ length: 10 }, (_, i) => talk(proxy.port, get(`/after${i}`))))

  t.ok(answers.every(answer => status(answer) === 503 && bodyOf(answer).length === 200_000))
  t.ok(answers.every(answer => answer.includes('retry-after: 120\r\n')))
  t.ok(after.every(answer => bodyOf(answer) === 'well'))
  t.equal(origin.requests.length, 40, 'no retry on 503')
})

t.test('10: an upstream that cannot be reached is 502 with a stable code and without its address', async t => {
  const proxy = await startProxy(t, 'http://127.0.0.1:9')

  const answer = await talk(proxy.port, get('/'))

  t.equal(status(answer), 502)
  t.equal(codeOf(answer), 'upstream_unreachable')
  t.notMatch(bodyOf(answer), /127\.0\.0\.1/)
  t.match(answer, /cache-status: holdfast/i)
})

t.test('11: a client that leaves before the response ends the origin request', async t => {
  const origin = await startRawOrigin(t, () => {})
  const proxy = await startProxy(t, origin.url)

  const client = openSocket(proxy.port)
  client.write(get('/'))
  await until(() => origin.requests.length === 1)
  client.destroy()
  await until(() => origin.open === 0)

  t.equal(origin.open, 0)
})

t.test('12: one deadline per request, queue included; the queue is bounded', async t => {
  const origin = await startRawOrigin(t, () => {})
  const proxy = await startProxy(t, origin.url, { upstream: { connections: 1, queue: 3, timeouts: { firstByte: '200ms' }, health: { failures: 0 } } })

  const answers = await Promise.all(Array.from({ length: 6 }, (_, i) => talk(proxy.port, get(`/${i}`))))

  const codes = answers.map(codeOf).sort()
  t.equal(codes.filter(code => code === 'upstream_queue_full').length, 2)
  t.equal(codes.filter(code => code === 'upstream_first_byte_timeout' || code === 'upstream_queue_timeout').length, 4)
})

t.test('13: a route may wait for ever between bytes, others may not', async t => {
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')
    if (text.startsWith('GET /stream')) setTimeout(() => { socket.write('cd') }, 400)
  })
  const proxy = await startProxy(t, origin.url, {
    upstream: { timeouts: { betweenBytes: '150ms' } },
    routes: [{ name: 'stream', match: { path: '/stream/*' }, upstream: 'default', betweenBytes: 0 }, { name: 'rest', upstream: 'default' }]
  })

  t.equal(bodyOf(await talk(proxy.port, get('/stream/x'))), 'abcd')
  t.equal(bodyOf(await talk(proxy.port, get('/x'))), 'ab', 'cut, and visibly: 2 of 4 bytes')
})

t.test('14: a GET on a connection that the origin server closes while idle is tried once more', async t => {
  const origin = await startRawOrigin(t, ({ socket, onConnection }) => {
    if (onConnection === 1) return response('ok')
    socket.destroy()
    return undefined
  })
  const proxy = await startProxy(t, origin.url, { upstream: { connections: 1 } })

  t.equal(status(await talk(proxy.port, get('/1'))), 200)
  t.equal(status(await talk(proxy.port, get('/2'))), 200)
  t.equal(status(await talk(proxy.port, 'POST /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx')), 502, 'never a request with content')
})

t.test('21, 27: what is no valid response is 502; an unasked 100 is skipped', async t => {
  const answers: Record<string, string> = {
    '/big': 'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n',
    '/zero': 'HTTP/1.1 000 Odd\r\nContent-Length: 0\r\n\r\n',
    '/garbage': 'this is not HTTP\r\n\r\n',
    '/control': 'HTTP/1.1 200 OK\r\nX-Odd: a\x01b\r\nContent-Length: 2\r\n\r\nok',
    '/both': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: gibberish\r\n\r\nok',
    '/switch': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    '/continue': 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n' + response('fine')
  }
  const origin = await startRawOrigin(t, ({ text, socket }) => {
    const path = text.split(' ')[1] as string
    if (path === '/drip') {
      socket.write('HTTP/1.1 10')
      setTimeout(() => { socket.write('0 Continue\r\n') }, 20)
      setTimeout(() => { socket.write('\r\n' + response('fine')) }, 40)
      return undefined
    }
    return answers[path] ?? response()
  })
  const proxy = await startProxy(t, origin.url, { upstream: { health: { failures: 0 }, timeouts: { firstByte: '1s', betweenBytes: '500ms' } } })

  for (const path of ['/big', '/zero', '/garbage', '/control', '/switch']) {
    const answer = await talk(proxy.port, get(path))
    t.equal(status(answer), 502, path)
    t.match(codeOf(answer), /^upstream_(?:bad_response|reset)$/)
  }
  t.not(status(await talk(proxy.port, get('/both'))), 500)
  t.equal(bodyOf(await talk(proxy.port, get('/continue'))), 'fine')
  t.equal(bodyOf(await talk(proxy.port, get('/drip'))), 'fine')
  t.equal(status(await talk(proxy.port, get('/well'))), 200, 'and goes on')
})

t.test('a response that is to go on while a piece of another one is handed over cuts neither short', async t => {
  const piece = '.'.repeat(300_000)
  const origin = await startRawOrigin(t, () => response(piece))
  const config = resolveConfig({ upstreams: { default: { targets: [origin.url] } }, routes: [{ name: 'default', upstream: 'default' }] })
  const upstream = createUpstream('default', config.upstreams['default'] as UpstreamConfig, { log: { warn () {} } })
  t.teardown(() => upstream.destroy())
  const ask = (path: string): Promise<Body> => new Promise((resolve, reject) => {
    upstream.fetch({ upstream, method: 'GET', path, fields: {}, clientAuthority: '', host: undefined, body: null, betweenBytesMs: undefined, attendant: null, running: null, response: null }, (error, answer) => {
      if (answer === undefined) reject(error ?? new Error('no answer'))
      else resolve(answer.body)
    })
  })
  const [one, other] = await Promise.all([ask('/one'), ask('/other')])
  const read = (body: Body, onData: () => boolean): Promise<number> => new Promise((resolve, reject) => {
    let bytes = 0
    body.read({
      data (chunk) {
        bytes += chunk.length
        return onData()
      },
      end () { resolve(bytes) },
      fail (error) { reject(error) }
    })
  })

  // This one waits after each piece, until a piece of the other one has come.
  let isWaiting = false
  let isOver = false
  const first = read(one, () => {
    isWaiting = !isOver
    return isOver
  })
  await until(() => isWaiting)
  await turn()
  const second = read(other, () => {
    one.resume()
    return true
  })
  t.equal(await second, piece.length)
  isOver = true
  one.resume()
  t.equal(await first, piece.length)
})

const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })
