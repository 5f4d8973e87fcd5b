/** Response processing: field rules in both moments, security fields, cookies, locations and error pages, on every kind of answer. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { ConfigError, loadConfig, resolveConfig } from '../../src/config/load.ts'
import { createLocationRules } from '../../src/forward/locations.ts'
import { createCookieRules } from '../../src/forward/set-cookie.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { createTlsContexts } from '../../src/server/tls.ts'
import { startWire } from '../fixtures/conformance.ts'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawExchange } from '../fixtures/raw-origin.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-response-'))
t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
const made = await generate([{ name: 'commonName', value: 'a.test' }])
const certificate = { cert: join(folder, 'a.pem'), key: join(folder, 'a.key') }
writeFileSync(certificate.cert, made.cert)
writeFileSync(certificate.key, made.private)

const pathOf = ({ text }: RawExchange): string => text.split(' ')[1] as string
const statusOf = (text: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1])
const outcomeOf = (text: string): string => /cache-status: ([^\r]*)/i.exec(text)?.[1] ?? ''
const bodyOf = (text: string): string => text.slice(text.indexOf('\r\n\r\n') + 4)
const valuesOf = (text: string, name: string): string[] => [...text.slice(0, text.indexOf('\r\n\r\n') + 2).matchAll(new RegExp(`\r\n${name}: ?([^\r]*)(?=\r\n)`, 'gi'))].map(([, value]) => value as string)

function problemsOf (response: object): string[] {
  try {
    resolveConfig({ upstreams: { a: { targets: ['http://a'] } }, routes: [{ name: 'a', upstream: 'a', response }] })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, rule }) => `${path.replace('/routes/0/response/', '')} ${rule}`)
    throw error
  }
}

const html = ['Cache-Control: max-age=60', 'ETag: "1"', 'Content-Type: text/html; charset=utf-8', 'Server: origin', 'X-Powered-By: origin', 'X-Many: o']

/** One path, asked for as a miss, a hit, with a condition, for a part and by HEAD, each through a proxy with this route. */
async function allKinds (t: Test, rules: object, fields: readonly string[] = html) {
  const origin = await startRawOrigin(t, () => response('content', fields))
  const proxy = await startProxy(t, origin.url, { route: { response: rules } })
  const ask = (more: string[] = [], method = 'GET') => talk(proxy.port, get('/', more).replace('GET', method))
  const answers = {
    miss: await ask(),
    hit: await ask(),
    notModified: await ask(['If-None-Match: "1"']),
    part: await ask(['Range: bytes=0-2']),
    head: await ask([], 'HEAD')
  }
  t.same(Object.values(answers).map(statusOf), [200, 200, 304, 206, 200])
  t.same(Object.values(answers).map(answer => outcomeOf(answer).includes('; hit')), [false, true, true, true, true])
  t.equal(origin.requests.length, 1)
  t.equal(bodyOf(answers.hit), 'content')
  t.equal(bodyOf(answers.part), 'con')
  return answers
}

t.test('rules before storing act once, and on every answer made of what is stored', async t => {
  const answers = await allKinds(t, {
    setFields: { 'X-All': 'a' },
    rules: [
      { remove: ['server', 'X-Powered-By'], set: { 'X-Set': 'b' }, append: { 'X-Many': 'p' } },
      { when: { status: [200], contentType: ['text/*'] }, set: { 'X-Text': 'yes' } },
      { when: { status: ['2xx'], contentType: ['text/html'] }, set: { 'X-Html': 'yes' } },
      { when: { status: ['4xx', 503] }, set: { 'X-Error': 'no' } },
      { when: { contentType: ['image/*'] }, set: { 'X-Image': 'no' } }
    ]
  })
  for (const [kind, answer] of Object.entries(answers)) {
    t.same(['x-all', 'x-set', 'x-text', 'x-html', 'server', 'x-powered-by', 'x-error', 'x-image'].flatMap(name => valuesOf(answer, name)), ['a', 'b', 'yes', 'yes'], kind)
    t.same(valuesOf(answer, 'x-many'), ['o', 'p'], kind)
  }
})

t.test('rules before sending act on each answer, by hit or miss, method and values of the request', async t => {
  const rules = {
    setFields: { 'X-Seen-By': '{client.ip}' },
    rules: [
      { when: { cache: 'hit' }, set: { 'X-Cache': 'HIT' }, append: { 'X-Many': 'h' } },
      { when: { cache: 'miss' }, set: { 'X-Cache': 'MISS' } },
      { when: { cache: 'any' }, set: { 'X-Any': 'yes' } },
      { when: { method: ['HEAD'] }, set: { 'X-Head': 'yes' } },
      { set: { 'X-Method': '{request.method}', 'X-None': '{cookie.none}' }, append: { 'X-Path': '{path}' } }
    ]
  }
  for (const [kind, answer] of Object.entries(await allKinds(t, rules))) {
    const isHit = kind !== 'miss'
    t.same(valuesOf(answer, 'x-cache'), [isHit ? 'HIT' : 'MISS'], kind)
    t.same(valuesOf(answer, 'x-many'), isHit ? ['o', 'h'] : ['o'], kind)
    t.same(['x-any', 'x-seen-by', 'x-path', 'x-none'].flatMap(name => valuesOf(answer, name)), ['yes', '127.0.0.1', '/'], kind)
    t.same([valuesOf(answer, 'x-method'), valuesOf(answer, 'x-head')], kind === 'head' ? [['HEAD'], ['yes']] : [['GET'], []], kind)
  }
})

t.test('rules before sending that take away or replace what is stored do so on every kind of answer', async t => {
  const rules = { rules: [{ when: { cache: 'any', status: [200], contentType: ['text/html'] }, remove: ['Server', 'Cache-Status', 'X-Request-Id'], set: { 'X-Many': 'new', 'Cache-Control': 'private' } }] }
  const origin = await startRawOrigin(t, () => response('content', html))
  const proxy = await startProxy(t, origin.url, { route: { response: rules } })
  for (const [fields, status] of [[[], 200], [[], 200], [['If-None-Match: "1"'], 304], [['Range: bytes=0-2'], 206]] as const) {
    const answer = await talk(proxy.port, get('/', fields))
    t.equal(statusOf(answer), status)
    t.same(['server', 'cache-status', 'x-request-id'].flatMap(name => valuesOf(answer, name)), [])
    t.same([valuesOf(answer, 'x-many'), valuesOf(answer, 'cache-control')], [['new'], ['private']])
    t.same(valuesOf(answer, 'x-powered-by'), ['origin'])
  }
  t.equal(origin.requests.length, 1, 'and what the cache reads is what the origin server said')
})

t.test('a rule by type does not take an answer without content for one of no type', async t => {
  const { notModified, hit } = await allKinds(t, { rules: [{ when: { cache: 'hit', contentType: ['text/html'] }, set: { 'X-Html': 'yes' } }, { when: { cache: 'hit', contentType: ['image/png'] }, set: { 'X-Png': 'yes' } }] })
  for (const answer of [notModified, hit]) t.same([valuesOf(answer, 'x-html'), valuesOf(answer, 'x-png')], [['yes'], []])
})

t.test('what a 304 of the origin server does not say stays as the rules made it (RFC 9111 3.2)', async t => {
  for (const said of [[], ['X-Many: p', 'Content-Security-Policy: own'], ['Server: changed', 'X-Many: p']]) {
    const wire = await startWire(t, ({ text }) => {
      const fields = ['Cache-Control: max-age=10', 'ETag: "1"']
      if (/if-none-match/i.test(text)) return ['HTTP/1.1 304 Not Modified', ...fields, ...said, '', ''].join('\r\n')
      return response('content', [...fields, 'Server: origin', 'X-Many: o', 'Content-Security-Policy: own', 'Content-Type: text/css'])
    }, { route: { response: { security: { preset: 'strict' }, rules: [{ when: { status: [200], contentType: ['text/css'] }, append: { 'X-Many': 'a', 'X-New': 'n', 'Permissions-Policy': 'more=()' }, set: { 'X-Set': 's' } }] } } })
    for (let i = 0; i < 4; i++) {
      const answer = await wire.ask('/')
      t.same(valuesOf(answer, 'x-many'), [i > 0 && said.length > 0 ? 'p' : 'o', 'a'], `${i} ${said}`)
      t.same(valuesOf(answer, 'x-new'), ['n'])
      t.same(valuesOf(answer, 'x-set'), ['s'])
      t.same(valuesOf(answer, 'server'), [])
      t.same(valuesOf(answer, 'content-security-policy'), ['own'])
      t.same(valuesOf(answer, 'referrer-policy'), ['no-referrer'])
      t.equal(valuesOf(answer, 'permissions-policy').length, 2)
      wire.pass(20)
    }
    t.equal(wire.origin.requests.length, 4)
  }
})

t.test('a 304 that passes through says nothing new of what only the client has', async t => {
  const origin = await startRawOrigin(t, () => 'HTTP/1.1 304 Not Modified\r\nETag: "9"\r\nServer: origin\r\n\r\n')
  const proxy = await startProxy(t, origin.url, { route: { response: { security: { preset: 'strict' }, setFields: { 'X-Set': 's' }, rules: [{ append: { Vary: 'x' } }, { when: { status: [200] }, set: { 'X-Whole': 'w' } }] } } })
  const answer = await talk(proxy.port, get('/', ['If-None-Match: "9"']))
  t.equal(statusOf(answer), 304)
  t.same(['content-security-policy', 'vary', 'server'].flatMap(name => valuesOf(answer, name)), [])
  t.same(['x-set', 'x-whole'].flatMap(name => valuesOf(answer, name)), ['s', 'w'])
})

t.test('parts that are put together get each line once', async t => {
  const content = '0123456789'
  const origin = await startRawOrigin(t, ({ text }) => {
    const [, start = '0', end = '9'] = /range: bytes=(\d+)-(\d*)/i.exec(text) ?? []
    const part = content.slice(Number(start), end === '' ? 10 : Number(end) + 1)
    return response(part, ['Cache-Control: max-age=60', 'ETag: "1"', `Content-Range: bytes ${start}-${Number(start) + part.length - 1}/10`, ...Number(start) === 0 ? ['X-Many: o'] : []], '206 Partial Content')
  })
  const proxy = await startProxy(t, origin.url, { route: { response: { rules: [{ when: { status: [200] }, append: { 'X-Many': 'a' } }] } } })
  for (const range of ['bytes=0-4', 'bytes=5-9', 'bytes=0-9']) {
    const answer = await talk(proxy.port, get('/', [`Range: ${range}`]))
    t.equal(statusOf(answer), 206)
    t.same(valuesOf(answer, 'x-many'), ['o', 'a'], range)
  }
})

t.test('security presets: what the origin server says itself is kept, or replaced', async t => {
  const own = ['Cache-Control: max-age=60', 'X-Frame-Options: ALLOW', 'Server: origin', 'ETag: "1"']
  for (const [kind, answer] of Object.entries(await allKinds(t, { security: {} }, own))) {
    t.same(['x-frame-options', 'x-content-type-options', 'referrer-policy', 'x-permitted-cross-domain-policies', 'strict-transport-security', 'content-security-policy', 'server'].flatMap(name => valuesOf(answer, name)),
      ['ALLOW', 'nosniff', 'strict-origin-when-cross-origin', 'none'], kind)
  }
  for (const answer of Object.values(await allKinds(t, { security: { preset: 'strict', replace: true } }, own))) {
    t.same(valuesOf(answer, 'x-frame-options'), ['DENY'])
    t.match(valuesOf(answer, 'content-security-policy')[0], "default-src 'self'; ")
  }
})

t.test('errors of the proxy\'s own have the security fields, and what rules for them say', async t => {
  const proxy = await startProxy(t, 'http://127.0.0.1:1', { route: { response: { security: {}, setFields: { 'X-Not': 'n' }, rules: [{ set: { 'X-Not': 'n' } }, { when: { status: ['5xx'] }, ownErrors: true, set: { 'X-Error': '{request.method}' }, remove: ['cache-status'] }, { when: { status: [404] }, ownErrors: true, set: { 'X-Not': 'n' } }] } } })
  for (const method of ['GET', 'HEAD']) {
    const answer = await talk(proxy.port, get('/').replace('GET', method))
    t.equal(statusOf(answer), 502)
    t.same(['x-content-type-options', 'x-error', 'x-not', 'cache-status'].flatMap(name => valuesOf(answer, name)), ['nosniff', method])
    t.same(valuesOf(answer, 'cache-control'), ['no-store'])
  }
})

async function startSecure (t: Test, origin: string, route: object) {
  const config = resolveConfig({ server: { tls: { certificates: [certificate] } }, admin: { enabled: false }, log: { access: false }, upstreams: { default: { targets: [origin] } }, routes: [{ name: 'default', upstream: 'default', ...route }] })
  const listener = await createProxyListener({ config, logger: undefined, tls: createTlsContexts(config.server.tls as NonNullable<typeof config.server.tls>) })
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  const session = http2.connect(`https://127.0.0.1:${(listener.app.server.address() as AddressInfo).port}`, { rejectUnauthorized: false })
  t.teardown(async () => {
    session.destroy()
    listener.connections.destroyAll()
    await listener.app.close()
  })
  return (fields: http2.OutgoingHttpHeaders = {}) => new Promise<{ head: http2.IncomingHttpHeaders, body: string }>((resolve, reject) => {
    const stream = session.request({ ':authority': 'a.test', ':path': '/', ...fields })
    let head: http2.IncomingHttpHeaders = {}
    let body = ''
    stream.on('response', received => { head = received })
    stream.on('data', (chunk: Buffer) => { body += chunk.toString() })
    stream.on('end', () => { resolve({ head, body }) })
    stream.on('error', reject)
    stream.end()
  })
}

t.test('over HTTP/2 and TLS it is the same, and Strict-Transport-Security is sent (RFC 6797 7.2)', async t => {
  const origin = await startRawOrigin(t, exchange => pathOf(exchange) === '/bad' ? response('theirs', [], '503 Service Unavailable') : response('content', html))
  const page = join(folder, 'h2.html')
  writeFileSync(page, '<p>{{status}}</p>')
  const ask = await startSecure(t, origin.url, { rewrite: { setFields: { 'X-User': '{field.x-user}' }, appendFields: { 'X-Via': '{scheme}' } }, response: { security: { hstsMaxAge: '1h' }, rules: [{ set: { 'X-Stored': 'a' } }, { when: { cache: 'hit' }, set: { 'X-Cache': 'HIT', 'X-Many': 'new' } }], errorPages: [{ status: [503], file: page, onlyOwn: false }] } })

  for (const [fields, status, cache] of [[{ 'x-user': 'u' }, 200, undefined], [{}, 200, 'HIT'], [{ 'if-none-match': '"1"' }, 304, 'HIT'], [{ range: 'bytes=0-2' }, 206, 'HIT'], [{ ':method': 'HEAD' }, 200, 'HIT']] as const) {
    const { head } = await ask(fields)
    t.equal(head[':status'], status)
    t.match(head, { 'strict-transport-security': 'max-age=3600', 'x-stored': 'a', 'x-content-type-options': 'nosniff' })
    t.equal(head['x-cache'], cache)
    t.equal(head['x-many'], cache === undefined ? 'o' : 'new')
    t.equal(head['server'], undefined)
  }
  t.match(origin.requests[0], /x-user: u\r\n[^]*x-via: https\r\n/)
  const { head, body } = await ask({ ':path': '/bad' })
  t.equal(body, '<p>503</p>')
  t.equal(head['content-length'], '10')
})

t.test('cookies: domains, paths and flags', async t => {
  const cookies = (rules: object) => {
    const route = resolveConfig({ upstreams: { a: { targets: ['http://a'] } }, routes: [{ name: 'a', upstream: 'a', response: { cookies: rules } }] }).routes[0]
    return createCookieRules((route as NonNullable<typeof route>).response.cookies)
  }
  const rows: Array<[rules: object, line: string, becomes: string | null]> = [
    [{ domains: { 'app.internal': 'example.com' } }, 'a=1; Domain=.App.internal; Path=/', 'a=1; Domain=example.com; Path=/'],
    [{ domains: { 'app.internal': 'example.com' } }, 'a=1; domain=other.test', 'a=1; domain=other.test'],
    [{ domains: { '*': '' } }, 'a=1;Domain=x.test;Secure', 'a=1; Secure'],
    [{ paths: { '/v2': '/api', '/v2/shop': '/shop', '/': '/all' } }, 'a=1; Path=/v2/shop/x', 'a=1; Path=/shop/x'],
    [{ paths: { '/v2': '/api' } }, 'a=1; path=/v2', 'a=1; Path=/api'],
    [{ paths: { '/v2': '/' } }, 'a=1; Path=/v2', 'a=1; Path=/'],
    [{ paths: { '/v2': '/api' } }, 'a=1; Path=/v20', 'a=1; Path=/v20'],
    [{ paths: { '/': '/app' } }, 'a=1; Path=/', 'a=1; Path=/app/'],
    [{ paths: { '/': '/app' }, domains: { '*': 'a.test' } }, '__Host-a=1; Path=/; Secure', '__Host-a=1; Path=/; Secure'],
    [{ rules: [{ name: 'ses*', secure: true, httpOnly: true, sameSite: 'lax' }] }, 'session="a=b"; SameSite=None; secure', 'session="a=b"; secure; HttpOnly; SameSite=Lax'],
    [{ rules: [{ name: 'ses*', secure: true }] }, 'other=1', 'other=1'],
    [{ rules: [{ name: 'a', remove: true }] }, 'a=1; Path=/', null],
    [{ rules: [{ name: 'a', rename: 'b' }, { name: '*', secure: true }] }, 'a=1=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT', 'b=1=2; Expires=Wed, 01 Jan 2031 00:00:00 GMT; Secure']
  ]
  for (const [rules, line, becomes] of rows) t.equal(cookies(rules)?.(line), becomes, line)
  t.equal(cookies({}), null)

  const origin = await startRawOrigin(t, () => response('x', ['Set-Cookie: a=1', 'Set-Cookie: b=2; Path=/v2', 'Set-Cookie: gone=3']))
  const proxy = await startProxy(t, origin.url, { route: { response: { cookies: { paths: { '/v2': '/' }, rules: [{ name: 'gone', remove: true }, { name: '*', httpOnly: true }] } } } })
  t.same(valuesOf(await talk(proxy.port, get('/')), 'set-cookie'), ['a=1; HttpOnly', 'b=2; Path=/; HttpOnly'])
})

t.test('locations: what the upstream calls itself becomes what the client can ask for, and never another host', async t => {
  const rules = (location: object, rewrite: object = {}) => createLocationRules({ origins: ['http://127.0.0.1:3000', 'https://App.internal:443'], rules: { rewrite: true, paths: false, origins: [], ...location }, rewrite })
  const api = { stripPrefix: '/api', addPrefix: '/v2' }
  const rows: Array<[location: object, rewrite: object, value: string, becomes: string]> = [
    [{}, {}, 'http://127.0.0.1:3000/a?b#c', '/a?b#c'],
    [{}, {}, 'http://127.0.0.1:3000', '/'],
    [{}, {}, 'http://127.0.0.1:3000?a', '/?a'],
    [{}, {}, 'HTTPS://app.internal/x', '/x'],
    [{}, {}, 'http://127.0.0.1:3000@evil.test/x', 'http://127.0.0.1:3000@evil.test/x'],
    [{}, {}, 'http://127.0.0.1:30000/x', 'http://127.0.0.1:30000/x'],
    [{}, {}, 'http://other.test/x', 'http://other.test/x'],
    [{}, {}, '/x', '/x'],
    [{}, api, 'http://127.0.0.1:3000/v2/x', '/api/x'],
    [{}, api, 'http://127.0.0.1:3000/v2', '/api/'],
    [{}, api, 'http://127.0.0.1:3000/v2?a', '/api/?a'],
    [{}, api, 'http://127.0.0.1:3000/v20/x', 'http://127.0.0.1:3000/v20/x'],
    [{}, api, 'http://127.0.0.1:3000/other', 'http://127.0.0.1:3000/other'],
    [{}, api, '/v2/x', '/v2/x'],
    [{ paths: true }, api, '/v2/x', '/api/x'],
    [{ paths: true }, api, '//evil.test/v2', '//evil.test/v2'],
    [{ origins: ['http://backend:81'] }, {}, 'http://backend:81/x', '/x'],
    [{ rewrite: false }, {}, 'http://127.0.0.1:3000/x', 'http://127.0.0.1:3000/x'],
    // As a path alone these would lead elsewhere, or be taken so by a browser that repairs them.
    [{}, {}, 'http://127.0.0.1:3000//evil.test', 'http://127.0.0.1:3000//evil.test'],
    [{}, {}, 'http://127.0.0.1:3000/\\evil.test', 'http://127.0.0.1:3000/\\evil.test'],
    [{}, {}, 'http://127.0.0.1:3000/\t/evil.test', 'http://127.0.0.1:3000/\t/evil.test'],
    [{}, { addPrefix: '/v2' }, 'http://127.0.0.1:3000/v2//evil.test', 'http://127.0.0.1:3000/v2//evil.test']
  ]
  for (const [location, rewrite, value, becomes] of rows) {
    const fields = { location: value, 'content-location': value, refresh: `5; url=${value}` }
    rules(location, rewrite)?.(fields, '')
    t.same(fields, { location: becomes, 'content-location': becomes, refresh: `5; url=${becomes}` }, value)
  }
  const fields = { location: 'http://127.0.0.1:3000/v2/x', refresh: '0;URL="http://127.0.0.1:3000/v2/x"' }
  rules({}, api)?.(fields, '/mount')
  t.same(fields, { location: '/mount/api/x', refresh: '0;URL="/mount/api/x"' })
})

t.test('an invalidation takes locations as clients see them, also those that no client gets (RFC 9111 4.4)', async t => {
  const origin = await startRawOrigin(t, exchange => {
    if (!exchange.text.startsWith('POST')) return response('x', ['Cache-Control: max-age=60'])
    return response('', [`Location: ${origin.url}/v2/items/1`, 'Content-Location: /unchanged'], '201 Created')
  })
  const proxy = await startProxy(t, origin.url, { routes: [{ name: 'api', upstream: 'default', match: { path: '/api/*' }, rewrite: { stripPrefix: '/api', addPrefix: '/v2' }, response: { removeFields: ['location'] } }] })
  await talk(proxy.port, get('/api/items/1'))
  const posted = await talk(proxy.port, get('/api/items').replace('GET', 'POST'))
  t.same(valuesOf(posted, 'location'), [])
  t.match(outcomeOf(await talk(proxy.port, get('/api/items/1'))), 'fwd=uri-miss')
})

t.test('a stored redirect is one for every name of its host', async t => {
  const origin = await startRawOrigin(t, () => response('', ['Cache-Control: max-age=60', `Location: ${origin.url}/new`], '301 Moved Permanently'))
  const proxy = await startProxy(t, origin.url)
  for (const kind of ['fwd=uri-miss', 'hit']) {
    const answer = await talk(proxy.port, get('/'))
    t.match(outcomeOf(answer), kind)
    t.same(valuesOf(answer, 'location'), ['/new'])
  }
})

const page = join(folder, 'error.html')
const json = join(folder, 'error.json')
writeFileSync(page, '<style>p{color:red}</style><p>{{status}} {{ code }} {{message}} {{unknown}}</p>')
writeFileSync(json, '{"error":"{{code}}","id":"{{requestId}}"}')

t.test('error pages stand in for errors of the proxy\'s own, by status and by what the client accepts', async t => {
  const origin = await startRawOrigin(t, () => response('theirs', [], '503 Service Unavailable'))
  const proxy = await startProxy(t, null, {
    upstreams: { dead: { targets: ['http://127.0.0.1:1'] }, default: { targets: [origin.url] } },
    routes: ['dead', 'default'].map(upstream => ({ name: upstream, upstream, match: { path: `/${upstream}` }, response: { errorPages: [{ status: ['5xx'], file: page }, { status: [502], file: json, contentType: 'application/json' }] } }))
  })
  const filled = '<style>p{color:red}</style><p>502 upstream_unreachable The upstream cannot be reached. {{unknown}}</p>'
  const answer = await talk(proxy.port, get('/dead'))
  t.equal(bodyOf(answer), filled)
  t.same(valuesOf(answer, 'content-type'), ['text/html; charset=utf-8'])
  t.same(valuesOf(answer, 'proxy-status'), ['holdfast; details="upstream_unreachable"'])
  t.same(valuesOf(answer, 'cache-control'), ['no-store'])
  t.equal(bodyOf(await talk(proxy.port, get('/dead', ['Accept: text/*;q=0.5, */*;q=0']))), filled)
  t.match(bodyOf(await talk(proxy.port, get('/dead', ['Accept: application/json']))), /^\{"error":"upstream_unreachable","id":"[\w-]+"\}$/)
  t.match(bodyOf(await talk(proxy.port, get('/dead', ['Accept: text/html;q=0, text/plain']))), '"code":"upstream_unreachable"')

  const head = await talk(proxy.port, get('/dead').replace('GET', 'HEAD'))
  t.equal(bodyOf(head), '')
  t.equal(bodyOf(await talk(proxy.port, get('/default'))), 'theirs')
  t.match(bodyOf(await talk(proxy.port, get('/nowhere'))), '"code":"route_not_found"')
})

t.test('error pages for all stand in wherever a route has none, and where there is no route', async t => {
  const origin = await startRawOrigin(t, () => response('theirs', [], '503 Service Unavailable'))
  const proxy = await startProxy(t, null, {
    errorPages: [{ status: ['4xx', '5xx'], file: page }, { status: ['4xx'], file: json, contentType: 'application/json' }],
    upstreams: { dead: { targets: ['http://127.0.0.1:1'] }, default: { targets: [origin.url] } },
    routes: [
      { name: 'own', upstream: 'dead', match: { path: '/own' }, response: { errorPages: [{ status: [502], file: json, contentType: 'text/html' }] } },
      { name: 'plain', upstream: 'dead', match: { path: '/plain' } },
      { name: 'theirs', upstream: 'default', match: { path: '/theirs' } }
    ]
  })
  const filled = (what: string): string => `<style>p{color:red}</style><p>${what} {{unknown}}</p>`

  t.match(bodyOf(await talk(proxy.port, get('/own'))), /^\{"error":"upstream_unreachable"/)
  t.equal(bodyOf(await talk(proxy.port, get('/plain'))), filled('502 upstream_unreachable The upstream cannot be reached.'))
  t.equal(bodyOf(await talk(proxy.port, get('/theirs'))), 'theirs', 'of errors of the upstream only a route may say so')
  const missing = await talk(proxy.port, get('/nowhere'))
  t.match(bodyOf(missing), filled('404 route_not_found').slice(0, 45))
  t.same(valuesOf(missing, 'proxy-status'), ['holdfast; details="route_not_found"'])
  t.match(bodyOf(await talk(proxy.port, get('/nowhere', ['Accept: application/json']))), /^\{"error":"route_not_found"/)
  t.match(bodyOf(await talk(proxy.port, get('/%zz'))), '<p>400 bad_target ')
  t.match(bodyOf(await talk(proxy.port, get('/theirs', ['Expect: miracles']))), '<p>417 expectation_failed ')
  t.equal(bodyOf(await talk(proxy.port, get('/nowhere').replace('GET', 'HEAD'))), '')
})

t.test('error pages stand in for the upstream\'s own where they are told to, on misses, hits and HEAD', async t => {
  const origin = await startRawOrigin(t, exchange => response('<secret stack>', ['Cache-Control: max-age=60', 'Content-Type: text/plain', 'Content-Encoding: x', 'ETag: "1"', 'Retry-After: 7'], pathOf(exchange) === '/403' ? '403 Forbidden' : '404 Not Found'))
  const proxy = await startProxy(t, origin.url, { route: { response: { errorPages: [{ status: [404], file: page, onlyOwn: false }] } } })
  for (const [method, kind] of [['GET', 'fwd=uri-miss'], ['GET', '; hit'], ['HEAD', '; hit']] as const) {
    const answer = await talk(proxy.port, get('/').replace('GET', method))
    t.equal(statusOf(answer), 404)
    t.match(outcomeOf(answer), kind)
    const text = '<style>p{color:red}</style><p>404 status_404 Not Found {{unknown}}</p>'
    t.equal(bodyOf(answer), method === 'HEAD' ? '' : text)
    t.same(['content-type', 'content-length', 'content-encoding', 'etag', 'retry-after', 'proxy-status'].flatMap(name => valuesOf(answer, name)), ['text/html; charset=utf-8', String(text.length), '7'])
  }
  t.match(bodyOf(await talk(proxy.port, get('/403'))), '<secret stack>')
})

t.test('a page is escaped for its type: what a client sends in an id stays text', async t => {
  const proxy = await startProxy(t, 'http://127.0.0.1:1', { server: { trustedProxies: ['loopback'] }, route: { response: { errorPages: [{ status: [502], file: json, contentType: 'text/html' }] } } })
  const answer = await talk(proxy.port, get('/', ['X-Request-Id: <script>']))
  t.notMatch(bodyOf(answer), '<script>')
})

t.test('pages are read on reload; one that cannot be read changes nothing, and check says so', async t => {
  const file = join(folder, 'changing.html')
  writeFileSync(file, 'one')
  const config = (file: string, all = file) => ({ admin: { enabled: false }, errorPages: [{ status: [404], file: all }], upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'default', upstream: 'default', match: { path: '/' }, response: { errorPages: [{ status: [502], file }] } }] })
  const proxy = await startProxy(t, 'http://127.0.0.1:1', { errorPages: [{ status: [404], file }], route: { match: { path: '/' }, response: { errorPages: [{ status: [502], file }] } } })
  const bodies = async () => await Promise.all(['/', '/nowhere'].map(async path => bodyOf(await talk(proxy.port, get(path)))))
  t.same(await bodies(), ['one', 'one'])
  writeFileSync(file, 'two')
  await proxy.control.reload(resolveConfig(config(file)))
  t.same(await bodies(), ['two', 'two'])
  for (const [own, all] of [[join(folder, 'none'), file], [file, join(folder, 'none')]] as const) await t.rejects(proxy.control.reload(resolveConfig(config(own, all))), { code: 'ENOENT' })
  t.same(await bodies(), ['two', 'two'])

  const large = join(folder, 'large.html')
  writeFileSync(large, 'x'.repeat(256 * 1024 + 1))
  for (const [name, rule] of [['none.html', 'readable-file'], ['large.html', 'size']] as const) {
    const written = join(folder, 'holdfast.json')
    writeFileSync(written, JSON.stringify(config(name)))
    const problems = await loadConfig({ file: written, env: {} }).then(() => [], (error: ConfigError) => error.problems)
    t.match(problems.map(({ path, rule }: { path: string, rule: string }) => `${path} ${rule}`).sort(), [`/errorPages/0/file ${rule}`, `/routes/0/response/errorPages/0/file ${rule}`])
  }
  const written = join(folder, 'holdfast.json')
  writeFileSync(written, JSON.stringify(config('changing.html')))
  const loaded = await loadConfig({ file: written, env: {} })
  t.same([loaded.routes[0]?.response.errorPages[0]?.file, loaded.errorPages[0]?.file], [file, file], 'relative to the configuration')
})

t.test('what cannot be is refused', async t => {
  const rows: Array<[response: object, problem: string]> = [
    [{ rules: [{ set: { 'Content-Length': '1' } }] }, 'rules/0/set/Content-Length framing-field'],
    [{ rules: [{ remove: ['age'] }] }, 'rules/0/remove/0 framing-field'],
    [{ rules: [{ append: { Connection: 'a' } }] }, 'rules/0/append/Connection framing-field'],
    [{ rules: [{ set: { a: '{nope}' } }] }, 'rules/0/set/a template'],
    [{ rules: [{ when: { status: [200] } }] }, 'rules/0 changes'],
    [{ rules: [{ when: { status: [304] }, set: { a: 'b' } }] }, 'rules/0/when/status status'],
    [{ rules: [{ when: { status: ['6xx'] }, set: { a: 'b' } }] }, 'rules/0/when/status/0 pattern'],
    [{ rules: [{ when: { contentType: ['html'] }, set: { a: 'b' } }] }, 'rules/0/when/contentType/0 pattern'],
    [{ rules: [{ when: { cache: 'hits' }, set: { a: 'b' } }] }, 'rules/0/when/cache enum'],
    [{ cookies: { rules: [{ name: 'a', sameSite: 'none' }] } }, 'cookies/rules/0/sameSite same-site'],
    [{ cookies: { rules: [{ name: 'a*', rename: 'b' }] } }, 'cookies/rules/0/rename rename'],
    [{ cookies: { paths: { '/a': '/b; Secure' } } }, 'cookies/paths/~1a pattern'],
    [{ location: { origins: ['http://a/b'] } }, 'location/origins/0 pattern'],
    [{ errorPages: [{ status: [200], file: 'a' }] }, 'errorPages/0/status/0 minimum'],
    [{ security: { preset: 'hard' } }, 'security/preset enum']
  ]
  for (const [response, problem] of rows) t.same(problemsOf(response), [problem], problem)
})

t.test('concurrent misses that share one response get the same changes', async t => {
  const sockets: RawExchange[] = []
  const origin = await startRawOrigin(t, exchange => { sockets.push(exchange) })
  const proxy = await startProxy(t, origin.url, { route: { response: { rules: [{ set: { 'X-Stored': 'a' } }, { when: { cache: 'miss', contentType: ['text/html'] }, set: { 'X-User': '{field.x-user}' }, remove: ['server'] }] } } })
  const answers = ['a', 'b'].map(user => talk(proxy.port, get('/', [`X-User: ${user}`])))
  while (sockets.length === 0 || proxy.control.stats().cache.misses < 2) await new Promise(resolve => { setImmediate(resolve) })
  sockets[0]?.socket.write(response('content', html))
  const texts = await Promise.all(answers)
  t.same(texts.map(text => [valuesOf(text, 'x-user'), valuesOf(text, 'x-stored'), valuesOf(text, 'server')]), [[['a'], ['a'], []], [['b'], ['a'], []]])
  t.equal(origin.requests.length, 1)
})
