import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import https from 'node:https'
import { tmpdir } from 'node:os'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import pino from 'pino'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { createTlsContexts } from '../../src/server/tls.ts'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'))
t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })

async function certificate (name: string, host: string): Promise<{ cert: string, key: string }> {
  const made = await generate([{ name: 'commonName', value: host }], { extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: host }, { type: 7, ip: '127.0.0.1' }] }] } as never)
  const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
  writeFileSync(files.cert, made.cert)
  writeFileSync(files.key, made.private)
  return files
}

async function startTlsProxy (t: Test, origin: string) {
  const one = await certificate('one', 'one.test')
  const two = await certificate('two', 'two.test')
  const config = resolveConfig({
    server: { tls: { certificates: [one, { ...two, hosts: ['two.test', '*.two.test'] }] } },
    admin: { enabled: false },
    upstreams: { default: { targets: [origin] } },
    routes: [{ name: 'default', upstream: 'default' }]
  })
  const tls = createTlsContexts(config.server.tls as NonNullable<typeof config.server.tls>)
  const listener = await createProxyListener({ config, logger: undefined, tls })
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  const sessions: http2.ClientHttp2Session[] = []
  t.teardown(async () => {
    for (const session of sessions) session.destroy()
    await listener.app.close()
  })
  const { port } = listener.app.server.address() as AddressInfo
  return {
    port,
    server: listener.app.server,
    tls,
    config,
    names: (servername: string): Promise<string> => new Promise((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN))
        socket.destroy()
      }).on('error', reject)
    }),
    session () {
      const session = http2.connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
      session.on('error', () => {})
      sessions.push(session)
      return session
    }
  }
}

interface Answer { readonly headers: Record<string, string | string[] | undefined>, readonly body: string }

function ask (session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, content?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':authority': 'one.test', ...headers })
    let seen: Record<string, string | string[] | undefined> = {}
    let body = ''
    stream.on('response', fields => { seen = fields as typeof seen })
    stream.on('data', (chunk: Buffer) => { body += chunk.toString() })
    stream.on('end', () => { resolve({ headers: seen, body }) })
    stream.on('error', reject)
    stream.end(content)
  })
}

t.test('the certificate fits the server name, and a reload swaps it; a broken one changes nothing', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startTlsProxy(t, origin.url)
  const tlsConfig = proxy.config.server.tls as NonNullable<typeof proxy.config.server.tls>

  t.equal(await proxy.names('one.test'), 'one.test')
  t.equal(await proxy.names('two.test'), 'two.test')
  t.equal(await proxy.names('a.two.test'), 'two.test')
  t.equal(await proxy.names('unknown.test'), 'one.test')

  await certificate('one', 'new.test')
  proxy.tls.prepare(tlsConfig)()
  t.equal(await proxy.names('unknown.test'), 'new.test')

  writeFileSync(join(folder, 'one.pem'), 'broken')
  t.throws(() => { proxy.tls.prepare(tlsConfig) })
  t.equal(await proxy.names('unknown.test'), 'new.test')
})

t.test('HTTP/2 gets hits, repeated fields and passes content on', async t => {
  const origin = await startRawOrigin(t, ({ text }) => response(text.startsWith('POST') ? 'posted' : 'body', ['Cache-Control: max-age=60', ...(text.startsWith('GET /cookies') ? ['Set-Cookie: a=1', 'Set-Cookie: b=2'] : ['Content-Type: text/plain'])]))
  const proxy = await startTlsProxy(t, origin.url)
  const session = proxy.session()

  t.match((await ask(session, { ':path': '/' })).headers['cache-status'], 'uri-miss')
  const hit = await ask(session, { ':path': '/' })
  t.match(hit.headers['cache-status'], '; hit')
  t.equal(hit.body, 'body')
  t.match(origin.requests[0], 'x-forwarded-proto: https')
  t.match(origin.requests[0], 'x-forwarded-host: one.test')
  t.same((await ask(session, { ':path': '/cookies' })).headers['set-cookie'], ['a=1', 'b=2'])
  t.equal((await ask(session, { ':path': '/post', ':method': 'POST' }, 'content')).body, 'posted')
  t.equal((await ask(session, { ':path': '/%zz' })).headers[':status'], 400)
  const head = await ask(session, { ':path': '/', ':method': 'HEAD' })
  t.equal(head.headers['content-length'], '4')
})

t.test('HTTP/1.1 over TLS works beside it', async t => {
  const origin = await startRawOrigin(t, () => response('secure'))
  const proxy = await startTlsProxy(t, origin.url)

  const body = await new Promise(resolve => {
    https.get({ port: proxy.port, host: '127.0.0.1', rejectUnauthorized: false, agent: false, headers: { host: 'one.test' } }, answer => {
      let text = ''
      answer.on('data', chunk => { text += chunk }).on('end', () => { resolve(text) })
    })
  })
  t.equal(body, 'secure')
})

for (const http2 of [true, false]) {
  t.test(`plain HTTP to a TLS port is told so, once, and what else is no TLS gets no HTTP (${http2 ? 'HTTP/2 on' : 'HTTP/1.1 alone'})`, async t => {
    const origin = await startRawOrigin(t, () => response('secure'))
    const lines: Array<Record<string, unknown>> = []
    const logger = pino({ level: 'info' }, { write: (line: string) => { lines.push(JSON.parse(line)) } })
    const proxy = await startProxy(t, origin.url, { server: { tls: { http2, certificates: [await certificate('plain', 'plain.test')] }, limits: { headerTimeout: '500ms' } }, logger })
    const open = (): Promise<number> => new Promise(resolve => { setTimeout(() => { proxy.app.server.getConnections((_error, count) => { resolve(count) }) }, 10) })

    const content = `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n${'x'.repeat(300_000)}`
    for (const octets of [get('/'), get('/') + get('/'), 'HEAD / HTTP/1.0\r\n\r\n', content, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
      const answer = await talk(proxy.port, octets, undefined, true)
      t.match(answer, /^HTTP\/1\.1 400 Bad Request\r\nDate: [^]*\r\nConnection: close\r\n/)
      t.match(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)), { error: { code: 'tls_required', status: 400, message: /https/ } })
      t.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer')
    }
    const refused = lines.filter(({ msg }) => msg === 'request')
    t.match(refused, Array(5).fill({ method: '', path: '', route: '', status: 400, cache: 'none', client: '127.0.0.1', code: 'tls_required' }))
    t.equal(refused.length, 5)
    t.match(await proxy.metrics.metrics(), /holdfast_http_requests_total\{.*status_class="4xx".*\} 5\n/)

    for (const octets of ['\x16\x03\x01\x02\x00\x01\x00GET / HTTP/1.1\r\n\r\n', '\x16', '\x16\x03\x01\xff\xff', '\x80\x2e\x01\x03\x01', '\x00\x00', '\r\nGET / HTTP/1.1\r\n\r\n', '\xc7ET / HTTP/1.1\r\n\r\n']) {
      t.notMatch(await talk(proxy.port, Buffer.from(octets, 'latin1')), /HTTP/, JSON.stringify(octets))
    }
    t.equal(await talk(proxy.port, ''), '', 'one that says nothing is closed')
    const half = openSocket(proxy.port).on('error', () => {})
    half.resume().end()
    await new Promise(resolve => { half.once('close', resolve) })
    openSocket(proxy.port).on('error', () => {}).once('connect', function (this: Socket) { this.resetAndDestroy() })
    // Reads its answer and stays; what it goes on sending is nothing to anybody.
    const staying = openSocket(proxy.port).on('error', () => {})
    staying.write(get('/'))
    const sending = setInterval(() => { if (staying.writableLength === 0) staying.write('x'.repeat(1000)) }, 5)
    await new Promise(resolve => { staying.resume().once('close', resolve) })
    clearInterval(sending)
    let left = 1
    while (left > 0) left = await open()

    // A handshake whose first octet comes alone.
    const wire = openSocket(proxy.port)
    const slow = new Duplex({
      read () {},
      write (chunk: Buffer, _encoding, done) {
        wire.write(chunk.subarray(0, 1))
        setTimeout(() => { wire.write(chunk.subarray(1), done) }, 20)
      }
    })
    wire.on('data', chunk => { slow.push(chunk) }).on('close', () => { slow.push(null) })
    const secure = connectTls({ socket: slow, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
    secure.on('error', () => {})
    let text = ''
    secure.on('data', chunk => { text += chunk })
    secure.write(get('/'))
    await until(() => text.endsWith('secure'))
    t.match(text, /^HTTP\/1\.1 200 OK/)
    secure.destroy()
  })
}

t.test('streams that a client resets do no harm', async t => {
  const origin = await startRawOrigin(t, () => {})
  const proxy = await startTlsProxy(t, origin.url)
  const session = proxy.session()
  for (let i = 0; i < 50; i++) {
    const stream = session.request({ ':path': `/${i}`, ':authority': 'one.test' })
    stream.on('error', () => {})
    setImmediate(() => { stream.close(http2.constants.NGHTTP2_CANCEL) })
  }
  await new Promise(resolve => { setTimeout(resolve, 50) })
  session.destroy()

  t.equal(await proxy.names('two.test'), 'two.test', 'still there')
})

t.test('5: the certificate of the upstream is verified, unless it is trusted or the check is turned off by name', async t => {
  const files = await certificate('origin', '127.0.0.1')
  const { readFileSync } = await import('node:fs')
  const origin = https.createServer({ cert: readFileSync(files.cert), key: readFileSync(files.key) }, (_request, answer) => { answer.end('secret') })
  await new Promise<void>(resolve => { origin.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { origin.closeAllConnections(); origin.close() })
  const url = `https://127.0.0.1:${(origin.address() as AddressInfo).port}`

  const strict = await startProxy(t, url)
  const refused = await talk(strict.port, get('/'))
  t.match(refused, /502[^]*upstream_tls/)
  t.notMatch(refused, 'secret')
  const trusting = await startProxy(t, url, { upstream: { tls: { ca: files.cert } } })
  t.match(await talk(trusting.port, get('/')), /200[^]*secret/)
  const careless = await startProxy(t, url, { upstream: { tls: { verify: false } } })
  t.match(await talk(careless.port, get('/')), /200[^]*secret/)
})

t.test('of a large stored response no more than a few pieces are encrypted ahead for a slow reader, who has it whole', async t => {
  const bytes = 6_000_000
  const content = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: ${bytes}\r\n\r\n`)
    return content
  })
  const proxy = await startTlsProxy(t, origin.url)
  let mostWaiting = 0
  proxy.server.on('secureConnection', (socket: Socket) => {
    const look = (): void => {
      mostWaiting = Math.max(mostWaiting, socket.writableLength)
      if (!socket.destroyed) setImmediate(look)
    }
    look()
  })

  const read = (path: string, fields: readonly string[]): Promise<Buffer> => new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const socket = connectTls({ port: proxy.port, host: '127.0.0.1', servername: 'one.test', rejectUnauthorized: false }, () => { socket.write(get(path, ['Connection: close', ...fields])) })
    socket.on('data', chunk => {
      chunks.push(chunk)
      socket.pause()
      setImmediate(() => { socket.resume() })
    })
    socket.on('error', reject)
    socket.on('end', () => {
      const whole = Buffer.concat(chunks)
      resolve(whole.subarray(whole.indexOf('\r\n\r\n') + 4))
    })
  })
  t.ok((await read('/large', [])).equals(content))
  t.ok((await read('/large', [])).equals(content))
  t.ok((await read('/large', ['Range: bytes=1000-5000000'])).equals(content.subarray(1000, 5_000_001)))

  t.equal(origin.requests.length, 1)
  t.ok(mostWaiting < 200_000, `${mostWaiting} bytes waited`)
})
