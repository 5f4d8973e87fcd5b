/** Content passes whole, or visibly not; numbers are those of traps.test.ts. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { ask } from '../fixtures/compare.ts'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)

t.test('9: content passes byte for byte', async t => {
  const origin = createServer((request, response) => {
    response.setHeader('x-seen', `${request.headers['content-type']}; ${request.headers['content-length']}`)
    request.pipe(response)
  })
  await new Promise<void>(resolve => { origin.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => {
    origin.closeAllConnections()
    origin.close()
  })
  const proxy = await startProxy(t, `http://127.0.0.1:${(origin.address() as AddressInfo).port}`)

  for (const [type, body] of [
    ['application/json', '{"a":12345678901234567890,"a":1}'], ['application/json', 'false'], ['application/json', 'null'], ['application/json', '0'],
    ['application/json', '""'], ['application/json; charset=latin1', '{"\xe9":1}'], ['nonsense', 'x'], ['text/plain', '\0\xff']
  ] as const) {
    const answer = await talk(proxy.port, Buffer.from(`POST / HTTP/1.0\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1'))
    t.equal(status(answer), 200)
    t.equal(bodyOf(answer), body)
    t.match(answer, `x-seen: ${type}; ${body.length}\r\n`)
  }
})

t.test('15, 22: a body cut short is broken to the client, counted and never stored', async t => {
  const cut: Readonly<Record<string, string>> = {
    'with length': 'Content-Length: 10\r\n\r\nabc',
    chunked: 'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
    'within a chunk': 'Transfer-Encoding: chunked\r\n\r\n5\r\nabc'
  }
  let framing = ''
  const origin = await startRawOrigin(t, ({ socket }) => {
    if (framing === 'whole') socket.write(response('whole', ['Cache-Control: max-age=60']))
    else socket.end(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${cut[framing]}`)
  })
  const proxy = await startProxy(t, origin.url, { upstream: { health: { failures: 0 } } })

  for (framing of Object.keys(cut)) {
    for (const version of ['1.1', '1.0']) {
      const { text, reset } = await endOf(proxy.port, `GET /${version} HTTP/${version}\r\nHost: a\r\n\r\n`)
      t.equal(status(text), 200)
      // Three ways to see it: fewer octets than announced, no last chunk, or a reset where only the end of the connection
      // says that it is the end (RFC 9112 8).
      t.ok(/content-length: 10\r\n[^]*\r\n\r\nabc$/i.test(text) || /transfer-encoding: chunked[^]*3\r\nabc\r\n$/i.test(text) || reset, `${framing}, HTTP/${version}: ${text}`)
      if (version === '1.0' && framing !== 'with length') t.ok(reset, 'HTTP/1.0: reset')
    }
  }
  t.equal(proxy.control.stats().cache.entries, 0)
  t.equal(proxy.control.stats().upstreams['default']?.errors['upstream_reset'], 6)

  framing = 'whole'
  t.match(await talk(proxy.port, get('/1.1')), /fwd=uri-miss[^]*whole$/)
  t.match(await talk(proxy.port, get('/1.1')), /; hit[^]*whole$/)
})

t.test('20: the content of a GET is forwarded, and such a request bypasses the cache', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url)

  for (let i = 0; i < 2; i++) {
    const answer = await talk(proxy.port, get('/', ['Content-Length: 5']) + 'hello')
    t.match(answer, /fwd=bypass; fwd-status=200; detail=request-content/)
  }
  await until(() => origin.requests.length === 2)
  t.match(origin.requests[1], /content-length: 5/)
})

t.test('30: content left unread is never taken for the next request', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { route: { match: { path: '/known/*' } } })
  const smuggled = 'GET /known/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

  const refused = await talk(proxy.port, `POST /unknown HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length + 10}\r\n\r\n${smuggled}`, /"code"[^]*\}/)
  t.equal(status(refused), 404)
  t.match(refused, /connection: close/i)
  t.equal(origin.requests.length, 0)

  // Stored, and asked for with content that looks like a request.
  t.match(await talk(proxy.port, get('/known/page')), 'stored')
  for (const method of ['GET', 'HEAD']) {
    const answer = await talk(proxy.port, `${method} /known/page HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`)
    t.equal(answer.split('HTTP/1.1 ').length, 2, 'one answer')
  }
  t.equal(proxy.control.stats().upstreams['default']?.requests, 3, 'the content went to the upstream as content')
})

t.test('30: whoever answers a request without its content, the content is read within bounds and the connection ends', async t => {
  const origin = await startRawOrigin(t, () => response('ok'))
  const own = (app: FastifyInstance): void => {
    app.addFilter('onRequest', context => { if (context.path === '/own') context.reply.code(200).send('own') })
    app.addFilter('preHandler', async context => { if (context.path === '/late') await context.reply.code(200).send('late') })
  }
  const proxy = await startProxy(t, origin.url, {
    server: { limits: { bodyTimeout: '2s' } },
    route: { cors: { origins: ['https://a.test'] }, extensions: { own: true } },
    holdfast: { extensions: [{ plugin: own, name: 'own' }] }
  })
  const rows = [
    ['OPTIONS /page', 'Origin: https://a.test', 'Access-Control-Request-Method: PUT'], ['OPTIONS *'], ['OPTIONS /page', 'Max-Forwards: 0'], ['TRACE /page', 'Max-Forwards: 0'], ['POST /own'], ['POST /late']
  ]
  for (const [line, ...fields] of rows) {
    for (const framing of ['Content-Length: 100000', 'Transfer-Encoding: chunked']) {
      const answer = await talk(proxy.port, [`${line} HTTP/1.1`, 'Host: proxy.test', ...fields, framing, '', '5\r\nhello\r\n'].join('\r\n'))
      t.match(String(status(answer)), /^20[04]$/, `${line} ${framing}`)
      t.match(answer, /\r\nconnection: close\r\n/i, `${line} ${framing}`)
    }
    t.match(await talk(proxy.port, [`${line} HTTP/1.1`, 'Host: proxy.test', ...fields, '', ''].join('\r\n'), /\r\n\r\n/), /\r\nconnection: keep-alive\r\n/i, `${line} without content`)
  }
  t.equal(origin.requests.length, 0)
})

t.test('30: what an own filter makes of the content, and sends as a stream, is whole; what it leaves of it is read within bounds', async t => {
  const origin = await startRawOrigin(t, () => response('ok'))
  const own = (app: FastifyInstance): void => {
    app.addHook('onSend', async () => { await new Promise(resolve => { setTimeout(resolve, 50) }) })
    app.addFilter('preHandler', ({ path, request, reply }) => {
      reply.type('text/plain')
      if (path === '/echo') reply.send(request.raw)
      if (path === '/web') reply.send(Readable.toWeb(request.raw))
      if (path === '/other') reply.send(Readable.from(['other']))
    })
  }
  const proxy = await startProxy(t, origin.url, { route: { extensions: { own: true } }, holdfast: { extensions: [{ plugin: own, name: 'own' }] } })

  for (const path of ['/echo', '/web', '/other']) {
    const client = openSocket(proxy.port)
    let seen = ''
    client.on('data', chunk => { seen += chunk.toString('latin1') }).on('error', () => {})
    const closed = new Promise(resolve => { client.once('close', resolve) })
    client.write(`POST ${path} HTTP/1.1\r\nHost: proxy.test\r\nContent-Length: 10\r\n\r\nhello`)
    await until(() => path === '/other' ? seen.endsWith('0\r\n\r\n') : seen.includes('hello') || client.destroyed)
    client.write(path === '/other' ? 'w' : 'world')
    await closed

    t.match(seen, path === '/other' ? /\r\nother\r\n0\r\n\r\n$/ : /\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n$/, path)
    t.match(seen, /\r\nconnection: close\r\n/i, path)
  }
  t.equal(origin.requests.length, 0)
})

t.test('32: a directive that cannot be understood is not stored', async t => {
  const values = ['private=""', 'max-age=60, private="', 'max-age=60 private', 'private, max-age=60', 'max-age=60, no-store="x"', '"max-age=60", =']
  const origin = await startRawOrigin(t, ({ text }) => response('ok', [`Cache-Control: ${values[Number(text.split('/')[1]?.split(' ')[0])]}`]))
  const proxy = await startProxy(t, origin.url)

  for (const [i, value] of values.entries()) {
    await talk(proxy.port, get(`/${i}`))
    t.notMatch(await talk(proxy.port, get(`/${i}`)), /; hit/, value)
  }
})

t.test('an answer that comes before the content is over reaches a client that goes on sending (RFC 9112 9.6)', async t => {
  const early = createServer((_request, response) => { response.writeHead(413).end('r'.repeat(300_000)) })
  await new Promise<void>(resolve => { early.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => {
    early.closeAllConnections()
    early.close()
  })
  const url = `http://127.0.0.1:${(early.address() as AddressInfo).port}`
  const [fromOrigin, ownRefusal] = [await startProxy(t, url), await startProxy(t, url, { route: { bodyBytes: 1000 } })]

  for (let turn = 0; turn < 5; turn++) {
    for (const chunked of [false, true]) {
      const answer = await ask(fromOrigin.url, { title: '', method: 'POST', path: '/', body: { bytes: 10_000_000, chunked } })
      t.same([answer.status, answer.bytes], [413, 300_000])
      t.equal((await ask(ownRefusal.url, { title: '', method: 'POST', path: '/', body: { bytes: 10_000_000, chunked } })).status, 413)
    }
  }
})

/** All that came, and whether the connection was reset instead of closed. */
function endOf (port: number, octets: string): Promise<{ text: string, reset: boolean }> {
  return new Promise(resolve => {
    const socket = openSocket(port)
    let text = ''
    let reset = false
    socket.on('data', chunk => { text += chunk.toString('latin1') })
    socket.on('error', error => { reset = (error as NodeJS.ErrnoException).code === 'ECONNRESET' })
    socket.on('close', () => { resolve({ text, reset }) })
    socket.write(octets)
  })
}
