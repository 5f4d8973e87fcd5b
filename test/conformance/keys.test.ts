/** RFC 9111 section 2: the cache key, which responses are stored by which method, and disconnection. */
import t from 'tap'
import { bodyOf, checkRows, outcomeOf, rfc9111, startWire, type Row } from '../fixtures/conformance.ts'
import { get, talk } from '../fixtures/proxy.ts'

const lifetime = 'Cache-Control: max-age=60'
const whole = (text: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n${lifetime}\r\n\r\n${text}`

t.test('the key is the target URI: what differs anywhere has a response of its own (RFC 9111 2, 4)', async t => {
  const wire = await startWire(t, ({ text }) => whole(`for ${text.split(' ')[1]} of ${/\r\nX-Forwarded-Host: ([^\r]*)/i.exec(text)?.[1]}`))
  const targets = ['/', '//', '/a', '/A', '/a/', '/a//b', '/a/b', '/a?', '/a?b', '/a?b=', '/a?b&c', '/a?c&b', '/a?B', '/a?b%20', '/a%2Fb', '/a;b', '/a,b', '/%3F', '/%C3%A9', '/constructor', '/__proto__']
  for (const round of ['uri-miss', 'hit']) {
    for (const target of targets) {
      const answer = await wire.ask(target)
      t.equal(outcomeOf(answer, false), round, target)
      t.match(bodyOf(answer), `for ${target} `, target)
    }
  }
  t.equal(wire.origin.requests.length, targets.length)
})

t.test('spellings of one URI are one key (RFC 3986 6.2.2, RFC 9110 4.2.3)', async t => {
  const wire = await startWire(t, () => whole('content'))
  const same = [
    get('/a%7eb'), get('/a~b'), get('/./a~b'), get('/x/../a~b'), get('/a%7Eb'), get('http://proxy.test/a~b'), get('http://PROXY.test:80/a~b'), get('/a~b').replace('proxy.test', 'Proxy.TEST'), get('/a~b').replace('proxy.test', 'proxy.test:80')
  ]
  for (const [place, request] of same.entries()) t.equal(outcomeOf(await talk(wire.proxy.port, request), false), place === 0 ? 'uri-miss' : 'hit', request.slice(0, 60))
  t.equal(wire.origin.requests.length, 1)
})

t.test('hosts and ports do not share responses (RFC 9111 2)', async t => {
  const wire = await startWire(t, () => whole('content'))
  const hosts = ['a.test', 'b.test', 'a.test:8080', 'a.test.evil', '[::1]']
  for (const round of ['uri-miss', 'hit']) {
    for (const host of hosts) t.equal(outcomeOf(await talk(wire.proxy.port, get('/').replace('proxy.test', host)), false), round, host)
  }
})

t.test('the connection says what the scheme is, also beside an absolute form (docs/conformance.md)', async t => {
  const wire = await startWire(t, () => whole('content'))
  const absolute = get('/').replace('/ HTTP', 'https://proxy.test/ HTTP')
  t.equal(outcomeOf(await talk(wire.proxy.port, absolute), false), 'uri-miss')
  t.match(wire.origin.requests[0], /\r\nx-forwarded-proto: http\r\n/i, 'the origin server is told the same')
  t.equal(outcomeOf(await wire.ask('/'), false), 'hit')
})

t.test('methods (RFC 9111 2, 3, 4)', async t => {
  const post = { method: 'POST', send: ['Content-Length: 0'] }
  const own = (extra: readonly string[] = [lifetime], status = '200 OK'): Row[1] => ({ text }) => ({ status, fields: [...extra, `Content-Location: ${text.split(' ')[1]}`] })
  await checkRows(t, [
    ['a response to GET answers GET and HEAD (RFC 9111 2, RFC 9110 9.3.2)', [lifetime, 'X-A: 1'], [[0, 'uri-miss'], [0, 'hit'], [0, 'hit', { method: 'HEAD', has: [/content-length: 7\r\n/i, /x-a: 1/i, /\r\n\r\n$/] }]]],
    ['a response to GET answers no other method: unsafe ones MUST be written through (RFC 9111 4)', [lifetime], [[0, 'uri-miss'], [0, 'method', post], [0, 'uri-miss'], [0, 'method', { method: 'OPTIONS' }], [0, 'hit']]],
    ['a response to POST with a lifetime and its own Content-Location answers later GETs (RFC 9110 9.3.3)', own(), [[0, 'method', post], [1, 'hit'], [0, 'hit', { method: 'HEAD' }], [0, 'method', post]]],
    ['a response to POST without a lifetime is not stored (RFC 9110 9.3.3)', own(['ETag: "1"', 'Last-Modified: Mon, 05 Jan 2026 08:00:00 GMT']), [[0, 'method', post], [0, 'uri-miss']]],
    ['a response to POST about another URI is not stored (RFC 9110 9.3.3)', [lifetime, 'Content-Location: /other'], [[0, 'method', post], [0, 'uri-miss']]],
    ['a response to POST about nothing is not stored (RFC 9110 9.3.3)', [lifetime], [[0, 'method', post], [0, 'uri-miss']]],
    ['an error in response to POST is not stored (RFC 9110 9.3.3)', own([lifetime], '404 Not Found'), [[0, 'method', post], [0, 'uri-miss']]],
    ['a response to POST obeys no-store (RFC 9111 5.2.2.5)', own([`${lifetime}, no-store`]), [[0, 'method', post], [0, 'uri-miss']]],
    ['a response to POST obeys private (RFC 9111 5.2.2.7)', own([`${lifetime}, private`]), [[0, 'method', post], [0, 'uri-miss']]],
    ['a response to POST with Authorization obeys 3.5', own(), [[0, 'method', { method: 'POST', send: ['Content-Length: 0', 'Authorization: Basic dTpw'] }], [0, 'uri-miss']]],
    ['a GET with content bypasses the store, whose key does not tell contents apart (RFC 9110 9.3.1)', [lifetime], [[0, 'bypass request-content', { send: ['Content-Length: 1', '', 'x'] }], [0, 'uri-miss'], [0, 'bypass request-content', { send: ['Content-Length: 1', '', 'y'] }]]]
  ])
})

t.test('redirects and negative results may be stored (RFC 9111 2)', async t => {
  await checkRows(t, [301, 302, 303, 307, 308, 404, 410].map((code): Row => [`${code}`, { status: `${code} Said`, fields: [lifetime, 'Location: /elsewhere'] }, [[0, 'uri-miss'], [59, 'hit', { has: /location: \/elsewhere/i }], [1, 'no hit']]]))
})

t.test('a cache that is off stores and reuses nothing, which RFC 9111 2 allows', async t => {
  await checkRows(t, [['every request is forwarded', [lifetime], [[0, 'bypass cache-off'], [0, 'bypass cache-off']]]], { route: { cache: { enabled: false } } })
})

t.test('the default profile merges slashes, the standard\'s does not (RFC 3986 6.2.2)', async t => {
  for (const [settings, outcome] of [[rfc9111, 'uri-miss'], [{}, 'hit']] as const) {
    const wire = await startWire(t, () => whole('content'), settings)
    await wire.ask('/a/b')
    t.equal(outcomeOf(await wire.ask('/a//b'), false), outcome)
  }
})
