/** Each row of what reply-from, undici and Node do by default that a proxy must not; the numbers are those of docs/forwarding.md. */
import t from 'tap'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)
const codeOf = (text: string): string => /"code":"(\w+)"/.exec(text)?.[1] ?? ''

t.test('1: refused bodies do not wedge the pool, and a 503 is asked for once', async t => {
  const big = 'x'.repeat(200_000)
  let failing = true
  const origin = await startRawOrigin(t, () => failing ? response(big, ['Retry-After: 120'], '503 Service Unavailable') : response('well'))
  const proxy = await startProxy(t, origin.url, { upstream: { connections: 4 } })

  const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => talk(proxy.port, get(`/${i}`))))
  failing = false
  const after = await Promise.all(Array.from({ length: 10 }, (_, i) => talk(proxy.port, get(`/after${i}`))))

  t.ok(answers.every(answer => status(answer) === 503 && bodyOf(answer).length === 200_000))
  t.ok(after.every(answer => bodyOf(answer) === 'well'))
  t.equal(origin.requests.length, 40, 'rows 1 and 2: no retry on 503')
})

t.test('3: a Trailer field of the origin server neither crashes nor reaches the client', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Trailer: X-Sum']))
  const proxy = await startProxy(t, origin.url)

  for (const request of [get('/a'), get('/b').replace('GET', 'HEAD'), 'GET /c HTTP/1.0\r\nHost: a\r\n\r\n']) {
    const answer = await talk(proxy.port, request)
    t.equal(status(answer), 200)
    t.notMatch(answer, /trailer/i)
  }
})

t.test('4, 24: what is routed is what is forwarded', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { route: { match: { path: '/public/*' } } })

  for (const path of ['/public/%2e%2e/secret', '/public/..%2fsecret', '/public/%2e%2e%2fsecret', '/public/..%5csecret', '/public\\..\\secret', '/public/../secret', '/public/./../secret', '/%2e%2e/secret', '//secret', '/public/..;/..%2f']) {
    const answer = await talk(proxy.port, get(path))
    t.ok([400, 404].includes(status(answer)), `${path} is ${status(answer)}`)
  }
  t.equal(origin.requests.length, 0)

  await talk(proxy.port, get('/public/a/./b/../%7euser/%c3%a9"<{'))
  t.match(origin.requests[0], /^GET \/public\/a\/~user\/%C3%A9"<\{ HTTP/)
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

t.test('9: content passes byte for byte', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const [type, body] of [
    ['application/json', '{"a":12345678901234567890,"a":1}'], ['application/json', 'false'], ['application/json', 'null'], ['application/json', '0'],
    ['application/json', '""'], ['application/json; charset=latin1', '{"\xe9":1}'], ['nonsense', 'x'], ['text/plain', '\0\xff']
  ] as const) {
    const answer = await talk(proxy.port, Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1'))
    t.equal(status(answer), 200)
    await until(() => true)
    const sent = origin.requests.at(-1) as string
    t.match(sent, `content-type: ${type}`)
    t.match(sent, `content-length: ${body.length}`)
  }
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

t.test('15, 22: a body cut short is broken to the client and never stored', async t => {
  const origin = await startRawOrigin(t, ({ socket, count }) => {
    if (count === 1) socket.end('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nabc')
    else if (count === 2) socket.end('HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n')
    else socket.write(response('whole', ['Cache-Control: max-age=60']))
  })
  const proxy = await startProxy(t, origin.url)

  t.equal(bodyOf(await talk(proxy.port, get('/'))), 'abc')
  t.notMatch(await talk(proxy.port, get('/')), /\r\n0\r\n\r\n$/, 'no last chunk')
  t.match(await talk(proxy.port, get('/')), /fwd=uri-miss[^]*whole$/)
  t.match(await talk(proxy.port, get('/')), /; hit[^]*whole$/)
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

t.test('23: a query is opaque', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const query of ['?x=%E9', '?x=%zz', '?next=../b', '?a=//b', '?%', '?a=b?c', '?"<{}|\\^`', '?']) {
    t.equal(status(await talk(proxy.port, get('/a' + query))), 200, query)
    t.ok(origin.requests.at(-1)?.startsWith(`GET /a${query} HTTP/1.1\r\n`), query)
  }
})

t.test('25: absolute-form is understood, and its authority replaces Host', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  t.equal(status(await talk(proxy.port, get('http://Other.Test:80/p?q'))), 200)
  t.match(origin.requests[0], /^GET \/p\?q HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/)
  t.match(origin.requests[0], 'x-forwarded-host: other.test\r\n')
  t.equal(origin.connections, 1, 'to the configured upstream and nowhere else')
})

t.test('26: two Hosts, a bad Host and HTTP/1.0 with Transfer-Encoding are 400 and closed', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  for (const request of [
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n',
    'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
  ]) t.equal(status(await talk(proxy.port, request, /"code"[^]*\}/)), 400, request.slice(0, 40))
  t.equal(origin.requests.length, 0)
})

t.test('29: Max-Forwards counts, and a loop is seen', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  t.equal(status(await talk(proxy.port, get('/', ['Max-Forwards: 0']).replace('GET', 'OPTIONS'))), 204)
  t.equal(origin.requests.length, 0)
  await talk(proxy.port, get('/', ['Max-Forwards: 3']).replace('GET', 'OPTIONS'))
  t.match(origin.requests[0], 'max-forwards: 2')

  const via = /via: 1\.1 (holdfast-[0-9a-f]+)/.exec(origin.requests[0] as string)?.[1] as string
  t.equal(status(await talk(proxy.port, get('/', [`Via: 1.1 ${via}`]))), 508)
})

t.test('30: content left unread is never taken for the next request', async t => {
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { route: { match: { path: '/known/*' } } })
  const smuggled = 'GET /known/smuggled HTTP/1.1\r\nHost: a\r\n\r\n'

  const answer = await talk(proxy.port, `POST /unknown HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length + 10}\r\n\r\n${smuggled}`)

  t.equal(status(answer), 404)
  t.match(answer, /connection: close/i)
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

t.test('fields keep their octets, order and number both ways', async t => {
  const lines = ['Set-Cookie: a=1', 'X-Name: caf\xe9 \xff', 'Set-Cookie: b=2', 'Link: </1>', 'Link: </2>', 'Vary: A', 'Vary: B', '__proto__: p']
  const origin = await startRawOrigin(t, () => Buffer.from(response('ok', lines), 'latin1'))
  const proxy = await startProxy(t, origin.url)

  const answer = await talk(proxy.port, Buffer.from(get('/', ['X-Sent: \xe9\xa0']), 'latin1'))

  t.match(answer, 'set-cookie: a=1\r\nset-cookie: b=2\r\nx-name: caf\xe9 \xff\r\nlink: </1>\r\nlink: </2>\r\nvary: A\r\nvary: B\r\n__proto__: p')
  t.match(origin.requests[0], 'x-sent: \xe9\xa0')
})
