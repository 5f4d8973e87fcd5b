import cors from '@fastify/cors'
import { createHash } from 'node:crypto'
import Fastify from 'fastify'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import { parseOriginPattern } from '../../src/access/cors.ts'
import { ConfigError, resolveConfig } from '../../src/config/load.ts'
import { holdfast } from '../../src/index.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { createTlsContexts } from '../../src/server/tls.ts'
import { get, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const fresh = ['Cache-Control: max-age=60']
const digest = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
const statusOf = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const linesOf = (text: string, name: string): string[] => [...text.matchAll(new RegExp(`\r\n${name}: ([^\r]*)`, 'gi'))].map(([, value]) => value as string)
const from = (address: string): string[] => [`X-Forwarded-For: ${address}`]
const request = (method: string, path: string, fields: readonly string[] = []): string => get(path, fields).replace('GET', method)
const trusting = { trustedProxies: ['loopback'] }

t.test('addresses that are denied, or not allowed, get 403 and nothing else happens', async t => {
  const origin = await startRawOrigin(t, () => response('stored', fresh))
  const proxy = await startProxy(t, origin.url, {
    server: trusting,
    access: { deny: ['192.0.2.66'] },
    route: { access: { allow: ['192.0.2.0/24', '2001:db8::/32', '198.51.100.7'], deny: ['192.0.2.128/25', '2001:db8:bad::/48'] }, rateLimit: { max: 5 } }
  })
  const rows: Array<[string, number]> = [
    ['192.0.2.1', 200], ['198.51.100.7', 200], ['2001:db8::1', 200], ['::ffff:192.0.2.2', 200],
    ['192.0.2.66', 403], ['192.0.2.129', 403], ['198.51.100.8', 403], ['2001:db8:bad::1', 403], ['2001:db9::1', 403], ['127.0.0.1', 403]
  ]

  for (const [address, status] of rows) {
    const answer = await talk(proxy.port, get('/', from(address)))
    t.equal(statusOf(answer), status, address)
    if (status === 403) {
      t.match(answer, '"code":"forbidden"')
      t.notMatch(answer, /stored|ratelimit/i, 'neither looked up nor counted')
    }
  }
  t.equal(origin.requests.length, 1)
})

t.test('an address is what the connection says, unless a trusted proxy says another', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { route: { access: { allow: ['192.0.2.1'] } } })
  const open = await startProxy(t, origin.url, { route: { access: { allow: ['loopback'] } } })

  t.equal(statusOf(await talk(proxy.port, get('/', from('192.0.2.1')))), 403)
  t.equal(statusOf(await talk(open.port, get('/', from('192.0.2.1')))), 200)
})

t.test('methods that are not on the list get 405 with those that are (RFC 9110 15.5.6)', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { access: { methods: ['GET', 'HEAD', 'POST'] }, route: { access: { methods: ['GET', 'POST'] } } })

  t.equal(statusOf(await talk(proxy.port, get('/'))), 200)
  const refused = await talk(proxy.port, request('HEAD', '/'))
  t.equal(statusOf(refused), 405)
  t.same(linesOf(refused, 'allow'), ['GET, POST'])
  const everywhere = await talk(proxy.port, request('DELETE', '/'))
  t.same([statusOf(everywhere), linesOf(everywhere, 'allow')], [405, ['GET, HEAD, POST']])
  t.match(everywhere, '"code":"method_not_allowed"')
  t.equal(origin.requests.length, 1)
})

t.test('hosts that this proxy does not answer for get 421 (RFC 9110 15.5.20)', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { access: { hosts: ['example.com', '*.Example.org', '[::1]'] } })
  const rows: Array<[string, number]> = [
    ['example.com', 200], ['EXAMPLE.com:8080', 200], ['example.com.', 200], ['a.b.example.org', 200], ['[0:0::1]:80', 200],
    ['a.example.com', 421], ['example.org', 421], ['badexample.org', 421], ['.example.org', 400], ['127.0.0.1', 421]
  ]

  for (const [host, status] of rows) t.equal(statusOf(await talk(proxy.port, get('/').replace('proxy.test', host))), status, host)
  t.equal(statusOf(await talk(proxy.port, 'GET / HTTP/1.0\r\n\r\n')), 421, 'none at all')
  t.equal(statusOf(await talk(proxy.port, get('http://a.example.com/').replace('proxy.test', 'example.com'))), 421, 'the authority of an absolute form counts')
  t.match(await talk(proxy.port, get('/')), '"code":"misdirected"')
})

t.test('a PURGE follows its own list of addresses', async t => {
  const origin = await startRawOrigin(t, () => response('ok', fresh))
  const proxy = await startProxy(t, origin.url, { server: trusting, route: { access: { allow: ['192.0.2.1'], methods: ['GET'], hosts: ['proxy.test'] }, purge: { allow: ['198.51.100.1'] } } })

  t.equal(statusOf(await talk(proxy.port, request('PURGE', '/', from('198.51.100.1')))), 200)
  t.match(await talk(proxy.port, request('PURGE', '/', from('192.0.2.1'))), '"code":"purge_not_allowed"')
  t.equal(statusOf(await talk(proxy.port, request('PURGE', '/', from('198.51.100.1')).replace('proxy.test', 'a.test'))), 421)

  const without = await startProxy(t, origin.url, { route: { access: { deny: ['loopback'] } } })
  t.match(await talk(without.port, request('PURGE', '/')), '"code":"forbidden"', 'where there is none it is a request like any other')
})

t.test('a reload puts lists in force, those of all routes as well', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url)
  const { config } = proxy.control
  t.equal(statusOf(await talk(proxy.port, get('/'))), 200)

  const { changed } = await proxy.control.reload({ ...config, access: { allow: [], deny: ['loopback'] } })

  t.same(changed, ['access'])
  t.equal(statusOf(await talk(proxy.port, get('/'))), 403)
})

const corsRoute = { origins: ['https://a.test', 'https://*.b.test'] }
const origin = (name: string): string[] => [`Origin: https://${name}`]
const preflight = (name: string, ...more: string[]): string => request('OPTIONS', '/', [...origin(name), 'Access-Control-Request-Method: PUT', ...more])

t.test('a stored response goes to each origin with the permission for that one, and Vary: Origin', async t => {
  const upstream = await startRawOrigin(t, () => response('ok', [...fresh, 'Vary: Accept-Encoding', 'Access-Control-Allow-Origin: https://first.test', 'ETag: "1"']))
  const proxy = await startProxy(t, upstream.url, { route: { cors: corsRoute } })
  const rows: Array<[fields: string[], allowed: string[], status: number]> = [
    [origin('a.test'), ['https://a.test'], 200],
    [origin('x.b.test'), ['https://x.b.test'], 200],
    [origin('a.test'), ['https://a.test'], 200],
    [origin('evil.test'), [], 200],
    [[], [], 200],
    [[...origin('x.y.b.test'), 'If-None-Match: "1"'], ['https://x.y.b.test'], 304],
    [[...origin('a.test'), 'Range: bytes=0-0'], ['https://a.test'], 206],
    [[...origin('b.test')], [], 200]
  ]

  for (const [index, [fields, allowed, status]] of rows.entries()) {
    const answer = await talk(proxy.port, get('/', fields))
    t.equal(statusOf(answer), status)
    t.same(linesOf(answer, 'access-control-allow-origin'), allowed, fields.join())
    t.same(linesOf(answer, 'vary').join(', ').toLowerCase().split(', ').sort(), ['accept-encoding', 'origin'], fields.join())
    t.match(answer, index === 0 ? /fwd=uri-miss/ : /; hit/)
  }
  t.equal(upstream.requests.length, 1)
})

t.test('also where the response goes through hooks of the application, which may have @fastify/cors for itself', async t => {
  const upstream = await startRawOrigin(t, () => response('ok', [...fresh, 'Vary: Accept-Encoding', 'Access-Control-Allow-Origin: *']))
  const app = Fastify()
  await app.register(async inner => {
    await inner.register(cors, { origin: 'https://own.test' })
    inner.get('/own', async () => 'own')
  })
  app.addHook('onSend', async () => {})
  const config = { upstreams: { default: { targets: [upstream.url] } }, routes: [{ name: 'all', upstream: 'default', cors: corsRoute }] }
  await app.register(holdfast, { prefix: '/p', config })
  await app.register(holdfast, { prefix: '/q', config })
  t.teardown(() => app.close())

  for (const name of ['a.test', 'x.b.test', 'a.test']) {
    const answer = await app.inject({ url: '/p/', headers: { origin: `https://${name}` } })
    t.equal(answer.headers['access-control-allow-origin'], `https://${name}`)
    t.same(String(answer.headers['vary']).toLowerCase().split(/,\s*/).sort(), ['accept-encoding', 'origin'])
  }
  t.equal((await app.inject({ url: '/own', headers: { origin: 'https://a.test' } })).headers['access-control-allow-origin'], 'https://own.test')
  t.equal((await app.inject({ method: 'OPTIONS', url: '/q/', headers: { origin: 'https://a.test', 'access-control-request-method': 'GET' } })).statusCode, 200)
})

t.test('those who wait for the same response each get the permission for their own origin', async t => {
  const held: Array<() => void> = []
  const upstream = await startRawOrigin(t, ({ socket }) => { held.push(() => { socket.write(response('ok', fresh)) }) })
  const proxy = await startProxy(t, upstream.url, { route: { cors: corsRoute } })
  const names = ['a.test', 'x.b.test', 'y.b.test']
  const asked = Promise.all(names.map(name => talk(proxy.port, get('/', origin(name)))))
  await until(() => held.length === 1)
  await talk(proxy.port, get('/', ['Cache-Control: only-if-cached']))

  held[0]?.()
  for (const [index, answer] of (await asked).entries()) t.same(linesOf(answer, 'access-control-allow-origin'), [`https://${names[index]}`])
})

t.test('a preflight is answered before methods, limits and credentials are looked at, and never forwarded', async t => {
  const upstream = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, upstream.url, {
    route: {
      access: { methods: ['GET', 'PUT'] },
      auth: { apiKeys: { keys: [digest('key')] } },
      rateLimit: { max: 1 },
      cors: { ...corsRoute, methods: ['GET', 'PUT'], credentials: true, exposedFields: ['X-Total', 'ratelimit'], maxAge: '10m' }
    }
  })

  for (let i = 0; i < 3; i++) {
    const answer = await talk(proxy.port, preflight('a.test', 'Access-Control-Request-Headers: x-api-key'))
    t.equal(statusOf(answer), 200)
    for (const [name, value] of [['origin', 'https://a.test'], ['methods', 'GET, PUT'], ['headers', 'x-api-key'], ['credentials', 'true']]) t.same(linesOf(answer, `access-control-allow-${name}`), [value])
    t.same(linesOf(answer, 'access-control-max-age'), ['600'])
    t.same(linesOf(answer, 'content-length'), ['0'])
    t.match(answer, /\r\nx-request-id: /i)
  }
  t.same(linesOf(await talk(proxy.port, preflight('evil.test')), 'access-control-allow-origin'), [])
  const unauthorized = await talk(proxy.port, get('/', origin('a.test')))
  t.equal(statusOf(unauthorized), 401)
  t.same(linesOf(unauthorized, 'access-control-allow-origin'), ['https://a.test'], 'a page may read why')
  const limited = await talk(proxy.port, get('/', origin('a.test')))
  t.same([statusOf(limited), linesOf(limited, 'access-control-allow-origin'), linesOf(limited, 'access-control-expose-headers')], [429, ['https://a.test'], ['X-Total, ratelimit']])
  t.equal(upstream.requests.length, 0)
  t.equal(statusOf(await talk(proxy.port, preflight('a.test').replace('Access-Control-Request-Method', 'X'))), 405, 'an OPTIONS that asks no permission is for the list of methods')
})

t.test('an OPTIONS that is no preflight goes to the origin server', async t => {
  const upstream = await startRawOrigin(t, () => response('', ['Allow: GET', 'Access-Control-Allow-Methods: TRACE']))
  const proxy = await startProxy(t, upstream.url, { route: { cors: corsRoute } })

  for (const fields of [[], origin('a.test'), ['Access-Control-Request-Method: PUT']]) {
    const answer = await talk(proxy.port, request('OPTIONS', '/', fields))
    t.same([statusOf(answer), linesOf(answer, 'allow'), linesOf(answer, 'access-control-allow-methods')], [200, ['GET'], []])
  }
  t.equal(upstream.requests.length, 3)
})

t.test('where preflights are forwarded the origin server answers them, and only them', async t => {
  const upstream = await startRawOrigin(t, () => response('', [...fresh, 'Access-Control-Allow-Origin: https://theirs.test']))
  const proxy = await startProxy(t, upstream.url, { route: { cors: { ...corsRoute, preflight: 'forward' }, access: { methods: ['GET', 'OPTIONS'] } } })

  t.same(linesOf(await talk(proxy.port, preflight('a.test')), 'access-control-allow-origin'), ['https://theirs.test'])
  t.same(linesOf(await talk(proxy.port, get('/', origin('a.test'))), 'access-control-allow-origin'), ['https://a.test'])
  t.equal(upstream.requests.length, 2)
})

t.test('all origins: one answer for everybody, without Vary', async t => {
  const upstream = await startRawOrigin(t, () => response('ok', fresh))
  const proxy = await startProxy(t, upstream.url, { route: { cors: { origins: ['*'], allowedFields: ['x-a', 'x-b'] } } })

  for (const fields of [origin('a.test'), [], origin('b.test')]) {
    const answer = await talk(proxy.port, get('/', fields))
    t.same([linesOf(answer, 'access-control-allow-origin'), linesOf(answer, 'vary')], [['*'], []])
  }
  t.same(linesOf(await talk(proxy.port, preflight('c.test')), 'access-control-allow-headers'), ['x-a, x-b'])
})

t.test('origins as they may be written, and what they are equal to', async t => {
  const rows: Array<[text: string, fits: string[], not: string[]]> = [
    ['https://a.test', ['https://a.test'], ['http://a.test', 'https://a.test:8443', 'https://a.test.evil', 'https://x.a.test']],
    ['https://*.a.test:8443', ['https://x.a.test:8443', 'https://x-1.y.a.test:8443'], ['https://a.test:8443', 'https://x.a.test', 'https://.a.test:8443', 'https://xa.test:8443', 'https://x.aXtest:8443', 'https://evil/x.a.test:8443', 'https://x.a.test:8443\n']],
    ['app://*.shell', ['app://x.shell'], ['https://x.shell']]
  ]
  for (const [text, fitting, others] of rows) {
    const parsed = parseOriginPattern(text)
    const fits = (value: string): boolean => parsed.ok && (typeof parsed.pattern === 'string' ? parsed.pattern === value : parsed.pattern.test(value))
    for (const value of fitting) t.ok(fits(value), `${text} ${value}`)
    for (const value of others) t.notOk(fits(value), `${text} ${value}`)
  }
  for (const text of ['null', 'a.test', 'https://a.test/', 'https://A.test', 'https://a.test:443', 'https://user@a.test', 'https://a.*.test', 'https://*', 'HTTPS://a.test', '*.a.test']) t.notOk(parseOriginPattern(text).ok, text)
})

t.test('what lists and permissions cannot be is told', async t => {
  const told = (route: object, top: object = {}): string[] => {
    try {
      resolveConfig({ ...top, upstreams: { main: { targets: ['http://a'] } }, routes: [{ name: 'all', upstream: 'main', ...route }] })
      return []
    } catch (error) {
      return (error as ConfigError).problems.map(({ path, rule }) => `${path.replace('/routes/0', '')} ${rule}`)
    }
  }
  const rows: Array<[object, string[]]> = [
    [{ access: { allow: ['10.0.0.0/8'], deny: ['loopback'], methods: ['GET'], hosts: ['a', '*.b'] }, cors: corsRoute }, []],
    [{ access: { allow: ['10.0.0.0/33'], deny: ['x'] } }, ['/access/allow/0 address', '/access/deny/0 address']],
    [{ access: { methods: [] } }, ['/access/methods min-items']],
    [{ access: { methods: ['get', 'GTE'] } }, ['/access/methods/0 pattern']],
    [{ access: { methods: ['GTE', 'CONNECT'] } }, ['/access/methods/0 method', '/access/methods/1 method']],
    [{ access: { hosts: ['a:80'] } }, ['/access/hosts/0 host-pattern']],
    [{ cors: {} }, ['/cors/origins required']],
    [{ cors: { origins: ['*', 'https://a.test'] } }, ['/cors/origins/0 origin']],
    [{ cors: { origins: ['*'], credentials: true } }, ['/cors/origins/0 origin']],
    [{ cors: { origins: ['https://a.test', 'https://a.test/x'], methods: ['PURGEE'] } }, ['/cors/methods/0 method', '/cors/origins/1 origin']]
  ]
  for (const [route, expected] of rows) t.same(told(route), expected, JSON.stringify(route))
  t.same(told({}, { access: { deny: ['x'], hosts: ['a:1'] } }), ['/access/deny/0 address', '/access/hosts/0 host-pattern'])
})

t.test('content above the bound of its route is 413 before the upstream is asked, or cut off where no length was announced', async t => {
  let complete = 0
  const upstream = await startRawOrigin(t, ({ text, socket }) => {
    if (/transfer-encoding/i.test(text)) socket.on('data', chunk => { if (chunk.toString().endsWith('0\r\n\r\n')) complete++ })
    else socket.write(response('ok'))
  })
  const proxy = await startProxy(t, upstream.url, { routes: [{ name: 'small', upstream: 'default', match: { path: '/small' }, bodyBytes: 10 }, { name: 'rest', upstream: 'default' }] })
  const post = (path: string, framing: string, content: string): Promise<string> => talk(proxy.port, `POST ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${framing}\r\n\r\n${content}`)

  const announced = await post('/small', 'Content-Length: 11', 'hello world')
  t.equal(statusOf(announced), 413)
  t.match(announced, '"code":"payload_too_large"')
  t.match(await talk(proxy.port, 'POST /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n', /413 /), /413 /)
  t.equal(upstream.requests.length, 0)
  t.equal(statusOf(await post('/small', 'Content-Length: 10', 'hello worl')), 200)
  t.equal(statusOf(await post('/', 'Content-Length: 11', 'hello world')), 200)

  t.equal(statusOf(await post('/small', 'Transfer-Encoding: chunked', 'b\r\nhello world\r\n0\r\n\r\n')), 413)
  t.equal(statusOf(await post('/small', 'Transfer-Encoding: chunked', '8\r\nhello wo\r\n3\r\nrld\r\n0\r\n\r\n')), 413)
  t.equal(complete, 0, 'no such request ever came to an end at the origin server')
})

t.test('HTTP/2: content above the bound of its route is 413, and a permission is for one origin', async t => {
  const upstream = await startRawOrigin(t, () => response('ok', [...fresh, 'Vary: Accept-Encoding']))
  const made = await generate([{ name: 'commonName', value: 'a.test' }])
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-access-'))
  const files = { cert: join(folder, 'a.pem'), key: join(folder, 'a.key') }
  writeFileSync(files.cert, made.cert)
  writeFileSync(files.key, made.private)
  const config = resolveConfig({
    server: { tls: { certificates: [files] } },
    admin: { enabled: false },
    upstreams: { default: { targets: [upstream.url] } },
    routes: [{ name: 'default', upstream: 'default', bodyBytes: 10, cors: corsRoute, access: { hosts: ['a.test'] }, rateLimit: { max: 9, key: { field: 'x-none' } } }]
  })
  const listener = await createProxyListener({ config, logger: undefined, tls: createTlsContexts(config.server.tls as NonNullable<typeof config.server.tls>) })
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  const session = http2.connect(`https://127.0.0.1:${(listener.app.server.address() as AddressInfo).port}`, { rejectUnauthorized: false })
  t.teardown(async () => {
    session.destroy()
    listener.connections.destroyAll()
    await listener.app.close()
    rmSync(folder, { recursive: true })
  })
  const ask = (fields: http2.OutgoingHttpHeaders, content = ''): Promise<http2.IncomingHttpHeaders> => new Promise((resolve, reject) => {
    const stream = session.request({ ':authority': 'a.test', ':path': '/', ...fields }, { endStream: content === '' })
    stream.on('response', resolve).on('error', reject).resume()
    if (content !== '') stream.end(content)
  })

  t.equal((await ask({ ':method': 'POST', 'content-length': '11' }, 'hello world'))[':status'], 413)
  t.equal(upstream.requests.length, 0)
  t.equal((await ask({ ':method': 'POST' }, 'hello world'))[':status'], 413)
  t.equal((await ask({ ':authority': 'b.test' }))[':status'], 421)
  for (const name of ['a.test', 'x.b.test']) {
    const answer = await ask({ origin: `https://${name}` })
    t.same([answer[':status'], answer['access-control-allow-origin']], [200, `https://${name}`])
    t.same(String(answer['vary']).toLowerCase().split(', ').sort(), ['accept-encoding', 'origin'])
    t.match(answer['ratelimit'], /^"9-per-1m-by-x-none";r=\d;t=60$/)
  }
})
