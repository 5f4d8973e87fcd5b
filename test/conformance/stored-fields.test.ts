/** RFC 9111 section 3.1: which fields are stored; interim responses (RFC 9110 15.2), framing and trailers (RFC 9112 6, 7.1.2). */
import t from 'tap'
import { bodyOf, checkRows, outcomeOf, startWire, type Ask, type AskOptions } from '../fixtures/conformance.ts'
import { openSocket, talk, until } from '../fixtures/proxy.ts'

const lifetime = 'Cache-Control: max-age=60'
/** The same on a miss and on a hit. */
const both = (options: AskOptions): readonly Ask[] => [[0, 'uri-miss', options], [1, 'hit', options]]

t.test('fields that are stored, and fields that end here (RFC 9111 3.1, RFC 9110 7.6.1)', async t => {
  await checkRows(t, [
    ['fields MUST be stored, unknown ones as well (RFC 9111 3.1)', [lifetime, 'X-Unknown: a b', 'Foo: "bar", baz', 'Content-Foo: 1', 'X-Empty:'], both({ has: [/x-unknown: a b\r\n/i, /foo: "bar", baz\r\n/i, /content-foo: 1\r\n/i, /x-empty: ?\r\n/i] })],
    ['lines of one name keep their order and number (RFC 9110 5.3)', [lifetime, 'X-A: 1', 'X-B: x', 'X-A: 2, 3', 'X-A: 1'], both({ has: /x-a: 1\r\nx-a: 2, 3\r\nx-a: 1\r\n/i })],
    ['white space around a value is no part of it (RFC 9110 5.5)', [lifetime, 'X-A: \t a  b \t ', 'X-Empty:  \t', 'Cache-Control: s-maxage=60\t '], both({ has: [/x-a: a {2}b\r\n/i, /x-empty: \r\n/i, /s-maxage=60\r\n/i] })],
    ['octets above 127 stay what they are (RFC 9110 5.5)', [lifetime, 'X-Latin: caf\xe9 \xff'], both({ has: /x-latin: caf\xe9 \xff\r\n/i })],
    ['names like those of an object\'s own properties are fields', [lifetime, '__proto__: 1', 'constructor: 2', 'toString: 3', 'hasOwnProperty: 4'], both({ has: [/__proto__: 1\r\n/, /constructor: 2\r\n/, /tostring: 3\r\n/i, /hasownproperty: 4\r\n/i] })],
    ['Connection and what it lists are removed (RFC 9110 7.6.1)', [lifetime, 'Connection: X-Hop, close', 'Connection: x-other', 'X-Hop: 1', 'X-Other: 2', 'X-Kept: 3'], both({ has: /x-kept: 3/i, lacks: /x-hop|x-other/i })],
    ['fields for one connection are removed, listed or not (RFC 9110 7.6.1)', [lifetime, 'Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'TE: gzip', 'Upgrade: foo', 'X-Kept: 1'], both({ has: /x-kept: 1/i, lacks: /\r\n(?:keep-alive|proxy-connection|te|upgrade):/i })],
    ['fields for the proxy MUST NOT be stored (RFC 9111 3.1)', [lifetime, 'Proxy-Authenticate: Basic', 'Proxy-Authentication-Info: x=1', 'Proxy-Authorization: Basic x', 'X-Kept: 1'], both({ has: /x-kept: 1/i, lacks: /\r\nproxy-a/i })],
    ['Connection cannot take away what all recipients need, Cache-Control above all (RFC 9110 7.6.1)', ['Cache-Control: private, max-age=60', 'ETag: "1"', 'Vary: X-A', 'Connection: cache-control, vary, etag, date'], [[0, 'uri-miss private', { has: [/\r\ncache-control: private/i, /\r\nvary: X-A/i, /\r\netag: "1"/i] }], [1, 'uri-miss private']]],
    ['X-Request-Id of the origin server gives way to that of this request', [lifetime, 'X-Request-Id: of-the-origin'], both({ has: /\r\nx-request-id: /i, lacks: /of-the-origin/ })],
    ['Cache-Status of a cache nearer to the origin server is stored, and comes before ours (RFC 9211 2)', [lifetime, 'Cache-Status: inner; hit', 'Cache-Status: middle; fwd=miss'], both({ has: /cache-status: inner; hit, middle; fwd=miss, holdfast; (?:hit|fwd)/i, lacks: /cache-status:[^]*cache-status:/i })],
    ['Content-Range of a whole response is a field like others (RFC 9111 3.1)', [lifetime, 'Content-Range: bytes 0-6/7'], [...both({ has: /content-range: bytes 0-6\/7\r\n/i }), [0, 'hit', { send: ['Range: bytes=1-2'], has: [/^HTTP\/1\.1 206/, /content-range: bytes 1-2\/7\r\n/i], lacks: /0-6/ }], [0, 'hit', { send: ['Range: bytes=1-2,4-4'], has: /^HTTP\/1\.1 206/, lacks: /0-6/ }], [0, 'hit', { send: ['Range: bytes=9-'], has: [/^HTTP\/1\.1 416/, /content-range: bytes \*\/7\r\n/i], lacks: /0-6/ }], [0, 'hit', { send: ['If-None-Match: *'], has: /^HTTP\/1\.1 304/, lacks: /content-range/i }]]],
    ['a 204 has no Content-Length, whatever it says (RFC 9110 8.6)', { raw: `HTTP/1.1 204 No Content\r\n${lifetime}\r\nContent-Length: 5\r\n\r\n` }, [[0, 'uri-miss', { has: /^HTTP\/1\.1 204/, lacks: /content-length/i }]]],
    ['Via is appended (RFC 9110 7.6.3)', [lifetime, 'Via: 1.0 inner'], both({ has: /\r\nvia: 1\.0 inner, 1\.1 holdfast/i })],
    ['Proxy-Status is for everybody and stored (RFC 9209 2)', [lifetime, 'Proxy-Status: inner; details="x"'], both({ has: /proxy-status: inner; details="x"\r\n/i })],
    ['fields named by private are not stored, the rest MAY be (RFC 9111 5.2.2.7)', ['Cache-Control: max-age=60, private="X-One, x-two"', 'X-One: 1', 'X-Two: 2', 'X-Three: 3'], [[0, 'uri-miss', { has: [/x-one: 1/i, /x-two: 2/i] }], [1, 'hit', { has: /x-three: 3/i, lacks: /\r\nx-one:|\r\nx-two:/i }]]],
    ['fields named by no-cache are not used again, the rest MAY be (RFC 9111 5.2.2.4)', ['Cache-Control: max-age=60, no-cache="x-one"', 'X-One: 1', 'X-Three: 3'], [[0, 'uri-miss', { has: /x-one: 1/i }], [1, 'hit', { has: /x-three: 3/i, lacks: /\r\nx-one:/i }]]],
    ['a name without quotes is understood too (RFC 9111 5.2)', ['Cache-Control: max-age=60, private=x-one, no-cache=x-two', 'X-One: 1', 'X-Two: 2'], [[0, 'uri-miss'], [1, 'hit', { lacks: /\r\nx-one:|\r\nx-two:/i }]]],
    ['naming Vary does not make a response fit other requests (RFC 9111 4.1)', ({ count }) => count === 1 ? ['Cache-Control: max-age=1, private="vary"', 'ETag: "1"', 'Vary: X-Kind'] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60, private="vary"\r\n\r\n' }, [[0, 'uri-miss', { send: ['X-Kind: a'] }], [2, 'stale', { send: ['X-Kind: a'] }], [1, 'hit', { send: ['X-Kind: a'] }], [1, 'vary-miss', { send: ['X-Kind: b'] }]]],
    ['a response without Date gets one when it is received (RFC 9110 6.6.1)', [lifetime], both({ has: /\r\ndate: Mon, 01 Jun 2026 1\d:\d\d:\d\d GMT\r\n/i })],
    ['a Date that is there stays, also an invalid one (RFC 9110 6.6.1)', [lifetime, 'Date: yesterday'], both({ has: /\r\ndate: yesterday\r\n/i })],
    ['no field line of the origin server is doubled on a hit', [lifetime, 'ETag: "1"', 'Content-Type: text/plain', 'Last-Modified: Mon, 05 Jan 2026 08:00:00 GMT'], both({ lacks: /\r\n(etag|content-type|content-length|last-modified|date|cache-control|via): [^]*\r\n\1: /i })]
  ])
})

t.test('framing and trailers of the origin server stay at its connection (RFC 9112 6, 7.1.2)', async t => {
  const raw = (fields: readonly string[], body: string): { raw: string } => ({ raw: ['HTTP/1.1 200 OK', lifetime, ...fields, '', body].join('\r\n') })
  const whole: AskOptions = { has: /\r\n\r\ncontent$/, lacks: /\r\ntransfer-encoding:|trailer/i }

  await checkRows(t, [
    ['a chunked response is stored without its chunks, with its length (RFC 9112 7.1)', raw(['Transfer-Encoding: chunked'], '3\r\ncon\r\n4;ext=1\r\ntent\r\n0\r\n\r\n'), [[0, 'uri-miss', { has: /\r\ncon\r\n[^]*tent/, lacks: /ext=1/ }], [1, 'hit', { ...whole, has: /content-length: 7\r\n(?:[^]*\r\n)?\r\ncontent$/i }]]],
    ['trailer fields are discarded and never combined with the header fields (RFC 9111 3.1)', raw(['Transfer-Encoding: chunked', 'Trailer: X-Trailer, Cache-Control'], '7\r\ncontent\r\n0\r\nX-Trailer: 1\r\nCache-Control: no-store\r\n\r\n'), [[0, 'uri-miss', { lacks: /x-trailer|no-store/i }], [1, 'hit', { ...whole, has: [/max-age=60/, /\r\n\r\ncontent$/], lacks: /x-trailer|no-store|\r\ntransfer-encoding:/i }]]]
  ])
})

t.test('a Transfer-Encoding that nobody asked for neither breaks the response nor leaks (RFC 9112 6.1, 6.3)', async t => {
  const codings = ['nonsense', 'abc, chunked', 'chunked, abc', 'identity', 'gzip', '"', 'nonsense\r\nContent-Length: 3']
  const wire = await startWire(t, ({ text, socket }) => {
    const coding = codings[Number(/\/(\d)/.exec(text)?.[1])] as string
    socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: ${coding}\r\n${lifetime}\r\n\r\n${coding.endsWith('chunked') ? '7\r\ncontent\r\n0\r\n\r\n' : 'content'}`)
  })

  for (const [place, coding] of codings.entries()) {
    const first = await wire.ask(`/${place}`)
    const second = await wire.ask(`/${place}`)
    if (coding.includes('Content-Length')) {
      // Two lengths: "ought to be handled as an error" (6.3), and nothing of it is stored.
      t.match(first, /^HTTP\/1\.1 502/, coding)
      t.match(second, /^HTTP\/1\.1 502/, coding)
      continue
    }
    t.match(first, /^HTTP\/1\.1 200[^]*\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ncontent\r\n0\r\n\r\n$/, coding)
    t.equal(outcomeOf(second, false), 'hit', coding)
    t.match(second, /content-length: 7\r\n/)
    t.notMatch(second, /transfer-encoding/i)
    t.equal(bodyOf(second), 'content', coding)
  }
})

t.test('a response cut short is not stored (RFC 9111 3.3, RFC 9112 8)', async t => {
  const wire = await startWire(t, ({ text, socket }) => {
    const framing = text.includes('/length') ? 'Content-Length: 20\r\n\r\ncontent' : 'Transfer-Encoding: chunked\r\n\r\n7\r\ncontent\r\n'
    socket.end(`HTTP/1.1 200 OK\r\n${lifetime}\r\n${framing}`)
  })
  for (const path of ['/length', '/chunked']) {
    for (let again = 0; again < 2; again++) t.equal(outcomeOf(await wire.ask(path), false), 'uri-miss', path)
  }
  t.equal(wire.proxy.control.stats().cache.entries, 0)
})

t.test('a response without length or chunks that ends with a reset is neither whole nor stored (RFC 9112 8, RFC 9111 3.3)', async t => {
  const wire = await startWire(t, ({ text, socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\n${lifetime}\r\nConnection: close\r\n\r\ncontent`)
    // What is written leaves first; a client that has it all has no part in when the end comes.
    setTimeout(() => { if (text.includes('/reset')) socket.resetAndDestroy(); else socket.end() }, 50)
  })
  const cut = await wire.ask('/reset')
  t.match(cut, /\r\n7\r\ncontent\r\n$/, 'without the last chunk')
  t.equal(outcomeOf(await wire.ask('/reset'), false), 'uri-miss')
  t.equal(wire.proxy.control.stats().cache.entries, 0)
  t.equal(wire.proxy.control.stats().upstreams['default']?.errors['upstream_reset'], 2)

  t.match(await wire.ask('/end'), /\r\n7\r\ncontent\r\n0\r\n\r\n$/)
  t.equal(outcomeOf(await wire.ask('/end'), false), 'hit')
})

t.test('interim responses are forwarded when they come, all of them, and never replayed (RFC 9110 15.2, RFC 9111 3)', async t => {
  let finish = (): void => {}
  const wire = await startWire(t, ({ socket }) => {
    socket.write([
      'HTTP/1.1 102 Processing\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload, </b.js>; rel=preload\r\nX-Hint: 1\r\nConnection: x-hop\r\nX-Hop: 1\r\nCache-Control: max-age=60\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nContent-Security-Policy: style-src: self\r\n\r\n',
      'HTTP/1.1 104 Upload Resumption Supported\r\nLocation: /up\r\n\r\n',
      'HTTP/1.1 199 Miscellaneous\r\nX-A: 1\r\nX-A: caf\xe9\r\n\r\n'
    ].join(''), 'latin1')
    finish = () => { socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 7\r\n${lifetime}\r\n\r\ncontent`) }
  })
  const socket = openSocket(wire.proxy.port)
  let seen = ''
  socket.on('data', chunk => { seen += chunk.toString('latin1') })
  socket.write('GET / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n')

  await until(() => seen.includes('HTTP/1.1 199'))
  t.notMatch(seen, /HTTP\/1\.1 200/, 'they did not wait for the final response')
  finish()
  await until(() => seen.endsWith('content'))
  const heads = seen.split('\r\n\r\n')
  t.strictSame(heads.map(head => /^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), ['102', '103', '103', '104', '199', '200', undefined])
  t.match(heads[1], /\r\nlink: <\/a\.css>; rel=preload, <\/b\.js>; rel=preload/i)
  t.match(heads[1], /x-hint: 1/i)
  t.notMatch(heads[1], /hop/i, 'what is for one connection stays there (RFC 9110 7.6.1)')
  t.match(heads[2], /content-security-policy: style-src: self/i)
  t.match(heads[4], /x-a: 1\r\nx-a: caf\xe9/i)
  t.notMatch(heads[5], /\r\n(?:x-hint|x-a|link):/i, 'and are no part of the final response')

  const hit = await wire.ask('/')
  t.equal(outcomeOf(hit, false), 'hit')
  t.match(hit, /^HTTP\/1\.1 200/)
  t.notMatch(hit, /\r\n(?:x-hint|x-a|link):|HTTP\/1\.1 1/i)
  t.equal(wire.origin.requests.length, 1)
})

t.test('an HTTP/1.0 client gets no interim response (RFC 9110 15.2)', async t => {
  const wire = await startWire(t, () => `HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n${lifetime}\r\n\r\ncontent`)
  t.match(await talk(wire.proxy.port, 'GET / HTTP/1.0\r\nHost: proxy.test\r\n\r\n'), /^HTTP\/1\.[01] 200/)
})

t.test('a client that does not read them is not sent interim responses without end (RFC 9110 15.2)', async t => {
  const interim = `HTTP/1.1 103 Early Hints\r\nX-A: ${'a'.repeat(16_000)}\r\n\r\n`
  let sent = 0
  let finished = false
  const wire = await startWire(t, ({ socket }) => {
    const more = (): void => {
      while (sent < 40_000_000) {
        sent += interim.length
        if (!socket.write(interim)) return
      }
      if (finished) return
      finished = true
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 7\r\n${lifetime}\r\n\r\ncontent`)
    }
    socket.on('drain', more)
    more()
  })
  const socket = openSocket(wire.proxy.port)
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n')
  // The whole exchange is over, although the client has read nothing yet.
  await until(() => wire.proxy.control.stats().cache.entries === 1)

  let seen = 0
  let end = ''
  socket.on('data', chunk => {
    seen += chunk.length
    end = (end + chunk.toString('latin1')).slice(-1000)
  })
  socket.resume()
  await until(() => end.endsWith('content'))
  t.ok(seen < sent / 2, `${seen} of ${sent} octets`)
})
