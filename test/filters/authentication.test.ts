import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { alternativeNames } from '../../src/auth/client-certificate.ts'
import { createAttempts, maxCounted } from '../../src/auth/attempts.ts'
import { createBasic } from '../../src/auth/basic.ts'
import { createPasswords } from '../../src/auth/passwords.ts'
import { presentable } from '../../src/auth/identity-fields.ts'
import { maxKeySetBytes } from '../../src/auth/jwks.ts'
import { takeQueryKeys } from '../../src/auth/query-keys.ts'
import { createRemembered, maxRemembered } from '../../src/auth/remembered.ts'
import { parseUsers } from '../../src/auth/users-file.ts'
import type { Verdict } from '../../src/auth/verdict.ts'
import { ConfigError, resolveConfig, warningsFor } from '../../src/config/load.ts'
import type { BasicConfig, RouteConfig } from '../../src/config/schema.ts'
import { basic, bearer, createSigner, digest, passwordHash, startService, type Signer } from '../fixtures/auth.ts'
import { get, startProxy, talk, until, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const status = (text: string): number => Number(/HTTP\/1\.1 ([2-5]\d{2})/.exec(text)?.[1])
const code = (text: string): string => /"code":"([a-z_]+)"/.exec(text)?.[1] ?? ''
const challenges = (text: string): string[] => [...text.matchAll(/\r\nwww-authenticate: ([^\r]*)/gi)].map(([, value = '']) => value)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const clockStart = Date.UTC(2026, 5, 1, 12)

/** A proxy whose route asks for authentication, and whose clock the test moves. */
async function guarded (t: Test, auth: object, settings: ProxySettings = {}) {
  const clock = { at: clockStart }
  const origin = await startRawOrigin(t, () => response('content'))
  const proxy = await startProxy(t, origin.url, { ...settings, route: { auth, ...settings.route }, holdfast: { now: () => clock.at } })
  return { clock, origin, proxy, ask: (fields: readonly string[] = [], path = '/') => talk(proxy.port, get(path, fields)) }
}

t.test('an API key is asked for in a field or in a query parameter, and never twice', async t => {
  const { ask, origin } = await guarded(t, { apiKeys: { query: 'key', keys: [digest('one'), { name: 'shop', hash: digest('two & +') }] }, identityField: 'x-user' })

  t.equal(status(await ask(['X-Api-Key: one'])), 200)
  t.equal(status(await ask([], '/?a=1&k%65y=two+%26+%2B&b=2')), 200)
  t.match(origin.requests[0], `x-user: key-${digest('one').slice(7, 23)}`)
  t.match(origin.requests[1], /^GET \/\?a=1&b=2 HTTP[^]*x-user: shop\r\n/, 'without the key, and with the name of its owner')
  for (const [fields, path] of [[[], '/'], [['X-Api-Key: three'], '/'], [[], '/?key=three'], [[], '/?key=one&key=one'], [[], '/?key=%zz'], [[], '/?key'], [['X-Api-Key: one'], '/?key=one'], [['X-Api-Key: one', 'X-Api-Key: one'], '/']] as const) {
    const answer = await ask(fields, path)
    t.same([status(answer), code(answer), challenges(answer)], [401, 'unauthorized', ['ApiKey']], path)
  }
  t.equal(origin.requests.length, 2)
})

t.test('a key in the query is in no key, no log and no TRACE', async t => {
  const lines: string[] = []
  const origin = await startRawOrigin(t, () => response('content', ['Cache-Control: public, max-age=60']))
  const deviceClass = (request: FastifyRequest): string => {
    lines.push(request.url, request.originalUrl, JSON.stringify(request.query))
    return ''
  }
  const proxy = await startProxy(t, origin.url, { cache: { statusKey: true }, route: { auth: { apiKeys: { field: 'x-secret', query: 'key', keys: [digest('hunter2')] } } }, holdfast: { deviceClass } })

  t.match(await talk(proxy.port, get('/?key=hunter2')), /fwd=uri-miss/)
  const hit = await talk(proxy.port, get('/', ['X-Secret: hunter2']))
  const trace = await talk(proxy.port, 'TRACE /?key=hunter2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nMax-Forwards: 0\r\n\r\n')
  const traced = await talk(proxy.port, 'TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nMax-Forwards: 0\r\nX-Secret: hunter2\r\nX-Other: 1\r\n\r\n')
  await talk(proxy.port, get('/?key=hunter3'))

  t.match(hit, /; hit/, 'the same key with and without it')
  t.ok(lines.length > 0)
  t.match(traced, /x-other: 1/i)
  for (const text of [hit, trace, traced, ...lines, ...origin.requests]) t.notMatch(text, /hunter/)
  t.same(takeQueryKeys('?a&key=1&&b=%zz', ['key']), { query: '?a&&b=%zz', keys: Object.assign(Object.create(null), { key: '1' }) })
})

t.test('an unsafe request with a key in its query invalidates what is stored without it (RFC 9111 4.4)', async t => {
  const origin = await startRawOrigin(t, () => response('content', ['Cache-Control: public, max-age=60']))
  const proxy = await startProxy(t, origin.url, { route: { auth: { apiKeys: { query: 'key', keys: [digest('one')] } } } })

  await talk(proxy.port, get('/a?x=1&key=one'))
  await talk(proxy.port, 'POST /a?key=one&x=1 HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  t.match(await talk(proxy.port, get('/a?x=1&key=one')), /fwd=uri-miss/)
})

t.test('passwords: who is right is let in, and everybody else learns the same', async t => {
  const { ask, origin } = await guarded(t, { basic: { realm: 'Shop', users: { jürgen: await passwordHash('pässword'), ann: await passwordHash('') } }, identityField: 'x-user' })

  t.equal(status(await ask([basic('jürgen', 'pässword')])), 200)
  t.equal(status(await ask([basic('ann', '')])), 200)
  t.match(origin.requests[0], 'x-user: j%C3%BCrgen\r\n', 'not printable: percent-encoded')
  for (const field of ['X: 1', basic('jürgen', 'wrong'), basic('nobody', 'pässword'), 'Authorization: Basic', 'Authorization: Basic ====', 'Authorization: Basic /w==', `Authorization: Basic ${Buffer.from('nocolon').toString('base64')}`, basic('jürgen', 'x'.repeat(2000)), bearer('abc')]) {
    const answer = await ask([field])
    t.same([status(answer), code(answer), challenges(answer)], [401, 'unauthorized', ['Basic realm="Shop", charset="UTF-8"']], field.slice(0, 60))
  }
  const twice = await ask([basic('jürgen', 'pässword'), basic('ann', '')])
  t.same([status(twice), code(twice)], [400, 'bad_credentials'])
})

t.test('users stand in a file, too, which says where it is wrong and nothing else', async t => {
  const file = join(t.testdir(), 'users')
  writeFileSync(file, `# people\n\nann:${await passwordHash('one')}\r\nbob:${await passwordHash('two')}\n`)
  const { ask } = await guarded(t, { basic: { file } })

  t.equal(status(await ask([basic('bob', 'two')])), 200)
  t.equal(status(await ask([basic('bob', 'one')])), 401)
  t.throws(() => parseUsers('ann:hunter2'), /^line 1 is not/)
  try { parseUsers('a:b\nann:hunter2') } catch (error) { t.notMatch((error as Error).message, 'hunter2') }
  const hash = await passwordHash('x')
  t.throws(() => parseUsers(`a:${hash}\na:${hash}`), /line 2 names a user a second time/)
})

t.test('a file of users that changed is in force after a reload, and one that did not keeps its counters', async t => {
  const file = join(t.testdir(), 'users')
  writeFileSync(file, `ann:${await passwordHash('one')}\n`)
  const { ask, proxy } = await guarded(t, { basic: { file, attempts: { perUser: 1, perAddress: 100 } } })
  const { config } = proxy.control

  t.equal(status(await ask([basic('ann', 'wrong')])), 401)
  await proxy.control.reload(config)
  t.equal(status(await ask([basic('ann', 'wrong')])), 429)
  writeFileSync(file, `ann:${await passwordHash('two')}\n`)
  await proxy.control.reload(config)
  t.equal(status(await ask([basic('ann', 'one')])), 401)
})

t.test('brute force is slowed per user and per address, also when all come at once, and only for a while', async t => {
  const { ask, clock } = await guarded(t, { basic: { users: { ann: await passwordHash('right'), bob: await passwordHash('right') }, attempts: { perUser: 5, perAddress: 8, window: '60s' }, remember: 0 } })

  const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask([basic('ann', `wrong${i}`)])))
  t.equal(answers.filter(answer => status(answer) === 401).length, 5)
  const slowed = answers.filter(answer => status(answer) === 429)
  t.equal(slowed.length, 25)
  t.match(slowed[0], /retry-after: 60/i)
  t.equal(code(slowed[0] as string), 'too_many_attempts')
  t.equal(status(await ask([basic('ann', 'right')])), 429, 'the right one is not looked at either')
  t.equal(status(await ask([basic('bob', 'right')])), 200, 'somebody else is')
  for (let i = 0; i < 3; i++) t.equal(status(await ask([basic(`nobody${i}`, 'wrong')])), 401, 'who does not exist counts alike')
  t.equal(status(await ask([basic('bob', 'right')])), 429, 'now the address is held up')

  clock.at += 60_000
  t.equal(status(await ask([basic('ann', 'right')])), 200)
})

t.test('others cannot lock a user out of the address that the user came from', async t => {
  const attempts = createAttempts({ perUser: 2, perAddress: 10, window: 1000 })

  t.same(attempts.begin('ann', 'home', 0), { waitMs: 0 })
  attempts.succeeded('ann', 'home', 0)
  attempts.begin('ann', 'elsewhere', 0)
  attempts.begin('ann', 'elsewhere', 0)
  t.same(attempts.begin('ann', 'elsewhere', 0), { waitMs: 1000 })
  t.same(attempts.begin('ann', 'home', 0), { waitMs: 0 })
})

t.test('the tables of attempts and of credentials are bounded', async t => {
  const attempts = createAttempts({ perUser: 2, perAddress: 10, window: 1000 })
  for (let i = 0; i < maxCounted + 500; i++) {
    attempts.begin(`user${i}`, `address${i}`, 0)
    if (i % 2 === 0) attempts.succeeded(`user${i}`, `address${i}`, 0)
  }
  t.ok(attempts.size <= 3 * maxCounted)
  const remembered = createRemembered()
  for (let i = 0; i < maxRemembered + 500; i++) remembered.keep(remembered.digest('user', String(i)), { ok: true, identity: { subject: 'user', kind: 'basic', claims: {} } }, 1)
  t.equal(remembered.size, maxRemembered)
})

t.test('of attempts neither names of any length nor passwords stay in memory', async t => {
  const attempts = createAttempts({ perUser: 2, perAddress: 10, window: 1000 })
  const fill = (): void => {
    for (let i = 0; i < maxCounted; i++) {
      const pair = Buffer.from(`${i}${'n'.repeat(1000)}:${'p'.repeat(1000)}`).toString()
      const user = pair.slice(0, pair.indexOf(':'))
      attempts.begin(user, '192.0.2.1', 0)
      attempts.succeeded(user, '192.0.2.1', 0)
      attempts.begin(user, `address${i}`, 0)
    }
  }
  const usedBytes = (): number => {
    collect()
    return process.memoryUsage().heapUsed
  }
  const before = usedBytes()
  fill()

  const took = usedBytes() - before
  t.ok(took < 10_000_000, `${took} bytes`)
  t.equal(attempts.size, 3 * maxCounted)
})

t.test('so many passwords are verified at a time, so many wait, and the rest is turned away', async t => {
  let running = 0
  let most = 0
  const ends: Array<() => void> = []
  const passwords = createPasswords(2, 3, async () => {
    most = Math.max(most, ++running)
    await new Promise<void>(resolve => { ends.push(resolve) })
    running--
    return true
  })

  const verdicts = Array.from({ length: 8 }, () => passwords.verify('hash', 'password'))
  t.same(await Promise.all(verdicts.slice(5)), [null, null, null])
  for (let i = 0; i < 5; i++) {
    await until(() => ends.length > i)
    ends[i]?.()
  }
  t.same(await Promise.all(verdicts.slice(0, 5)), [true, true, true, true, true])
  t.equal(most, 2)
  t.equal(await createPasswords(1, 0).verify('no hash', 'password'), null, 'what is no hash fits nothing')
})

t.test('a password that was right is not verified again, until it is forgotten; an unknown user costs as much as a known one', async t => {
  let at = 0
  const verified: string[] = []
  const passwords = { verify: async (hash: string, password: string) => { verified.push(hash); return password === 'right' } }
  const { auth } = resolveConfig({ upstreams: { main: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'a', upstream: 'main', auth: { basic: { users: { ann: await passwordHash('x') }, remember: '1m' } } }] }).routes[0] as RouteConfig
  const verifier = createBasic(auth?.basic as BasicConfig, { users: new Map([['ann', 'hash']]), now: () => at, addressKey: address => address, passwords })
  const ask = (line: string): Promise<Verdict> => new Promise(resolve => {
    verifier.verify({ method: 'GET', fields: { authorization: line.slice('Authorization: '.length) }, lines: ['Authorization', ''], queryKeys: null, scheme: 'http', authority: 'a', path: '/', query: '', clientAddress: '192.0.2.1', socket: {} }, resolve)
  })

  const atOnce = await Promise.all(Array.from({ length: 50 }, () => ask(basic('ann', 'right'))))
  for (const verdict of atOnce) t.match(verdict, { ok: true, identity: { subject: 'ann', kind: 'basic' } }, 'those who send the same at once wait for one verification, which is one attempt')
  t.match(await ask(basic('ann', 'right')), { ok: true })
  t.equal(verified.length, 1)
  t.match(await ask(basic('ann', 'wrong')), { ok: false })
  t.equal(verified.length, 2, 'another password is looked at')
  at += 60_000
  await ask(basic('ann', 'right'))
  t.equal(verified.length, 3)
  t.match(await ask(basic('nobody', 'right')), { ok: false, reason: 'invalid' }, 'whatever the hash that stood in says')
  t.same(verified, ['hash', 'hash', 'hash', 'hash'])
})

t.test('bearer tokens say what is wrong with them (RFC 6750)', async t => {
  const { ask } = await guarded(t, { bearer: { tokens: [{ name: 'ci', hash: digest('token-1') }] } })

  t.equal(status(await ask([bearer('token-1')])), 200)
  t.same(challenges(await ask()), ['Bearer realm="Restricted"'], 'no error code where nothing was sent')
  t.same(challenges(await ask([bearer('token-2')])), ['Bearer realm="Restricted", error="invalid_token"'])
  const malformed = await ask([bearer('a b')])
  t.same([status(malformed), code(malformed), challenges(malformed)], [400, 'bad_credentials', ['Bearer realm="Restricted", error="invalid_request"']])
  const twice = await ask([bearer('token-1'), bearer('token-2')])
  t.same([status(twice), code(twice)], [400, 'bad_credentials'])
})

const issuer = 'https://login.test'
const audience = 'shop'
const claims = (over: object = {}): Record<string, unknown> => ({ iss: issuer, aud: audience, sub: 'ann', exp: clockStart / 1000 + 600, ...over })

async function jwtRoute (t: Test, signers: readonly Signer[], jwt: object = {}, auth: object = {}) {
  const file = join(t.testdir(), 'keys.json')
  writeFileSync(file, JSON.stringify({ keys: signers.map(({ jwk }) => jwk) }))
  return guarded(t, { jwt: { algorithms: ['ES256', 'RS256'], issuer, audience, keys: { file }, ...jwt }, ...auth })
}

t.test('a token is let in when everything about it is right, and 401 for anything that is not (RFC 7519, RFC 8725)', async t => {
  const signer = createSigner('one')
  const other = createSigner('one')
  const { ask } = await jwtRoute(t, [signer], { clockSkew: '30s' })
  const now = clockStart / 1000
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const good = await signer.sign(claims())
  const [head = '', payload = '', signature = ''] = good.split('.')
  const hmac = (secret: string | Buffer): string => {
    const text = `${part({ alg: 'HS256', kid: 'one' })}.${part(claims())}`
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
  }
  const withoutExpiry = claims()
  delete withoutExpiry['exp']

  const rows: ReadonlyArray<readonly [string, string, number]> = [
    ['a good one', good, 200],
    ['one of several audiences', await signer.sign(claims({ aud: ['other', audience] })), 200],
    ['expired within the skew', await signer.sign(claims({ exp: now - 29 })), 200],
    ['expired', await signer.sign(claims({ exp: now - 31 })), 401],
    ['valid soon, within the skew', await signer.sign(claims({ nbf: now + 29 })), 200],
    ['not valid yet', await signer.sign(claims({ nbf: now + 31 })), 401],
    ['without expiry', await signer.sign(withoutExpiry), 401],
    ['an expiry that is no number', await signer.sign(claims({ exp: 'later' })), 401],
    ['of another issuer', await signer.sign(claims({ iss: 'https://evil.test' })), 401],
    ['for another audience', await signer.sign(claims({ aud: 'bank' })), 401],
    ['without subject', await signer.sign(claims({ sub: undefined })), 401],
    ['a subject that is a list', await signer.sign(claims({ sub: ['ann'] })), 401],
    ['signed by somebody else with the same kid', await other.sign(claims()), 401],
    ['an unknown kid', await createSigner('two').sign(claims()), 401],
    ['alg none', `${part({ alg: 'none' })}.${part(claims())}.`, 401],
    ['alg None', `${part({ alg: 'None', kid: 'one' })}.${payload}.${signature}`, 401],
    ['without alg', `${part({ kid: 'one' })}.${payload}.${signature}`, 401],
    ['HMAC with the public key as PEM', hmac(signer.publicKey.export({ type: 'spki', format: 'pem' })), 401],
    ['HMAC with the public key as JWK', hmac(JSON.stringify(signer.jwk)), 401],
    ['a key of its own in the header', await other.sign(claims(), { jwk: other.jwk }), 401],
    ['an unknown critical header', `${part({ alg: 'ES256', kid: 'one', crit: ['x'], x: 1 })}.${payload}.${signature}`, 401],
    ['a payload changed', `${head}.${part(claims({ sub: 'bob' }))}.${signature}`, 401],
    ['no signature', `${head}.${payload}.`, 401],
    ['two parts', `${head}.${payload}`, 401],
    ['an oversized one', await signer.sign(claims({ filler: 'x'.repeat(9000) })), 401],
    ['no JSON', `${Buffer.from('nonsense').toString('base64url')}.${payload}.${signature}`, 401]
  ]
  for (const [title, token, expected] of rows) {
    for (const turn of ['first', 'again']) {
      const answer = await ask([bearer(token)])
      t.equal(status(answer), expected, `${title}, ${turn}`)
      if (expected === 401) t.same(challenges(answer), ['Bearer realm="Restricted", error="invalid_token"'], title)
    }
  }
  t.equal(status(await ask([bearer(good), bearer(good)])), 400, 'twice')
})

t.test('a token that is remembered is not let in beyond its expiry', async t => {
  const signer = createSigner('one')
  const { ask, clock } = await jwtRoute(t, [signer], { clockSkew: 0, remember: '10m' })
  const token = await signer.sign(claims({ exp: clockStart / 1000 + 5 }))

  t.equal(status(await ask([bearer(token)])), 200)
  clock.at += 4000
  t.equal(status(await ask([bearer(token)])), 200)
  clock.at += 1000
  t.equal(status(await ask([bearer(token)])), 401)
})

t.test('algorithms, type, scopes and claims are what the route says', async t => {
  const signer = createSigner('one')
  const rsa = createSigner('rsa', 'RS256')
  const { ask, origin } = await jwtRoute(t, [signer, rsa], { algorithms: ['ES256'], type: 'at+jwt', scopes: ['read', 'write'], claims: { tenant: ['a', 'b'], 'realm.roles': 'admin' }, subject: 'uid' }, { identityField: 'x-user', claimFields: { 'X-Tenant': 'tenant', 'x-roles': 'realm.roles' } })
  const right = { uid: 7, scope: 'write read', tenant: 'b', realm: { roles: ['user', 'admin,x'] } }
  const admin = { ...right, realm: { roles: ['user', 'admin'] } }
  const sign = (over: object): Promise<string> => signer.sign(claims(over), { typ: 'at+jwt' })

  t.equal(status(await ask([bearer(await sign(admin)), 'X-Tenant: z', 'X-Roles: root'])), 200)
  t.match(origin.requests[0], /x-user: 7\r\n/)
  t.match(origin.requests[0], /x-tenant: b\r\n/)
  t.match(origin.requests[0], /x-roles: user,admin\r\n/)
  t.notMatch(origin.requests[0], /root|: z\r/)
  t.equal(status(await ask([bearer(await rsa.sign(claims(admin), { typ: 'at+jwt' }))])), 401, 'another algorithm, although its key is known')
  t.equal(status(await ask([bearer(await signer.sign(claims(admin), { typ: 'id+jwt' }))])), 401)
  const narrow = await ask([bearer(await sign({ ...admin, scope: 'read' }))])
  t.same([status(narrow), code(narrow), challenges(narrow)], [403, 'insufficient_scope', ['Bearer realm="Restricted", error="insufficient_scope", scope="read write"']])
  t.equal(status(await ask([bearer(await sign({ ...admin, scope: undefined, scp: ['read', 'write'] }))])), 200)
  for (const over of [{ ...admin, tenant: 'c' }, { ...admin, tenant: undefined }, { ...admin, realm: null }, right]) {
    const answer = await ask([bearer(await sign(over))])
    t.same([status(answer), code(answer)], [403, 'forbidden'])
  }
})

t.test('the token may be in a cookie, which is all that is stripped of the field', async t => {
  const signer = createSigner('one')
  const { ask, origin } = await jwtRoute(t, [signer], { cookie: 'session' }, { strip: true })
  const token = await signer.sign(claims())

  t.equal(status(await ask([`Cookie: a=1; session=${token}; b=2`])), 200)
  t.match(origin.requests[0], /cookie: a=1; b=2\r\n/i)
  t.equal(status(await ask([`Cookie: session=${token}`])), 200)
  t.notMatch(origin.requests[1], /cookie/i)
  t.equal(status(await ask([`Cookie: session=${token}; session=x`])), 400, 'which of two would the upstream read?')
  t.equal(status(await ask([`Cookie: session=${token}`, bearer('x')])), 401, 'Authorization comes first')
})

t.test('keys that are not named are tried, and PEM files are read', async t => {
  const [one, two] = [createSigner('one'), createSigner('two')]
  const { ask } = await jwtRoute(t, [one, two].map(signer => ({ ...signer, jwk: { ...signer.jwk, kid: undefined } })))
  t.equal(status(await ask([bearer(await two.sign(claims(), { kid: undefined }))])), 200)
  t.equal(status(await ask([bearer(await createSigner('x').sign(claims(), { kid: undefined }))])), 401)

  const file = join(t.testdir({ key: '' }), 'key.pem')
  writeFileSync(file, one.publicKey.export({ type: 'spki', format: 'pem' }))
  const pem = await guarded(t, { jwt: { algorithms: ['ES256'], issuer, audience, keys: { file } } })
  t.equal(status(await pem.ask([bearer(await one.sign(claims(), { kid: undefined }))])), 200)
  writeFileSync(file, one.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  await t.rejects(guarded(t, { jwt: { algorithms: ['ES256'], issuer, audience, keys: { file } } }), /private key/)
})

t.test('keys are fetched once for all who ask, follow a rotation, and are not fetched for every unknown kid', async t => {
  const signers = [createSigner('one')]
  const held: Array<() => void> = []
  let hold = true
  const jwks = await startService(t, (_request, answer) => {
    const send = (): void => { answer.end(JSON.stringify({ keys: signers.map(({ jwk }) => jwk) })) }
    if (hold) held.push(send)
    else send()
  })
  const { ask, clock } = await guarded(t, { jwt: { algorithms: ['ES256'], issuer, audience, keys: { url: jwks.url, cooldown: '30s', refresh: '10m' }, remember: '10m' } })
  const token = await (signers[0] as Signer).sign(claims())

  const answers = Array.from({ length: 20 }, () => ask([bearer(token)]))
  await until(() => held.length === 1)
  hold = false
  held[0]?.()
  t.same(new Set((await Promise.all(answers)).map(status)), new Set([200]))
  t.equal(jwks.requests.length, 1, 'no stampede')

  signers[0] = createSigner('two')
  const next = await signers[0].sign(claims())
  t.equal(status(await ask([bearer(next)])), 401, 'too soon after the last fetch')
  t.equal(jwks.requests.length, 1)
  clock.at += 30_000
  t.equal(status(await ask([bearer(next)])), 200, 'the unknown kid made it fetch again')
  t.equal(jwks.requests.length, 2)
  t.equal(status(await ask([bearer(token)])), 401, 'and the key that is gone has signed nothing any more, remembered or not')
  for (let i = 0; i < 5; i++) t.equal(status(await ask([bearer(await createSigner(`x${i}`).sign(claims()))])), 401)
  t.equal(jwks.requests.length, 2, 'unknown names do not make it fetch at will')

  clock.at += 11 * 60_000
  const later = await signers[0].sign(claims({ exp: clock.at / 1000 + 600 }))
  t.equal(status(await ask([bearer(later)])), 200, 'old keys serve while new ones are fetched')
  await until(() => jwks.requests.length === 3)
})

t.test('an outage of the issuer: the last keys serve for a while, then 503', async t => {
  const signer = createSigner('one')
  type Mood = 'well' | 'down' | 'nonsense' | 'private' | 'empty' | 'huge' | 'redirect' | 'hangs'
  let mood: Mood = 'well'
  const jwks = await startService(t, (_request, answer) => {
    const keys = { well: { keys: [signer.jwk] }, nonsense: 'nonsense', private: { keys: [signer.privateKey.export({ format: 'jwk' })] }, empty: { keys: [] }, huge: { keys: [signer.jwk], filler: 'x'.repeat(maxKeySetBytes) } }
    if (mood === 'hangs') return
    if (mood === 'down') answer.writeHead(500).end()
    else if (mood === 'redirect') answer.writeHead(302, { location: '/other' }).end()
    else answer.end(JSON.stringify(keys[mood]))
  })
  const settings = { jwt: { algorithms: ['ES256'], issuer, audience, keys: { url: jwks.url, cooldown: '1s', refresh: '1m', keep: '10m', timeout: '200ms' }, remember: '1h' } }
  const { ask, clock } = await guarded(t, settings)
  const token = await signer.sign(claims({ exp: clockStart / 1000 + 86_400 }))
  const unknown = await createSigner('new').sign(claims({ exp: clockStart / 1000 + 86_400 }))

  t.equal(status(await ask([bearer(token)])), 200)
  for (const bad of ['down', 'nonsense', 'private', 'empty', 'huge', 'redirect', 'hangs'] as const) {
    mood = bad
    clock.at += 60_000
    t.equal(status(await ask([bearer(token)])), 200, bad)
    const answer = await ask([bearer(unknown)])
    t.same([status(answer), code(answer)], [503, 'auth_unavailable'], `${bad}: nobody can say whether there is such a key`)
  }
  clock.at += 5 * 60_000
  const answer = await ask([bearer(token)])
  t.same([status(answer), code(answer)], [503, 'auth_unavailable'], 'not for ever, remembered or not')
  t.match(answer, /retry-after: \d/i)
  mood = 'well'
  clock.at += 1000
  t.equal(status(await ask([bearer(token)])), 200)

  await jwks.close()
  const cold = await guarded(t, settings)
  t.equal(status(await cold.ask([bearer(token)])), 503, 'there never were any')
})

t.test('another service decides: what it says is passed on, and what it does not say is a failure', async t => {
  const seen: Array<Record<string, unknown>> = []
  const judge = await startService(t, (request, answer) => {
    seen.push({ ...request.headers, method: request.method })
    const who = request.headers.authorization
    if (who === 'ann') answer.writeHead(200, { 'x-user': 'Ann', 'x-role': 'admin' }).end('ignored')
    else if (who === 'nameless') answer.writeHead(204).end()
    else if (who === 'basic') answer.writeHead(401, { 'www-authenticate': ['Basic realm="judge"', 'Bearer'] }).end()
    else if (who === 'silent') answer.writeHead(401).end()
    else if (who === 'bad') answer.writeHead(403).end()
    else if (who === 'moved') answer.writeHead(302, { location: '/login' }).end()
    else if (who === 'broken') answer.writeHead(500).end()
    else if (who === 'cut') request.socket.destroy()
  })
  const { ask, origin } = await guarded(t, { external: { url: `${judge.url}check?x=1`, forwardFields: ['Authorization'], copyFields: ['X-Role'], subject: 'X-User', timeout: '200ms' }, identityField: 'x-who' })

  t.equal(status(await ask(['Authorization: ann', 'X-Role: root', 'x_role: root', 'Cookie: secret'], '/page?q=1')), 200)
  t.match(origin.requests[0], /x-who: Ann\r\n/)
  t.match(origin.requests[0], /x-role: admin\r\n/)
  t.notMatch(origin.requests[0], 'root')
  const { method, cookie, ...fields } = seen[0] as Record<string, string>
  t.match(fields, { 'x-forwarded-method': 'GET', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'proxy.test', 'x-forwarded-uri': '/page?q=1', 'x-forwarded-for': '127.0.0.1' })
  t.same([method, cookie, judge.requests[0]?.url], ['GET', undefined, '/check?x=1'])

  const expected: ReadonlyArray<readonly [string, number, string, readonly string[]]> = [
    ['basic', 401, 'unauthorized', ['Basic realm="judge"', 'Bearer']],
    ['silent', 401, 'unauthorized', ['Credential realm="Restricted"']],
    ['bad', 403, 'forbidden', []],
    ['nameless', 503, 'auth_unavailable', []],
    ['moved', 503, 'auth_unavailable', []],
    ['broken', 503, 'auth_unavailable', []],
    ['cut', 503, 'auth_unavailable', []],
    ['hangs', 503, 'auth_unavailable', []]
  ]
  for (const [who, ...rest] of expected) {
    const answer = await ask([`Authorization: ${who}`])
    t.same([status(answer), code(answer), challenges(answer)], rest, who)
  }
  t.equal(origin.requests.length, 1)
})

t.test('what another service let in is remembered for the same request, or for the same credentials where the route says so', async t => {
  const judge = await startService(t, (request, answer) => { answer.writeHead(request.headers.authorization === 'ann' ? 200 : 403).end() })
  const byRequest = await guarded(t, { external: { url: judge.url, remember: '10s' } })
  const count = async (act: () => Promise<unknown>): Promise<number> => {
    const before = judge.requests.length
    await act()
    return judge.requests.length - before
  }

  t.equal(await count(() => Promise.all(Array.from({ length: 10 }, () => byRequest.ask(['Authorization: ann'], '/a')))), 1, 'those who ask at once wait for one answer')
  t.equal(await count(() => byRequest.ask(['Authorization: ann'], '/a')), 0)
  t.equal(await count(() => byRequest.ask(['Authorization: ann'], '/b')), 1)
  t.equal(await count(() => byRequest.ask(['Authorization: bob'], '/a')), 1)
  t.equal(await count(() => byRequest.ask(['Authorization: bob'], '/a')), 1, 'a refusal is not remembered')
  byRequest.clock.at += 10_000
  t.equal(await count(() => byRequest.ask(['Authorization: ann'], '/a')), 1)

  const byCredentials = await guarded(t, { external: { url: judge.url, remember: '10s', rememberBy: 'credentials' } })
  await byCredentials.ask(['Authorization: ann'], '/a')
  t.equal(await count(() => byCredentials.ask(['Authorization: ann'], '/b')), 0)
  t.equal(await count(() => byCredentials.ask(['Authorization: ann', 'Cookie: a=1'], '/b')), 1, 'other credentials')
})

t.test('only so many ask another service at a time', async t => {
  const held: Array<() => void> = []
  const judge = await startService(t, (_request, answer) => { held.push(() => { answer.end() }) })
  const { ask } = await guarded(t, { external: { url: judge.url, concurrency: 2, timeout: '10s' } })

  const let2 = [ask([], '/1'), ask([], '/2')]
  await until(() => held.length === 2)
  const answer = await ask([], '/3')
  t.same([status(answer), code(answer)], [503, 'auth_overloaded'])
  for (const end of held) end()
  t.same((await Promise.all(let2)).map(status), [200, 200])
})

t.test('kinds are joined: one of them, all of several groups, one of several groups', async t => {
  const keys = { apiKeys: { keys: [{ name: 'key', hash: digest('key') }] } }
  const users = { basic: { users: { ann: await passwordHash('pw') } } }
  const tokens = { bearer: { tokens: [{ name: 'token', hash: digest('token') }] } }
  const key = 'X-Api-Key: key'
  const [ann, wrong, token] = [basic('ann', 'pw'), basic('ann', 'no'), bearer('token')]

  const one = await guarded(t, { ...keys, ...users, ...tokens })
  for (const fields of [[key], [ann], [token], [key, wrong]]) t.equal(status(await one.ask(fields)), 200, `one: ${fields.join()}`)
  t.same(challenges(await one.ask()), ['ApiKey', 'Bearer realm="Restricted"', 'Basic realm="Restricted", charset="UTF-8"'])

  const all = await guarded(t, { all: [keys, { ...users, ...tokens }], identityField: 'x-user' })
  for (const fields of [[key, ann], [key, token]]) t.equal(status(await all.ask(fields)), 200, `all: ${fields.join()}`)
  t.match(all.origin.requests[0], /x-user: key\r\n/, 'the first group names who asks')
  for (const fields of [[], [key], [ann], [key, wrong]]) t.equal(status(await all.ask(fields)), 401, `all: ${fields.join()}`)
  t.same(challenges(await all.ask([key])), ['Bearer realm="Restricted"', 'Basic realm="Restricted", charset="UTF-8"'], 'what is missing')
  t.same(challenges(await all.ask([ann])), ['ApiKey'])

  const any = await guarded(t, { any: [{ ...keys, ...users }, tokens], identityField: 'x-user' })
  for (const fields of [[key, ann], [token], [key, token]]) t.equal(status(await any.ask(fields)), 200, `any: ${fields.join()}`)
  t.match(any.origin.requests[2], /x-user: token\r\n/, 'of a group that does not fit nothing counts')
  for (const fields of [[], [key], [ann]]) t.equal(status(await any.ask(fields)), 401, `any: ${fields.join()}`)
})

t.test('a client cannot say who it is, in any spelling, on any route to the same upstream, nor take it away', async t => {
  const origin = await startRawOrigin(t, () => response('content'))
  const proxy = await startProxy(t, origin.url, {
    routes: [
      { name: 'closed', match: { path: '/closed' }, upstream: 'default', auth: { apiKeys: { keys: [{ name: 'ann', hash: digest('key') }] }, identityField: 'X-User', strip: true } },
      { name: 'open', upstream: 'default' }
    ]
  })
  const forged = ['X-User: root', 'x_user: root', 'X.User: root', 'X-USER: root', 'X_UsEr: root']

  t.equal(status(await talk(proxy.port, get('/closed', ['X-Api-Key: key', ...forged]))), 200)
  t.equal(status(await talk(proxy.port, 'GET /closed HTTP/1.1\r\nHost: a\r\nX-Api-Key: key\r\nConnection: close, x-user\r\n\r\n')), 200)
  t.equal(status(await talk(proxy.port, get('/open', forged))), 200)
  const [closed, nominated, open] = origin.requests as [string, string, string]
  t.same(closed.match(/x.user: .*/gi), ['x-user: ann'])
  t.match(nominated, /x-user: ann\r\n/, 'Connection cannot take it away')
  t.notMatch(open, /x.user/i)
  t.notMatch(closed, /x-api-key/i, 'stripped')
})

t.test('an identity is a field value whatever is in it, and two are never the same', async t => {
  for (const [text, expected] of [['ann', 'ann'], ['a b', 'a b'], [' a ', '%20a%20'], ['a\r\nx: y', 'a%0D%0Ax: y'], ['100%', '100%25'], ['%0D', '%250D'], ['ü€😀', '%C3%BC%E2%82%AC%F0%9F%98%80'], ['\u007f', '%7F'], ['\ud800', '%EF%BF%BD']] as const) t.equal(presentable(text), expected)
})

t.test('alternative names are read as Node writes them, and not believed otherwise', async t => {
  t.same(alternativeNames('DNS:Shop.test, URI:spiffe://a/b, email:a@b.test, IP Address:127.0.0.1'), ['dns:shop.test', 'uri:spiffe://a/b', 'email:a@b.test'])
  t.same(alternativeNames('URI:"http://a/, DNS:admin.test"'), ['uri:http://a/, DNS:admin.test'])
  for (const text of [undefined, '', 'DNS:a", DNS:b', 'DNS:"a', 'nonsense', 'DNS:"\\q"']) t.same(alternativeNames(text), [], String(text))
})

t.test('what makes no sense is refused when the configuration is read, and secrets are not shown', async t => {
  const hash = digest('x')
  const secret = 'hunter2'
  const keys = { apiKeys: { keys: [hash] } }
  const jwt = { algorithms: ['ES256'], issuer, audience, keys: { url: 'https://login.test/keys' } }
  const route = (auth: object, cache: object = {}): object => ({ upstreams: { main: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'a', upstream: 'main', auth, cache }] })
  const rules = (input: object): string[] => {
    try {
      resolveConfig(input)
      return []
    } catch (error) {
      t.notMatch((error as Error).message, secret)
      return (error as ConfigError).problems.map(({ path, rule }) => `${path.replace('/routes/0', '')} ${rule}`)
    }
  }

  const rows: ReadonlyArray<readonly [object, object, readonly string[]]> = [
    [keys, {}, []],
    [{}, {}, ['/auth credentials']],
    [{ ...keys, all: [keys] }, {}, ['/auth one-form']],
    [{ all: [{}] }, {}, ['/auth/all/0 credentials']],
    [{ basic: {} }, {}, ['/auth/basic users']],
    [{ basic: { users: { ann: secret } } }, {}, ['/auth/basic/users/ann pattern']],
    [{ basic: { users: { 'a:b': secret } } }, {}, ['/auth/basic/users/a:b name']],
    [{ bearer: { tokens: [{ name: 'a', hash: secret }] } }, {}, ['/auth/bearer/tokens/0/hash pattern']],
    [{ jwt }, {}, []],
    [{ jwt: { ...jwt, algorithms: ['HS256'] } }, {}, ['/auth/jwt/algorithms/0 enum']],
    [{ jwt: { ...jwt, algorithms: ['none'] } }, {}, ['/auth/jwt/algorithms/0 enum']],
    [{ jwt: { ...jwt, keys: {} } }, {}, ['/auth/jwt/keys one-source']],
    [{ jwt: { ...jwt, keys: { file: 'a', url: 'https://a/' } } }, {}, ['/auth/jwt/keys one-source']],
    [{ external: { url: 'http://user:pw@a/' } }, {}, ['/auth/external/url pattern']],
    [{ external: { url: 'http://a/', forwardFields: ['Content-Length'] } }, {}, ['/auth/external/forwardFields/0 forward-field']],
    [{ ...keys, identityField: 'Host' }, {}, ['/auth identity-field']],
    [{ ...keys, identityField: 'x-user', claimFields: { x_user: 'sub' } }, {}, ['/auth identity-field']],
    [{ clientCertificate: {} }, {}, ['/auth/clientCertificate client-certificates']],
    [{ ...keys, shared: true }, { key: { identity: true } }, ['/auth/shared shared-identity']],
    [keys, { storePrivate: true }, ['/cache/storePrivate private-identity']]
  ]
  for (const [auth, cache, expected] of rows) t.same(rules(route(auth, cache)), expected, JSON.stringify(auth).slice(0, 80))

  const warned = warningsFor(resolveConfig(route({ basic: { users: { ann: await passwordHash('x') } }, external: { url: 'http://judge.test/' }, shared: true })))
  t.same(warned.map(({ rule }) => rule), ['shared-content', 'open-password', 'open-authority'])
})

t.test('check warns of rules about fields in which authentication says who asks', async t => {
  const auth = { apiKeys: { keys: [digest('x')] }, identityField: 'X-User', claimFields: { 'x-tenant': 'tenant' } }
  const warned = (rewrite: object, other: object = { auth }): string[] => warningsFor(resolveConfig({
    upstreams: { main: { targets: ['http://127.0.0.1:1'] }, apart: { targets: ['http://127.0.0.1:1'] } },
    routes: [{ name: 'a', match: { path: '/:id/*' }, upstream: 'main', rewrite, ...other }, { name: 'b', upstream: 'main', auth }, { name: 'c', match: { path: '/c' }, upstream: 'apart' }]
  })).filter(({ rule }) => rule === 'identity-rule').map(({ path, message }) => `${path.replace('/routes/0/rewrite/', '')} ${/no effect/.test(message) ? 'void' : 'believed'}`)

  t.same(warned({ removeFields: ['x-user', 'x-other', 'X_Tenant'], setFields: { 'X-USER': 'a', 'x-other': '{auth.subject}' }, appendFields: { 'x-user': 'b' } }), ['removeFields/0 void', 'removeFields/2 void', 'setFields/X-USER void', 'appendFields/x-user void'])
  t.same(warned({ renameFields: { 'x-user': 'x-person', 'x-a': 'x-user' }, copyFields: { 'x-user': 'x-also', 'x-b': 'x-user' } }), ['renameFields/x-user void', 'renameFields/x-a void', 'copyFields/x-b void'])
  // A token need not have the claim, and an application may take one spelling for the other.
  t.same(warned({ setFields: { 'x-tenant': '{cookie.tenant}', x_user: '{field.x-a}' }, copyFields: { 'x-a': 'x_tenant' } }), ['copyFields/x-a believed', 'setFields/x-tenant believed', 'setFields/x_user believed'])
  t.same(warned({ setFields: { 'x-user': '{query.user}' }, renameFields: { 'x-a': 'x.user' }, copyFields: { 'x-user': 'x-a' } }, {}), ['renameFields/x-a believed', 'setFields/x-user believed'], 'a route without authentication to the same upstream')
  t.same(warned({ setFields: { 'x-user': 'nobody', x_user: '{auth.subject}', 'x-tenant': '{request.id}' }, removeFields: ['x-user'] }, {}), [], 'what the operator says is the operator\'s to say')
  t.same(warned({ setFields: { 'x-user': '{query.user}' } }, { upstream: 'apart' }), [], 'another upstream')
})
