/**
 * Two users on every kind of authentication: what one may see is never given to the other, be it fresh, stale, collapsed or
 * validated, unless the response or the route permits it; and where it is permitted, it is shared.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { basic, bearer, createAuthority, createSigner, digest, passwordHash, startService, type Certificate } from '../fixtures/auth.ts'
import { bodyOf } from '../fixtures/conformance.ts'
import { startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-auth-'))
t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
const fileOf = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}

/** What a client sends to be let in. */
interface Credential {
  readonly fields?: readonly string[]
  /** Put behind the query. */
  readonly query?: string
  readonly certificate?: Certificate
}

interface Kind {
  readonly name: string
  readonly auth: object
  readonly server?: Record<string, unknown>
  readonly users: Readonly<Record<'ann' | 'bob', Credential>>
}

const clockStart = Date.UTC(2026, 5, 1, 12)
const authority = await createAuthority('authority')
const server = await authority.issue('proxy')
const signer = createSigner('one')
const token = (sub: string): Promise<string> => signer.sign({ iss: 'i', aud: 'a', sub, exp: clockStart / 1000 + 3600 })
const judge = await startService(t, (request, answer) => { answer.writeHead(200, { 'x-subject': request.headers['x-session'] ?? request.headers.authorization?.split(' ').at(-1) ?? 'nobody' }).end() })
const named = (name: string): object => ({ name, hash: digest(`secret-${name}`) })

const kinds: readonly Kind[] = [
  { name: 'API key in a field', auth: { apiKeys: { keys: [named('ann'), named('bob')] } }, users: { ann: { fields: ['X-Api-Key: secret-ann'] }, bob: { fields: ['X-Api-Key: secret-bob'] } } },
  { name: 'API key in the query', auth: { apiKeys: { query: 'key', keys: [named('ann'), named('bob')] } }, users: { ann: { query: '&key=secret-ann' }, bob: { query: '&key=secret-bob' } } },
  { name: 'password', auth: { basic: { users: { ann: await passwordHash('a'), bob: await passwordHash('b') } } }, users: { ann: { fields: [basic('ann', 'a')] }, bob: { fields: [basic('bob', 'b')] } } },
  { name: 'bearer token', auth: { bearer: { tokens: [named('ann'), named('bob')] } }, users: { ann: { fields: [bearer('secret-ann')] }, bob: { fields: [bearer('secret-bob')] } } },
  {
    name: 'JWT',
    auth: { jwt: { algorithms: ['ES256'], issuer: 'i', audience: 'a', keys: { file: fileOf('keys.json', JSON.stringify({ keys: [signer.jwk] })) } } },
    users: { ann: { fields: [bearer(await token('ann'))] }, bob: { fields: [bearer(await token('bob'))] } }
  },
  {
    name: 'JWT in a cookie',
    auth: { jwt: { algorithms: ['ES256'], issuer: 'i', audience: 'a', cookie: 'session', keys: { file: join(folder, 'keys.json') } } },
    users: { ann: { fields: [`Cookie: session=${await token('ann')}`] }, bob: { fields: [`Cookie: session=${await token('bob')}`] } }
  },
  { name: 'another service, by Authorization', auth: { external: { url: judge.url, subject: 'x-subject' } }, users: { ann: { fields: ['Authorization: Custom ann'] }, bob: { fields: ['Authorization: Custom bob'] } } },
  { name: 'another service, by another field', auth: { external: { url: judge.url, subject: 'x-subject', forwardFields: ['x-session'] } }, users: { ann: { fields: ['X-Session: ann'] }, bob: { fields: ['X-Session: bob'] } } },
  {
    name: 'client certificate',
    auth: { clientCertificate: {} },
    server: { tls: { certificates: [{ cert: fileOf('server.pem', server.cert), key: fileOf('server.key', server.key) }], clientCertificates: { ca: fileOf('ca.pem', authority.cert) } } },
    users: { ann: { certificate: await authority.issue('ann') }, bob: { certificate: await authority.issue('bob') } }
  },
  {
    name: 'several credentials',
    auth: { all: [{ apiKeys: { keys: [named('app')] } }, { bearer: { tokens: [named('ann'), named('bob')] } }] },
    users: { ann: { fields: ['X-Api-Key: secret-app', bearer('secret-ann')] }, bob: { fields: ['X-Api-Key: secret-app', bearer('secret-bob')] } }
  }
]

type Who = 'ann' | 'bob'

/** An origin server that says who asked; what its answers allow stands in the query. */
async function start (t: Test, kind: Kind, auth: object = {}, cache: object = {}) {
  const clock = { at: clockStart }
  let lookups = 0
  let failing = false
  const held: Array<() => void> = []
  let holding = false
  const origin = await startRawOrigin(t, ({ socket, text, count }) => {
    const control = decodeURIComponent(/[?&]cc=([^& ]*)/.exec(text)?.[1] ?? '')
    const who = whoAsks(kind, text)
    const answer = failing
      ? response('failed', [], '503 Service Unavailable')
      : /if-none-match: "1"/i.test(text)
        ? ['HTTP/1.1 304 Not Modified', 'ETag: "1"', `Cache-Control: ${control}`, '', ''].join('\r\n')
        : response(`for ${who} ${count}`, [`Cache-Control: ${control}`, ...text.includes('etag') ? ['ETag: "1"'] : []])
    if (!holding) return answer
    held.push(() => { socket.write(answer) })
    return undefined
  })
  const deviceClass = (): string => {
    lookups++
    return ''
  }
  const proxy = await startProxy(t, origin.url, {
    ...kind.server !== undefined && { server: kind.server },
    route: { auth: { ...kind.auth, ...auth, identityField: 'x-user' }, cache },
    holdfast: { now: () => clock.at, deviceClass }
  })

  return {
    clock,
    origin,
    proxy,
    held,
    lookups: () => lookups,
    fail () { failing = true },
    hold () { holding = true },
    release () {
      holding = false
      for (const send of held.splice(0)) send()
    },
    ask: (who: Who, control: string, path = '/page', method = 'GET', more: readonly string[] = []): Promise<string> => send(proxy.port, kind.users[who], `${path}?cc=${encodeURIComponent(control)}`, method, more)
  }
}

/** As far as the origin server can tell: of several credentials the first is the same for both. */
function whoAsks (kind: Kind, text: string): string {
  if (kind.name === 'several credentials') return /secret-(ann|bob)/.exec(text)?.[1] ?? 'nobody'
  return /x-user: (\S+)/.exec(text)?.[1] ?? 'nobody'
}

function send (port: number, { fields = [], query = '', certificate }: Credential, target: string, method: string, more: readonly string[]): Promise<string> {
  const lines = ['Host: proxy.test', 'Connection: close', ...fields, ...more]
  if (certificate === undefined) return talk(port, [`${method} ${target}${query} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
  return new Promise((resolve, reject) => {
    const headers = lines.flatMap(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)])
    https.request({ port, host: '127.0.0.1', path: target + query, method, headers, agent: false, rejectUnauthorized: false, ...certificate }, answer => {
      let text = `HTTP/1.1 ${answer.statusCode}\r\n`
      for (let i = 0; i + 1 < answer.rawHeaders.length; i += 2) text += `${answer.rawHeaders[i]}: ${answer.rawHeaders[i + 1]}\r\n`
      text += '\r\n'
      answer.on('data', chunk => { text += chunk }).on('end', () => { resolve(text) })
    }).on('error', reject).end()
  })
}

const whose = (answer: string): string => /^for (\w+)/.exec(bodyOf(answer))?.[1] ?? `nobody: ${answer.slice(0, 200)}`
const isHit = (answer: string): boolean => /cache-status: [^\r]*; hit/i.test(answer)

for (const kind of kinds) {
  t.test(`${kind.name}: without permission each gets what is their own (RFC 9111 3.5)`, async t => {
    await t.test('fresh', async t => {
      const { ask, origin } = await start(t, kind)
      for (const who of ['ann', 'bob', 'ann'] as const) t.equal(whose(await ask(who, 'max-age=60')), who)
      t.equal(origin.requests.length, 3)
      t.match(await ask('ann', 'max-age=60'), /detail=authorization/)
    })
    await t.test('stale, also when the upstream fails', async t => {
      const { ask, clock, fail } = await start(t, kind)
      const control = 'max-age=1, stale-while-revalidate=600, stale-if-error=600'
      t.equal(whose(await ask('ann', control)), 'ann')
      clock.at += 10_000
      t.equal(whose(await ask('bob', control)), 'bob')
      fail()
      t.match(await ask('bob', control), /^HTTP\/1\.1 503/)
    })
    await t.test('collapsed', async t => {
      const { ask, hold, held, lookups, release, origin } = await start(t, kind)
      hold()
      const ann = ask('ann', 'max-age=60')
      await until(() => held.length === 1)
      const bob = ask('bob', 'max-age=60')
      await until(() => lookups() === 2)
      release()
      t.equal(whose(await ann), 'ann')
      t.equal(whose(await bob), 'bob')
      t.equal(origin.requests.length, 2)
    })
    await t.test('validated', async t => {
      const { ask, clock, origin } = await start(t, kind)
      t.equal(whose(await ask('ann', 'max-age=1', '/etag')), 'ann')
      clock.at += 10_000
      t.equal(whose(await ask('bob', 'max-age=1', '/etag')), 'bob')
      t.notMatch(origin.requests[1], /if-none-match/i)
    })
  })

  t.test(`${kind.name}: what says that it is public is shared (RFC 9111 3.5), and so is everything where the route says so`, async t => {
    for (const [title, permission, auth] of [['by the response', 'public, ', {}], ['by the route', '', { shared: true }]] as const) {
      await t.test(title, async t => {
        const { ask, clock, origin, hold, held, lookups, release } = await start(t, kind, auth)
        t.equal(whose(await ask('ann', `${permission}max-age=60`)), 'ann')
        const hit = await ask('bob', `${permission}max-age=60`)
        t.same([whose(hit), isHit(hit)], ['ann', true], 'fresh')

        const control = `${permission}max-age=1, stale-while-revalidate=600`
        await ask('ann', control, '/stale')
        clock.at += 10_000
        const before = origin.requests.length
        t.equal(whose(await ask('bob', control, '/stale')), 'ann', 'stale')
        await until(() => origin.requests.length === before + 1)

        await ask('ann', `${permission}max-age=1`, '/etag')
        clock.at += 10_000
        const validated = await ask('bob', `${permission}max-age=1`, '/etag')
        t.equal(whose(validated), 'ann', 'validated')
        t.match(origin.requests.at(-1), /if-none-match: "1"/i)

        hold()
        const asked = lookups()
        const ann = ask('ann', `${permission}max-age=60`, '/together')
        await until(() => held.length === 1)
        const bob = ask('bob', `${permission}max-age=60`, '/together')
        await until(() => lookups() === asked + 2)
        release()
        t.same([whose(await ann), whose(await bob)], ['ann', 'ann'], 'collapsed')
      })
    }
  })

  t.test(`${kind.name}: with keys by identity each has what is stored for them, and nobody else`, async t => {
    const { ask, clock, origin, hold, held, lookups, release } = await start(t, kind, {}, { key: { identity: true } })
    const both = async (control: string, path: string): Promise<void> => {
      for (const who of ['ann', 'bob'] as const) t.equal(whose(await ask(who, control, path)), who, path)
      for (const who of ['ann', 'bob'] as const) {
        const answer = await ask(who, control, path)
        t.same([whose(answer), isHit(answer)], [who, true], path)
      }
    }
    await both('max-age=60', '/fresh')
    t.equal(origin.requests.length, 2)

    await both('max-age=5, stale-while-revalidate=600', '/stale')
    clock.at += 10_000
    for (const who of ['ann', 'bob'] as const) {
      const before = origin.requests.length
      const answer = await ask(who, 'max-age=5, stale-while-revalidate=600', '/stale')
      t.same([whose(answer), isHit(answer)], [who, true], 'stale')
      await until(() => origin.requests.length === before + 1)
      t.equal(whoAsks(kind, origin.requests.at(-1) as string), who, 'validated behind their back with their own credentials')
    }

    await both('max-age=5', '/etag')
    clock.at += 10_000
    for (const who of ['bob', 'ann'] as const) {
      t.equal(whose(await ask(who, 'max-age=5', '/etag')), who, 'validated')
      t.match(origin.requests.at(-1), /if-none-match: "1"/i)
    }

    hold()
    const asked = lookups()
    const before = origin.requests.length
    const answers = (['ann', 'bob', 'ann', 'bob'] as const).map(who => ask(who, 'max-age=60', '/together'))
    await until(() => lookups() === asked + 4 && held.length === 2)
    release()
    t.same((await Promise.all(answers)).map(whose), ['ann', 'bob', 'ann', 'bob'], 'collapsed by identity')
    t.equal(origin.requests.length, before + 2)

    await both('max-age=60', '/changed')
    await ask('bob', '', '/changed', 'DELETE')
    const invalidated = await ask('ann', '', '/changed')
    t.notOk(isHit(invalidated), 'another query is another URI')
    await ask('bob', 'max-age=60', '/changed', 'DELETE')
    for (const who of ['ann', 'bob'] as const) t.notOk(isHit(await ask(who, 'max-age=60', '/changed')), 'an unsafe request of one reaches what is stored for all (RFC 9111 4.4)')

    await ask('ann', 'private, max-age=60', '/private')
    t.notOk(isHit(await ask('ann', 'private, max-age=60', '/private')), 'private is not stored unless the route says so')
  })
}

const [byKey] = kinds as [Kind]

t.test('what is private is stored for its identity alone where the route says so', async t => {
  const { ask, clock, origin } = await start(t, byKey, {}, { key: { identity: true }, storePrivate: true })

  for (const who of ['ann', 'bob'] as const) t.equal(whose(await ask(who, 'private, max-age=5', '/etag')), who)
  for (const who of ['ann', 'bob'] as const) {
    const answer = await ask(who, 'private, max-age=5', '/etag')
    t.same([whose(answer), isHit(answer)], [who, true])
  }
  clock.at += 10_000
  t.equal(whose(await ask('ann', 'private, max-age=5', '/etag')), 'ann')
  t.ok(isHit(await ask('ann', 'private, max-age=5', '/etag')), 'and stays when it is validated')
  t.equal(origin.requests.length, 3)
})

t.test('a 304 that does not permit sharing leaves what is stored as it was', async t => {
  let control = 'public, max-age=1'
  const clock = { at: clockStart }
  const origin = await startRawOrigin(t, ({ text }) => /if-none-match/i.test(text)
    ? `HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: ${control}\r\n\r\n`
    : response('for all', [`Cache-Control: ${control}`, 'ETag: "1"']))
  const proxy = await startProxy(t, origin.url, { route: { auth: byKey.auth }, holdfast: { now: () => clock.at } })
  const ask = (who: Who): Promise<string> => send(proxy.port, byKey.users[who], '/', 'GET', [])

  await ask('ann')
  control = 'max-age=60'
  clock.at += 10_000
  await ask('ann')
  t.notOk(isHit(await ask('bob')), 'what was confirmed to one is not fresh for the other')
})

t.test('an Authorization that nobody here looked at is the business of its owner, whatever else let the request in', async t => {
  for (const [auth, cache] of [[{ shared: true }, {}], [{}, { key: { identity: true } }]] as const) {
    const { ask } = await start(t, byKey, auth, cache)
    await ask('ann', 'max-age=60', '/page', 'GET', [bearer('of-somebody')])
    t.match(await ask('ann', 'max-age=60', '/page', 'GET', [bearer('of-somebody-else')]), /fwd=uri-miss[^\r]*detail=authorization/)
  }
})

t.test('credentials that are stripped are not in what Vary selects by, and the identity is', async t => {
  const origin = await startRawOrigin(t, ({ text, count }) => response(`for ${/x-user: (\w+)/.exec(text)?.[1]} ${count}`, ['Cache-Control: public, max-age=60', `Vary: ${text.includes('/by-user') ? 'X-User' : 'X-Api-Key'}`]))
  const proxy = await startProxy(t, origin.url, { route: { auth: { ...byKey.auth, strip: true, identityField: 'X-User' } } })
  const ask = (who: Who, path: string): Promise<string> => send(proxy.port, byKey.users[who], path, 'GET', [])

  await ask('ann', '/by-key')
  t.ok(isHit(await ask('bob', '/by-key')), 'the origin server has seen no key')
  t.notMatch(origin.requests.join(), /x-api-key|secret-/i)
  for (const who of ['ann', 'bob', 'ann', 'bob'] as const) t.equal(whose(await ask(who, '/by-user')), who)
  t.equal(origin.requests.length, 3)
})

t.test('where each identity has its own key and nobody is known, nothing is stored', async t => {
  const origin = await startRawOrigin(t, () => response('content', ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { route: { cache: { key: { identity: true } } } })

  for (let i = 0; i < 2; i++) t.match(await send(proxy.port, {}, '/', 'GET', []), /fwd=bypass[^\r]*detail=no-identity/)
})

t.test('the same name in two kinds is not the same identity', async t => {
  const auth = { apiKeys: { keys: [named('ann')] }, bearer: { tokens: [named('ann')] } }
  const origin = await startRawOrigin(t, ({ count }) => response(`${count}`, ['Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url, { route: { auth, cache: { key: { identity: true } } } })

  await send(proxy.port, { fields: ['X-Api-Key: secret-ann'] }, '/', 'GET', [])
  t.notOk(isHit(await send(proxy.port, { fields: [bearer('secret-ann')] }, '/', 'GET', [])))
})
