/** HTTP/2 and TLS connections have the same limits and the same end as plain ones. */
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import pino from 'pino'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { createTlsContexts } from '../../src/server/tls.ts'
import { until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-h2-'))
t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
const made = await generate([{ name: 'commonName', value: 'a.test' }])
const files = { cert: join(folder, 'a.pem'), key: join(folder, 'a.key') }
writeFileSync(files.cert, made.cert)
writeFileSync(files.key, made.private)

async function start (t: Test, origin: string, limits: Record<string, unknown> = {}) {
  const config = resolveConfig({
    server: { tls: { certificates: [files] }, limits },
    admin: { enabled: false },
    upstreams: { default: { targets: [origin] } },
    routes: [{ name: 'default', upstream: 'default' }]
  })
  const lines: Array<Record<string, unknown>> = []
  const logger = pino({}, new Writable({ write (chunk: Buffer, _encoding, done) { lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>); done() } }))
  const listener = await createProxyListener({ config, logger: logger as never, tls: createTlsContexts(config.server.tls as NonNullable<typeof config.server.tls>) })
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = listener.app.server.address() as AddressInfo
  const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  t.teardown(async () => {
    session.destroy()
    listener.connections.destroyAll()
    await listener.app.close()
  })
  return { port, session, listener, requests: () => lines.filter(line => line['msg'] === 'request') }
}

function ask (session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, content: string | null = '') {
  const stream = session.request({ ':authority': 'a.test', ...(headers[':method'] === 'CONNECT' ? {} : { ':path': '/' }), ...headers }, { endStream: content === '' })
  const answer = { status: 0, body: '', code: -1, stream }
  const end = new Promise<typeof answer>(resolve => {
    stream.on('response', fields => { answer.status = Number(fields[':status']) })
    stream.on('data', (chunk: Buffer) => { answer.body += chunk.toString() })
    stream.on('error', () => {})
    stream.on('close', () => {
      answer.code = stream.rstCode
      resolve(answer)
    })
  })
  if (content !== null && content !== '') stream.end(content)
  return { stream, end }
}

function talkTls (port: number, octets: string): Promise<string> {
  return new Promise(resolve => {
    let seen = ''
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }, () => { socket.write(octets) })
    socket.on('data', (chunk: Buffer) => { seen += chunk.toString('latin1') }).on('error', () => {}).on('close', () => { resolve(seen) })
  })
}

t.test('refusals of one stream leave the others alone', async t => {
  const origin = await startRawOrigin(t, ({ socket, count }) => { if (count === 1) setTimeout(() => { socket.write(response('slow')) }, 300); else socket.write(response()) })
  const { session } = await start(t, origin.url)
  const slow = ask(session, {})
  await until(() => origin.requests.length === 1)

  const many = Object.fromEntries(Array.from({ length: 110 }, (_, i) => [`x-${i}`, '1']))
  t.equal((await ask(session, many).end).status, 431, 'too many fields')
  t.equal((await ask(session, { expect: 'miracles' }).end).status, 417)
  t.equal((await ask(session, { ':method': 'CONNECT', ':authority': 'a.test:443' }).end).status, 501)
  t.equal((await ask(session, { 'x-long': 'x'.repeat(30_000) }).end).status === 200, false, 'too long a field')

  t.equal((await slow.end).body, 'slow')
})

t.test('HTTP/2: a Host that names another host than :authority is 400, also where a hit would answer (RFC 9113 8.3.1)', async t => {
  const origin = await startRawOrigin(t, () => response('content', ['Cache-Control: max-age=60']))
  const { session } = await start(t, origin.url)

  t.equal((await ask(session, {}).end).body, 'content')
  for (const host of ['b.test', 'a.test:444', 'a.test.b']) {
    const { status, body } = await ask(session, { host }).end
    t.equal(status, 400, host)
    t.match(body, /bad_target/)
  }
  for (const host of ['a.test', 'A.Test', 'a.test:443', 'a.test.']) t.equal((await ask(session, { host }).end).body, 'content', `${host} is the same`)
  t.equal(origin.requests.length, 1)
})

t.test('an answered request is not logged as aborted, a reset one is', async t => {
  const origin = await startRawOrigin(t, ({ text }) => text.startsWith('GET /hang') ? undefined : response('body'))
  const { session, requests } = await start(t, origin.url)

  await ask(session, {}).end
  await until(() => requests().length === 1)
  t.match(requests()[0], { status: 200, http: '2.0', bytes: 4, client: '127.0.0.1' })
  t.notOk(requests()[0]?.['aborted'])
  const { stream } = ask(session, { ':path': '/hang' })
  await until(() => origin.requests.length === 2)
  stream.close(http2.constants.NGHTTP2_CANCEL)
  await until(() => requests().length === 2)
  t.match(requests()[1], { aborted: true, code: 'cancelled', status: 499 })
})

t.test('HTTP/2: a method that nobody knows is 501, logged and counted, with its content taken off', async t => {
  const origin = await startRawOrigin(t, () => response())
  const { session, listener, requests } = await start(t, origin.url)

  for (const content of ['', 'content']) {
    const { status, body } = await ask(session, { ':method': 'BREW' }, content).end
    t.equal(status, 501)
    t.match(JSON.parse(body), { error: { code: 'method_not_supported', status: 501 } })
  }

  await until(() => requests().length === 2)
  t.match(requests(), [1, 2].map(() => ({ status: 501, cache: 'none', client: '127.0.0.1', code: 'method_not_supported' })))
  t.match(await listener.metrics.metrics(), /^holdfast_http_requests_total\{[^}]*method="other"[^}]*status_class="5xx"[^}]*\} 2$/m)
  t.equal(origin.requests.length, 0)
  t.equal((await ask(session, {}).end).status, 200)
})

t.test('HTTP/2: content that stops arriving is 408, and a response that nobody reads is reset', async t => {
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    if (!text.startsWith('GET')) return
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n')
    const piece = Buffer.alloc(1_000_000)
    const write = (): void => { while (!socket.destroyed && socket.write(piece)) continue; socket.once('drain', write) }
    write()
  })
  const { session } = await start(t, origin.url, { bodyTimeout: '200ms', writeTimeout: '300ms' })

  const { stream, end } = ask(session, { ':method': 'POST', 'content-length': '10' }, null)
  stream.write('abc')
  t.equal((await end).status, 408)
  await until(() => origin.open === 0)
  const reader = session.request({ ':path': '/', ':authority': 'a.test' })
  reader.on('error', () => {})
  await until(() => origin.open === 1)
  await until(() => origin.open === 0)
  t.equal(origin.open, 0)
})

t.test('HTTP/2: waiting for a slow upstream is cut off by none of the limits on clients', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => { setTimeout(() => { socket.write(response('late')) }, 600) })
  const { session } = await start(t, origin.url, { bodyTimeout: '100ms', writeTimeout: '100ms', idleTimeout: '100ms' })

  t.equal((await ask(session, {}).end).body, 'late')
  t.equal((await ask(session, { ':method': 'POST' }, 'content').end).body, 'late')
})

t.test('HTTP/2: idle connections end, and so do those that have asked for enough', async t => {
  const origin = await startRawOrigin(t, () => response())
  const idle = await start(t, origin.url, { idleTimeout: '150ms' })
  t.equal((await ask(idle.session, {}).end).status, 200)
  await until(() => idle.session.destroyed)

  const busy = await start(t, origin.url, { requestsPerConnection: 3 })
  for (let i = 0; i < 3; i++) t.equal((await ask(busy.session, {}).end).status, 200)
  await until(() => busy.session.destroyed)
  t.ok(busy.session.destroyed)
})

t.test('TLS: handshakes and heads that drip in are cut off, and limits hold for HTTP/1.1 too', async t => {
  const origin = await startRawOrigin(t, () => response())
  const { port } = await start(t, origin.url, { headerTimeout: '300ms', headerBytes: '4KiB', headerCount: 20 })

  const silent = connect(port, '127.0.0.1')
  silent.on('error', () => {})
  silent.resume()
  await until(() => silent.destroyed)
  t.match(await talkTls(port, 'GET / HTTP/1.1\r\nHost: a\r\nX: '), / 408 /)
  t.match(await talkTls(port, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(5000)}\r\n\r\n`), / 431 /)
  t.match(await talkTls(port, 'GET / HTTP/1.1\r\n\r\n'), / 400 /)
  t.match(await talkTls(port, 'CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n'), / 501 /)
})

t.test('TLS: a handshake that drips in has no more time than one that does not come', async t => {
  const origin = await startRawOrigin(t, () => response())
  const { port } = await start(t, origin.url, { headerTimeout: '200ms' })

  const slow = connect(port, '127.0.0.1')
  slow.on('error', () => {})
  slow.resume()
  // The start of a handshake record that announces far more than will ever come.
  const octets = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), Buffer.alloc(100)])
  for (let i = 0; i < octets.length && !slow.destroyed; i++) {
    slow.write(octets.subarray(i, i + 1))
    await new Promise(resolve => { setTimeout(resolve, 20) })
  }
  t.ok(slow.destroyed)
})

t.test('HTTP/2: a session without a request ends, and content over the limit is 413', async t => {
  const origin = await startRawOrigin(t, () => response())
  const silent = await start(t, origin.url, { headerTimeout: '200ms' })
  await until(() => silent.session.destroyed)

  const { session } = await start(t, origin.url, { bodyBytes: 4 })
  t.equal((await ask(session, { ':method': 'POST', 'content-length': '7' }, 'content').end).status, 413)
  t.equal((await ask(session, { ':method': 'POST' }, 'content').end).status, 413)
  t.equal((await ask(session, { ':method': 'POST' }, 'four').end).status, 200)
})

t.test('HTTP/2: a request that drips in has its whole time, and no more', async t => {
  const origin = await startRawOrigin(t, () => {})
  const { session } = await start(t, origin.url, { requestTimeout: '300ms' })

  const { stream, end } = ask(session, { ':method': 'POST' }, null)
  const drip = setInterval(() => { if (!stream.destroyed) stream.write('x') }, 50)
  const { status } = await end
  clearInterval(drip)
  t.equal(status, 408)
})

t.test('drain: what is in flight over TLS finishes, in HTTP/1.1 and HTTP/2, and the connections end', async t => {
  const waiting: Array<() => void> = []
  const origin = await startRawOrigin(t, ({ socket }) => { waiting.push(() => { socket.write(response('finished')) }) })
  const { port, session, listener } = await start(t, origin.url)
  const two = ask(session, {})
  const one = talkTls(port, 'GET /one HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => waiting.length === 2)

  listener.connections.closeGracefully()
  const closed = listener.app.close()
  await new Promise(resolve => { setTimeout(resolve, 50) })
  for (const release of waiting) release()

  t.match(await one, /connection: close[^]*finished$/i)
  t.equal((await two.end).body, 'finished')
  await closed
  await until(() => session.destroyed)
})

t.test('interim responses are forwarded to a client of HTTP/2, all of them (RFC 9110 15.2)', async t => {
  const origin = await startRawOrigin(t, () => `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\n\r\nHTTP/1.1 199 Foo\r\nX-C: 3\r\n\r\n${response('ok')}`)
  const { session } = await start(t, origin.url)
  const seen: unknown[] = []
  const { stream, end } = ask(session, {})
  stream.on('headers', fields => { seen.push({ ...fields }) })

  t.equal((await end).body, 'ok')
  t.match(seen, [{ ':status': 103, link: '</a.css>; rel=preload', 'x-a': '1' }, { ':status': 199, 'x-c': '3' }])
  t.notMatch(JSON.stringify(seen), 'x-b')
})
