/** What the proxy does with fields, both ways; numbers are those of traps.test.ts. */
import t from 'tap'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)

t.test('3: a Trailer field of the origin server neither crashes nor reaches the client', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Trailer: X-Sum']))
  const proxy = await startProxy(t, origin.url)

  for (const request of [get('/a'), get('/b').replace('GET', 'HEAD'), 'GET /c HTTP/1.0\r\nHost: a\r\n\r\n']) {
    const answer = await talk(proxy.port, request)
    t.equal(status(answer), 200)
    t.notMatch(answer, /trailer/i)
  }
})

t.test('6: no client field is answered 500', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const field of ['Expect: 100-continue', 'Keep-Alive: timeout=5', 'Upgrade: h2c', 'Upgrade: websocket', 'HTTP2-Settings: AAMAAABkAAQAAP__', '__proto__: x', 'constructor: y', 'Content-Type: nonsense']) {
    t.equal(status(await talk(proxy.port, get('/', [field]).replace('Connection: close', 'Connection: close, upgrade'), /ok$/)), 200, field)
  }
})

t.test('7: fields for this hop do not reach the origin server', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  await talk(proxy.port, get('/', ['TE: trailers', 'Trailer: X-Sum', 'Proxy-Authorization: Basic x', 'Proxy-Connection: keep-alive', 'X-Private: 1', 'X-Kept: 1']).replace('Connection: close', 'Connection: close, X-Private'))

  t.notMatch(origin.requests[0], /\r\n(?:te|trailer|proxy-authorization|proxy-connection|x-private):/i)
  t.match(origin.requests[0], /\r\nx-kept: 1/)
})

t.test('a field that the route sets is not the client\'s to take away by naming it in Connection', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { route: { rewrite: { setFields: { 'x-tenant': 'a' } } } })

  await talk(proxy.port, get('/', ['X-Tenant: b']).replace('Connection: close', 'Connection: close, X-Tenant'))

  t.match(origin.requests[0], /\r\nx-tenant: a\r\n/)
})

t.test('8: fields for the other hop do not reach the client, nor the cache', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60', 'Connection: X-Private, keep-alive', 'X-Private: 1', 'Keep-Alive: timeout=99', 'Upgrade: h2c', 'Proxy-Authenticate: Basic', 'X-Kept: 1']))
  const proxy = await startProxy(t, origin.url)

  for (const outcome of [/fwd=uri-miss/, /; hit/]) {
    const answer = await talk(proxy.port, get('/'))
    t.match(answer, outcome)
    t.notMatch(answer, /\r\n(?:x-private|upgrade|proxy-authenticate):|timeout=99/i)
    t.match(answer, /\r\nx-kept: 1/)
  }
})

t.test('16: early hints are forwarded, trailers and their announcement dropped', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n')
    socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nCache-Control: max-age=60\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n')
  })
  const proxy = await startProxy(t, origin.url)

  const first = await talk(proxy.port, get('/'))
  t.match(first, /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/style\.css>; rel=preload; as=style\r\n\r\nHTTP\/1\.1 200 OK/i)
  t.notMatch(first, /x-sum/i)
  t.match(await talk(proxy.port, get('/')), /^HTTP\/1\.1 200 OK[^]*; hit/, 'never replayed')
})

t.test('17: each target gets its own Host, or the client\'s, or a fixed one', async t => {
  const origins = await Promise.all([startRawOrigin(t, () => response()), startRawOrigin(t, () => response())])
  const targets = origins.map(origin => origin.url)

  const proxy = await startProxy(t, null, { upstreams: { default: { targets } }, route: {} })
  await talk(proxy.port, get('/1'))
  await talk(proxy.port, get('/2'))
  for (const origin of origins) t.match(origin.requests[0], `host: 127.0.0.1:${origin.port}`)

  const client = await startProxy(t, null, { upstreams: { default: { targets, host: 'client' } } })
  await talk(client.port, get('/3'))
  t.match(origins.map(origin => origin.requests.at(-1)).join(''), 'host: proxy.test')
})

t.test('18, 31: forwarding fields are written by the proxy, a client\'s own are replaced', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  await talk(proxy.port, get('/', ['X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Host: evil', 'X-Forwarded-Proto: https', 'Forwarded: for=1.2.3.4', 'X-Real-IP: 1.2.3.4']))

  const sent = origin.requests[0] as string
  t.notMatch(sent, /1\.2\.3\.4|evil/)
  t.match(sent, 'x-forwarded-for: 127.0.0.1')
  t.match(sent, 'x-forwarded-host: proxy.test')
  t.match(sent, 'x-forwarded-proto: http\r\n')
  t.match(sent, 'forwarded: for=127.0.0.1;host="proxy.test";proto=http')
  t.match(sent, /via: 1\.1 holdfast-[0-9a-f]{8}/)
})

t.test('fields keep their octets, order and number both ways', async t => {
  const lines = ['Set-Cookie: a=1', 'X-Name: caf\xe9 \xff', 'Set-Cookie: b=2', 'Link: </1>', 'Link: </2>', 'Vary: A', 'Vary: B', '__proto__: p']
  const origin = await startRawOrigin(t, () => Buffer.from(response('ok', lines), 'latin1'))
  const proxy = await startProxy(t, origin.url)

  const answer = await talk(proxy.port, Buffer.from(get('/', ['X-Sent: \xe9\xa0']), 'latin1'))

  t.match(answer, 'set-cookie: a=1\r\nset-cookie: b=2\r\nx-name: caf\xe9 \xff\r\nlink: </1>\r\nlink: </2>\r\nvary: A\r\nvary: B\r\n__proto__: p')
  t.match(origin.requests[0], 'x-sent: \xe9\xa0')
})

t.test('18: behind a trusted proxy the chain is continued, not begun anew (RFC 7239 4)', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { trustedProxies: ['loopback'] } })

  await talk(proxy.port, get('/', ['X-Forwarded-For: 192.0.2.1', 'X-Forwarded-Host: shop.test', 'X-Forwarded-Proto: https', 'Forwarded: for=192.0.2.1']))

  const sent = origin.requests[0] as string
  t.match(sent, 'x-forwarded-for: 192.0.2.1, 127.0.0.1\r\n')
  t.match(sent, 'x-forwarded-host: shop.test\r\n')
  t.match(sent, 'x-forwarded-proto: https\r\n')
  t.match(sent, 'forwarded: for=192.0.2.1, for=127.0.0.1;host="proxy.test";proto=https\r\n')
})

t.test('31: what one client claims is never stored for another', async t => {
  const said = (text: string, name: string): string => new RegExp(`\r\n${name}: ([^\r]*)`).exec(text)?.[1] ?? 'none'
  const origin = await startRawOrigin(t, ({ text }) => response(['x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-original-url'].map(name => said(text, name)).join('|'), ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url)

  const first = await talk(proxy.port, get('/', ['X-Forwarded-Host: evil', 'X-Forwarded-Proto: gopher', 'Forwarded: host=evil', 'X-Original-URL: /evil']))
  const second = await talk(proxy.port, get('/'))
  const other = await talk(proxy.port, get('/').replace('proxy.test', 'other.test'))

  t.equal(bodyOf(first), 'proxy.test|http|for=127.0.0.1;host="proxy.test";proto=http|none')
  t.match(second, '; hit')
  t.equal(bodyOf(second), bodyOf(first))
  t.match(other, /fwd=uri-miss[^]*other\.test\|http/, 'another host is another key')
})

t.test('lines of the origin server come first and in their order, then what the cache says, then what names the request', async t => {
  const origin = await startRawOrigin(t, () => response('x', ['Cache-Control: max-age=60', 'X-B: 1', 'X-A: 1', 'X-A: 2']))
  const proxy = await startProxy(t, origin.url)

  const miss = await talk(proxy.port, get('/'))

  const names = miss.slice(0, miss.indexOf('\r\n\r\n')).split('\r\n').slice(1).map(line => line.slice(0, line.indexOf(':')).toLowerCase())
  const wanted = ['cache-control', 'x-b', 'x-a', 'x-a', 'cache-status', 'x-request-id', 'connection']
  t.same(names.filter(name => wanted.includes(name)), wanted)
})
