/** What the proxy makes of request targets and hosts; numbers are those of traps.test.ts. */
import t from 'tap'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])

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

t.test('slashes are one wherever they stand, also in front', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)
  const exact = await startProxy(t, origin.url, { server: { mergeSlashes: false } })

  for (const [path, merged] of [['//a', '/a'], ['///a//b//', '/a/b/'], ['/a//b', '/a/b'], ['//', '/']] as const) {
    await talk(proxy.port, get(path))
    t.ok(origin.requests.at(-1)?.startsWith(`GET ${merged} HTTP/1.1\r\n`), path)
    await talk(exact.port, get(path))
    t.ok(origin.requests.at(-1)?.startsWith(`GET ${path} HTTP/1.1\r\n`), path)
  }
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
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a,b\r\n\r\n'
  ]) t.equal(status(await talk(proxy.port, request, /"code"[^]*\}/)), 400, request.slice(0, 40))

  // Its framing cannot be relied on: what follows is not read (RFC 9112 6.1).
  const answers = await talk(proxy.port, `POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get('/')}`)
  t.match(answers, /^HTTP\/1\.1 400 (?![^]*HTTP\/1\.1)/)
  t.equal(origin.requests.length, 0)
})

t.test('29: Max-Forwards counts, and a loop is seen', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)

  t.equal(status(await talk(proxy.port, get('/', ['Max-Forwards: 0']).replace('GET', 'OPTIONS'))), 204)
  t.equal(origin.requests.length, 0)
  await talk(proxy.port, get('/', ['Max-Forwards: 3']).replace('GET', 'OPTIONS'))
  t.match(origin.requests[0], 'max-forwards: 2')

  // RFC 9110 7.6.2: the least of what is left and what is supported, however it is written.
  for (const [received, sent] of [['003', '2'], ['99999999999', '2147483647'], [`1${'0'.repeat(400)}`, '2147483647'], ['-1', '-1'], ['2, 1', '2, 1']] as const) {
    await talk(proxy.port, get('/', [`Max-Forwards: ${received}`]).replace('GET', 'TRACE'))
    t.match(origin.requests.at(-1), new RegExp(`\r\nmax-forwards: ${sent}\r\n`), received)
  }
  const { length } = origin.requests
  for (const zero of ['00', '0'.repeat(20)]) t.equal(status(await talk(proxy.port, get('/', [`Max-Forwards: ${zero}`]).replace('GET', 'TRACE'))), 200, zero)
  t.equal(origin.requests.length, length, 'zero is answered here')

  const via = /via: 1\.1 (holdfast-[0-9a-f]+)/.exec(origin.requests[0] as string)?.[1] as string
  t.equal(status(await talk(proxy.port, get('/', [`Via: 1.1 ${via}`]))), 508)
})
