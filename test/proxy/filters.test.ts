import { createHash } from 'node:crypto'
import t from 'tap'
import { clientKey } from '../../src/rate-limit/client-key.ts'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const digest = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`
const fresh = ['Cache-Control: max-age=60']

t.test('a client over the limit is 429 with Retry-After, exactly, also when all come at once', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { route: { rateLimit: { max: 20, window: '1m' } } })

  const answers = await Promise.all(Array.from({ length: 100 }, () => talk(proxy.port, get('/'))))

  t.equal(answers.filter(answer => status(answer) === 200).length, 20)
  const refused = answers.filter(answer => status(answer) === 429)
  t.equal(refused.length, 80)
  t.match(refused[0], /retry-after: \d+/i)
  t.match(refused[0], '"code":"rate_limited"')
})

t.test('one customer of IPv6 is one client', async t => {
  t.equal(clientKey('2001:db8:1:2::1'), clientKey('2001:db8:1:2:ffff::9'))
  t.not(clientKey('2001:db8:1:2::1'), clientKey('2001:db8:1:3::1'))
  t.equal(clientKey('::ffff:192.0.2.1'), '192.0.2.1')
  t.equal(clientKey('192.0.2.1'), '192.0.2.1')
  t.not(clientKey('::1'), clientKey('1::'))
})

t.test('a spoofed X-Forwarded-For does not make another client', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { route: { rateLimit: { max: 1 } } })

  t.equal(status(await talk(proxy.port, get('/', ['X-Forwarded-For: 192.0.2.1']))), 200)
  t.equal(status(await talk(proxy.port, get('/', ['X-Forwarded-For: 192.0.2.2']))), 429)
})

t.test('behind a trusted proxy the client is the one it names', async t => {
  const origin = await startRawOrigin(t, () => response())
  const proxy = await startProxy(t, origin.url, { server: { trustedProxies: ['loopback'] }, route: { rateLimit: { max: 1 } } })

  t.equal(status(await talk(proxy.port, get('/', ['X-Forwarded-For: 192.0.2.1']))), 200)
  t.equal(status(await talk(proxy.port, get('/', ['X-Forwarded-For: 192.0.2.2']))), 200)
  t.equal(status(await talk(proxy.port, get('/', ['X-Forwarded-For: 192.0.2.2']))), 429)
  t.match(origin.requests[0], 'x-forwarded-for: 192.0.2.1, 127.0.0.1')
})

t.test('authentication comes before the cache may answer', async t => {
  const origin = await startRawOrigin(t, () => response('secret', ['Cache-Control: public, max-age=60']))
  const proxy = await startProxy(t, origin.url, { route: { auth: { apiKeys: { keys: [digest('key-1')] }, bearer: { tokens: [digest('token-1')] } } } })

  t.equal(status(await talk(proxy.port, get('/', ['X-Api-Key: key-1']))), 200)
  t.match(await talk(proxy.port, get('/', ['Authorization: Bearer token-1'])), /; hit/)
  for (const fields of [[], ['X-Api-Key: key-2'], ['X-Api-Key: '], ['Authorization: Bearer token-2'], ['Authorization: Basic a2V5LTE='], ['X-Api-Key: key-1', 'X-Api-Key: key-2']]) {
    const answer = await talk(proxy.port, get('/', fields))
    t.equal(status(answer), 401, fields.join())
    t.match(answer, /www-authenticate: /i)
    t.notMatch(answer, 'secret')
  }
})

t.test('what a credential let in is not shared unless the response allows it (RFC 9111 3.5)', async t => {
  const origin = await startRawOrigin(t, () => response('mine', fresh))
  const proxy = await startProxy(t, origin.url, { route: { auth: { apiKeys: { keys: [digest('key-1'), digest('key-2')] } } } })

  await talk(proxy.port, get('/', ['X-Api-Key: key-1']))
  t.match(await talk(proxy.port, get('/', ['X-Api-Key: key-2'])), /fwd=uri-miss; fwd-status=200; detail=authorization/)
  t.equal(origin.requests.length, 2)
})

t.test('rewriting fixes path, query and fields before the key is made', async t => {
  const origin = await startRawOrigin(t, () => response('ok', [...fresh, 'Server: secret', 'X-Kept: 1']))
  const proxy = await startProxy(t, origin.url, {
    routes: [{
      name: 'api',
      match: { path: '/api/*' },
      upstream: 'default',
      rewrite: { stripPrefix: '/api', addPrefix: '/v2', setFields: { 'X-Route': 'api' }, removeFields: ['Cookie'] },
      response: { setFields: { 'X-Frame-Options': 'DENY' }, removeFields: ['server'] }
    }, { name: 'rest', upstream: 'default' }]
  })

  await talk(proxy.port, get('/api/users?b=2&a=1', ['Cookie: secret']))
  const hit = await talk(proxy.port, get('/api/users?b=2&a=1'))
  await talk(proxy.port, get('/apix'))

  t.match(origin.requests[0], /^GET \/v2\/users\?b=2&a=1 HTTP/)
  t.match(origin.requests[0], 'x-route: api')
  t.notMatch(origin.requests[0], /cookie/i)
  t.match(hit, /; hit/)
  t.match(hit, /x-frame-options: DENY/i)
  t.notMatch(hit, /server: secret/i)
  t.match(origin.requests[1], /^GET \/apix HTTP/, 'only whole segments')
})

t.test('content above the bound is 413, announced or not', async t => {
  const origin = await startRawOrigin(t, () => {})
  const proxy = await startProxy(t, origin.url, { route: { bodyBytes: 10 } })
  const chunk = 'b\r\nhello world\r\n'

  t.equal(status(await talk(proxy.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world', /\}\}$/)), 413)
  t.equal(status(await talk(proxy.port, `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${chunk}0\r\n\r\n`, /\}\}$/)), 413)
})
