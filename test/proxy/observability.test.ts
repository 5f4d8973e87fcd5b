import { Writable } from 'node:stream'
import pino from 'pino'
import t, { type Test } from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { digest } from '../fixtures/auth.ts'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'
import type { AddressInfo } from 'node:net'

t.test('random URLs, hosts and methods make no new series', async t => {
  const origin = await startRawOrigin(t, () => response('x', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url)
  const methods = ['GET', 'M-SEARCH', 'PROPFIND', 'PURGE', 'POST']
  const send = (i: number): Promise<string> => talk(proxy.port, get(`/${i}?${i}`).replace('GET', methods[i % methods.length] as string).replace('proxy.test', `h${i}.test`))
  const series = async (): Promise<number> => (await proxy.metrics.metrics()).split('\n').filter(line => line.startsWith('holdfast_')).length
  for (let i = 0; i < 20; i++) await send(i)
  const before = await series()

  for (let i = 20; i < 320; i++) await send(i)

  t.equal(await series(), before)
  t.match(await proxy.metrics.metrics(), /holdfast_http_requests_total\{route="default",method="other",status_class="2xx",cache="bypass"\} \d+/)
})

t.test('outcomes and upstream errors are counted', async t => {
  const origin = await startRawOrigin(t, ({ text, socket }) => {
    if (!text.startsWith('GET /broken')) return response('x', ['Cache-Control: max-age=60'])
    socket.destroy()
    return undefined
  })
  const proxy = await startProxy(t, origin.url)
  for (const path of ['/a', '/a', '/a', '/broken']) await talk(proxy.port, get(path))
  await talk(proxy.port, 'GET /bad%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')

  const text = await proxy.metrics.metrics()
  for (const line of [
    'holdfast_cache_hits_total 2', 'holdfast_cache_misses_total 2', 'holdfast_cache_entries 1',
    'holdfast_http_requests_total{route="default",method="GET",status_class="2xx",cache="hit"} 2',
    'holdfast_http_requests_total{route="default",method="GET",status_class="5xx",cache="miss"} 1',
    'holdfast_http_requests_total{route="(none)",method="GET",status_class="4xx",cache="none"} 1',
    'holdfast_upstream_errors_total{upstream="default",code="upstream_reset"} 1'
  ]) t.ok(text.split('\n').includes(line), line)
})

async function logged (t: Test, origin: string, route: object = {}) {
  const lines: Array<Record<string, unknown>> = []
  const logger = pino({}, new Writable({ write (chunk: Buffer, _encoding, done) { lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>); done() } }))
  const config = resolveConfig({ admin: { enabled: false }, upstreams: { default: { targets: [origin] } }, routes: [{ name: 'all', upstream: 'default', ...route }] })
  const listener = await createProxyListener({ config, logger: logger as never, tls: null })
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => listener.app.close())
  return { lines, port: (listener.app.server.address() as AddressInfo).port, requests: () => lines.filter(line => line['msg'] === 'request'), all: () => JSON.stringify(lines), metrics: () => listener.metrics.metrics() }
}

t.test('one line per request, without anything that may be secret', async t => {
  const origin = await startRawOrigin(t, () => response('body', ['Cache-Control: public, max-age=60', 'Set-Cookie: secret-4']))
  const { port, requests, all } = await logged(t, origin.url)

  const answer = await talk(port, get('/page?token=secret-1', ['Authorization: Bearer secret-2', 'Cookie: secret-3', 'X-Request-Id: my-id', 'traceparent: 00-1-2-03']))
  await talk(port, get('/bad\\'))
  await until(() => requests().length === 2)

  t.match(requests()[0], { reqId: 'my-id', method: 'GET', path: '/page', route: 'all', status: 200, cache: 'miss', reason: 'set-cookie', client: '127.0.0.1', http: '1.1', bytes: 4, upstream: 'default', target: origin.url })
  for (const name of ['durationMs', 'upstreamMs']) t.type(requests()[0]?.[name], 'number')
  t.match(requests()[1], { status: 400, code: 'bad_target', cache: 'none' })
  t.notMatch(all(), /secret-\d/)
  t.match(answer, 'x-request-id: my-id')
  t.match(origin.requests[0], 'x-request-id: my-id')
  t.match(origin.requests[0], 'traceparent: 00-1-2-03')
})

t.test('a failure of the upstream has one line, which names the request, and no stack', async t => {
  const { lines, port } = await logged(t, 'http://127.0.0.1:1')
  t.match(await talk(port, get('/a')), /^HTTP\/1\.1 502 /)
  await until(() => lines.some(line => line['msg'] === 'request'))

  t.match(lines.filter(line => line['level'] as number > 30), [{ msg: 'upstream failed', reqId: /./, upstream: 'default', target: 'http://127.0.0.1:1', code: 'upstream_unreachable' }])
  t.notMatch(JSON.stringify(lines), /stack/)
  t.match(lines.at(-1), { msg: 'request', upstream: 'default', target: 'http://127.0.0.1:1', code: 'upstream_unreachable' })
})

t.test('the line names who asked, where authentication found out', async t => {
  const origin = await startRawOrigin(t, () => response('body'))
  const { port, requests } = await logged(t, origin.url, { auth: { apiKeys: { keys: [{ name: 'shop', hash: digest('one') }] } } })

  await talk(port, get('/', ['X-Api-Key: one']))
  await talk(port, get('/', ['X-Api-Key: two']))
  await until(() => requests().length === 2)

  t.match(requests()[0], { status: 200, subject: 'shop' })
  t.equal(requests()[1]?.['status'], 401)
  t.notOk('subject' in (requests()[1] as object))
})

t.test('what the cache holds and drops, and what the upstream costs, is counted', async t => {
  const origin = await startRawOrigin(t, ({ text, count }) => text.startsWith('GET /stale')
    ? count === 1 ? response('x', ['Cache-Control: max-age=0, stale-if-error=60']) : response('gone', [], '500 No')
    : response('x'.repeat(3000), ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { cache: { maxBytes: '16KiB', maxResponseBytes: '16KiB' }, route: { cache: { quota: 0.5 } } })
  for (const path of ['/stale', '/stale', ...Array.from({ length: 8 }, (_, i) => `/${i}`)]) await talk(proxy.port, get(path))

  const text = await proxy.metrics.metrics()
  t.match(text, /^holdfast_cache_stale_total 1$/m)
  t.match(text, /^holdfast_cache_evictions_total [1-9]/m)
  t.match(text, /^holdfast_cache_entries [1-9]$/m)
  t.match(text, /^holdfast_upstream_requests_total\{upstream="default"\} 10$/m)
  t.match(text, /^holdfast_upstream_duration_seconds_count\{upstream="default"\} 10$/m)
  t.match(text, /^holdfast_upstream_open_sockets\{upstream="default"\} 1$/m)
  t.match(text, /^holdfast_http_request_duration_seconds_count\{route="default",method="GET",status_class="2xx",cache="miss"\} 9$/m)
  t.match(text, /^holdfast_cache_evictions_by_cause_total\{cause="quota"\} [1-9]/m)
  t.match(text, /^holdfast_cache_evictions_by_cause_total\{cause="room"\} 0$/m)
  t.match(text, /^holdfast_cache_rule_in_force\{rule="s3-fifo-eager"\} 1$/m)
  t.match(text, /^holdfast_cache_rule_hit_ratio\{rule="lru"\} 0$/m)
  t.match(text, /^holdfast_cache_policy_bytes [1-9]/m)
  t.match(text, /^holdfast_cache_ghosts \d+$/m)
  t.equal(/^holdfast_cache_route_bytes\{route="default"\} (\d+)$/m.exec(text)?.[1], /^holdfast_cache_bytes (\d+)$/m.exec(text)?.[1])
  t.match(text, /^holdfast_cache_route_quota_bytes\{route="default"\} 8192$/m)
  t.match(text, /^holdfast_cache_recordings 0$/m)
  t.match(proxy.control.stats().cache.memory, { routes: { default: { hits: 0, quotaBytes: 8192 } } })
  const bytes = Number(/^holdfast_cache_bytes (\d+)$/m.exec(text)?.[1])
  t.ok(bytes > 3000 && bytes <= 16_384)
})

t.test('a client that left is marked, and a harmful request id is replaced', async t => {
  const origin = await startRawOrigin(t, () => {})
  const { port, requests } = await logged(t, origin.url)

  const client = openSocket(port)
  client.write(get('/', ['X-Request-Id: {"evil": 1}']))
  await until(() => origin.requests.length === 1)
  client.destroy()
  await until(() => requests().length === 1)

  t.match(requests()[0], { aborted: true, code: 'cancelled' })
  t.match(requests()[0]?.['reqId'], /^[\w-]+$/)
})

t.test('what is refused behind other requests of a connection has a line of its own, once, and is counted', async t => {
  const origin = await startRawOrigin(t, ({ text }) => text.startsWith('GET /begun') ? 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf' : text.startsWith('GET /slow') ? undefined : response('x', ['Cache-Control: max-age=60']))
  const { port, requests, metrics } = await logged(t, origin.url)
  const whole = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: proxy.test\r\n\r\n`
  await talk(port, get('/stored'))

  for (const [title, octets, codes] of [
    ['behind a hit', `${whole('/stored')}nonsense\r\n\r\n`, [undefined, 'bad_request']],
    ['behind a miss', `${whole('/a')}nonsense\r\n\r\n`, [undefined, 'bad_request']],
    ['behind several', `${whole('/b')}${whole('/stored')}${whole('/c')}nonsense\r\n\r\n`, [undefined, undefined, undefined, 'bad_request']],
    ['too many fields', `${whole('/d')}GET / HTTP/1.1\r\nX: ${'x'.repeat(100_000)}`, [undefined, 'too_many_fields']],
    ['nothing in front', 'nonsense\r\n\r\n', ['bad_request']],
    ['content', 'POST / HTTP/1.1\r\nHost: proxy.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n', ['bad_request']],
    ['behind the last one', `${get('/e')}nonsense\r\n\r\n`, [undefined]]
  ] as const) {
    const before = requests().length
    const client = openSocket(port)
    client.on('error', () => {}).resume().write(octets)
    await until(() => client.destroyed)
    client.destroy()
    await until(() => requests().length >= before + codes.length)
    await talk(port, get('/stored'))
    t.same(requests().slice(before, -1).map(line => line['code']).sort(), [...codes].sort(), title)
  }

  const broken = openSocket(port)
  let seen = ''
  broken.on('error', () => {}).on('data', chunk => { seen += chunk.toString('latin1') })
  const before = requests().length
  broken.write(`${whole('/begun').replace('\r\n\r\n', '\r\nTransfer-Encoding: chunked\r\n\r\n')}5\r\nhello\r\n`)
  await until(() => seen.endsWith('half'))
  broken.write('nonsense\r\n')
  await until(() => requests().length > before)
  t.match(requests().at(-1), { status: 200, code: 'bad_request', aborted: true }, 'whose response is cut off by what it sends has not just left')

  let counted = 0
  for (const [, count] of (await metrics()).matchAll(/^holdfast_http_requests_total\{.*\} (\d+)$/gm)) counted += Number(count)
  t.equal(counted, requests().length)
})

t.test('every request has its line and its count, also where a client pipelined several, left in between, or was refused', async t => {
  const origin = await startRawOrigin(t, ({ text, socket }) => { if (text.startsWith('GET /half')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf') })
  const { port, requests, metrics } = await logged(t, origin.url)

  const impatient = openSocket(port)
  impatient.write('GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n')
  await until(() => origin.requests.length === 2)
  impatient.destroy()
  await until(() => origin.open === 0)
  t.match(await talk(port, get('/half'), /half$/), / 200 /)
  for (const fields of [['Expect: miracles'], ['Transfer-Encoding: identity'], ['Host: b'], Array.from({ length: 101 }, () => 'X: 1')]) await talk(port, get('/', fields))
  await talk(port, 'hello\r\n\r\n')
  await talk(port, 'GET / HTTP/1.1\r\n\r\n')
  await until(() => requests().length === 9)

  t.same(requests().map(line => line['status']).sort(), [200, 400, 400, 400, 400, 417, 431, 499, 499])
  t.same(requests().filter(line => line['aborted'] === true).map(line => [line['status'], line['code']]).sort(), [[200, 'cancelled'], [499, 'cancelled'], [499, 'cancelled']])
  let counted = 0
  for (const [, count] of (await metrics()).matchAll(/^holdfast_http_requests_total\{.*\} (\d+)$/gm)) counted += Number(count)
  t.equal(counted, 9)
})
