/** The extensions in `examples/`, through a configuration and real sockets, with what the cache makes of them. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { signUrl } from '../../examples/signed-urls.ts'
import { createDatabase } from '../fixtures/mmdb.ts'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawOrigin } from '../fixtures/raw-origin.ts'
import type { Extension } from '../../src/index.ts'

const fresh = ['Cache-Control: max-age=60']

interface Example { readonly origin: RawOrigin, readonly ask: (path?: string, fields?: string[]) => Promise<string> }

async function startExample (t: Test, name: string, options: object | true, says: (text: string) => string, pluginOptions = {}, server = {}): Promise<Example> {
  const module = await import(`../../examples/${name}.ts`) as { default: Extension['plugin'], name: string, optionsSchema: object }
  const origin = await startRawOrigin(t, ({ text }) => says(text))
  const proxy = await startProxy(t, origin.url, {
    server,
    route: { extensions: { [module.name]: options } },
    holdfast: { extensions: [{ plugin: module.default, name: module.name, optionsSchema: module.optionsSchema, options: pluginOptions }] }
  })
  return { origin, ask: (path = '/', fields = []) => talk(proxy.port, get(path, fields)) }
}

const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4)
const fieldOf = (request: string | undefined, name: string): string => new RegExp(`\r\n${name}: ([^\r]*)`, 'i').exec(request ?? '')?.[1] ?? ''

t.test('ab-split: clients keep their variant, each variant is stored once, and no cookie of one client reaches another', async t => {
  const { origin, ask } = await startExample(t, 'ab-split', true, text => response(fieldOf(text, 'x-variant'), fresh))

  for (const variant of ['a', 'b', 'a', 'b']) {
    const answer = await ask('/', [`Cookie: session=${Math.random()}; variant=${variant}`])
    t.equal(bodyOf(answer), variant)
    t.notMatch(answer, /set-cookie/i)
    t.equal(fieldOf(answer, 'vary'), 'Cookie')
  }
  t.equal(origin.requests.length, 2)

  const drawn = await ask('/', ['Cookie: variant=forged', 'X-Variant: forged'])
  const variant = bodyOf(drawn)
  t.match(variant, /^[ab]$/)
  t.match(drawn, /; hit/)
  t.match(fieldOf(drawn, 'set-cookie'), `variant=${variant}; Path=/; Max-Age=2592000; SameSite=Lax; HttpOnly`)
  t.equal(origin.requests.length, 2)
})

t.test('ab-split: weights decide, and a variant of weight 0 is only for those who have it', async t => {
  const { ask } = await startExample(t, 'ab-split', { cookie: 'test', variants: { old: 0, new: 1 } }, text => response(fieldOf(text, 'x-variant'), fresh))

  for (let i = 0; i < 5; i++) t.equal(bodyOf(await ask()), 'new')
  t.equal(bodyOf(await ask('/', ['Cookie: test=old'])), 'old')
})

t.test('geo: the country comes from the database, is stored apart, cannot be forged, and follows a changed file', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-geo-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const file = join(folder, 'countries.mmdb')
  writeFileSync(file, createDatabase({ '127.0.0.0/8': 'DE', '192.0.2.0/24': 'FR', '198.51.100.7/32': 'JP' }))
  const { origin, ask } = await startExample(t, 'geo', true, text => response(fieldOf(text, 'x-country'), fresh), { file, checkMs: 10 }, { trustedProxies: ['loopback'] })
  const from = (address: string, more: string[] = []): Promise<string> => ask('/', [`X-Forwarded-For: ${address}`, ...more])

  for (const [address, country] of [['127.0.0.9', 'DE'], ['192.0.2.77', 'FR'], ['198.51.100.7', 'JP'], ['198.51.100.8', 'ZZ'], ['2001:db8::1', 'ZZ']] as const) {
    t.equal(bodyOf(await from(address)), country, address)
    t.match(await from(address, ['X-Country: US']), new RegExp(`; hit[^]*\r\n\r\n${country}$`), address)
  }
  t.equal(origin.requests.length, 4)

  writeFileSync(`${file}.new`, createDatabase({ '192.0.2.0/24': 'BE' }))
  renameSync(`${file}.new`, file)
  let seen = ''
  while (seen !== 'BE') seen = bodyOf(await from('192.0.2.77'))
  writeFileSync(file, 'no database')
  t.equal(bodyOf(await from('192.0.2.77')), 'BE', 'a file that is none changes nothing')
})

t.test('geo: without a database the start fails', async t => {
  await t.rejects(startExample(t, 'geo', true, () => response(), { file: '/does/not/exist.mmdb' }), { code: 'ENOENT' })
})

t.test('graphql-get: queries that ask for the same have one key; others, and what cannot be read, do not', async t => {
  const { origin, ask } = await startExample(t, 'graphql-get', true, text => response(new URL(text.split(' ')[1] as string, 'http://a').searchParams.get('query') ?? '', fresh))
  const url = (query: string, more: Record<string, string> = {}): string => `/graphql?${new URLSearchParams({ ...more, query })}`

  const first = await ask(url('query Q($b: Int, $a: Int) { item(id: $a, of: $b) { name } }', { variables: '{"a":1,"b":{"d":2,"c":3}}', operationName: 'Q' }))
  t.equal(bodyOf(first), 'query Q($a:Int$b:Int){item(id:$a of:$b){name}}')
  for (const [query, variables] of [
    ['query Q($a: Int $b: Int) {\n  item(of: $b, id: $a) { # which\n    name\n  }\n}', '{ "b": {"c":3,"d":2}, "a": 1 }'],
    ['query Q($b:Int,$a:Int){item(id:$a,of:$b){name,,,}}', '{"a":1,"b":{"c":3,"d":2}}']
  ] as const) t.match(await ask(url(query, { operationName: 'Q', variables })), /; hit/)
  t.equal(origin.requests.length, 1)

  for (const [query, variables] of [
    ['query Q($a: Int, $b: Int) { item(id: $a, of: $b) { name } }', '{"a":2,"b":{"d":2,"c":3}}'],
    ['query Q($a: Int, $b: Int) { item(id: $b, of: $a) { name } }', '{"a":1,"b":{"d":2,"c":3}}'],
    ['query Q($a: Int, $b: Int) { item(id: $a, of: $b) { id } }', '{"a":1,"b":{"d":2,"c":3}}'],
    ['{ text(of: "a  b") }', '{}'], ['{ text(of: "a b") }', '{}']
  ] as const) t.match(await ask(url(query, { variables })), /fwd=uri-miss/, query)

  const before = origin.requests.length
  for (const path of [url('{ broken'), url('{ a }', { variables: '{"a":12345678901234567}' }), `${url('{ a }')}&query=%7Bb%7D`, url(`{ ${'a '.repeat(3000)} }`), url('{ a }', { x: 'y'.repeat(8192) })]) {
    const asked = await ask(path)
    t.match(asked, /fwd=bypass.*detail=own-filter/, path.slice(0, 80))
    t.equal(origin.requests.at(-1)?.split(' ')[1], path, 'forwarded as it is')
  }
  t.equal(origin.requests.length, before + 5)
  t.match(await ask(url('mutation { remove(id: 1) }')), /^HTTP\/1\.1 405 [^]*allow: POST/i)
  t.equal(origin.requests.length, before + 5)
})

t.test('signed-urls: who has a valid one shares one stored response; every other request ends here', async t => {
  const old = { name: 'k1', secret: 'an old secret of more than 32 characters' }
  const current = { name: 'k2', secret: 'a new secret of more than 32 characters.' }
  const { origin, ask } = await startExample(t, 'signed-urls', { keys: { k1: old.secret, k2: current.secret } }, text => response(text.split(' ')[1] as string, fresh))
  const soon = Math.floor(Date.now() / 1000) + 600

  t.equal(bodyOf(await ask(signUrl('/video?size=big', current, soon))), '/video?size=big')
  t.match(await ask(signUrl('/video?size=big', old, soon + 1)), /; hit/, 'both keys are in force while one goes and the other comes')
  t.equal(bodyOf(await ask(signUrl('/video', current, soon))), '/video', 'the upstream sees nothing of the signature')
  t.equal(origin.requests.length, 2)

  const good = signUrl('/video?size=big', current, soon)
  for (const [title, url] of [
    ['without a signature', '/video?size=big'],
    ['expired', signUrl('/video?size=big', current, Math.floor(Date.now() / 1000) - 1)],
    ['another path', good.replace('/video', '/videos')],
    ['another query', good.replace('big', 'small')],
    ['a later end', good.replace(`expires=${soon}`, `expires=${soon + 1}`)],
    ['another key', good.replace('key=k2', 'key=k1')],
    ['a key that is none', good.replace('key=k2', 'key=constructor')],
    ['a signature cut off', good.slice(0, -1)],
    ['a signature altered', good.slice(0, -2) + (good.at(-2) === 'A' ? 'B' : 'A') + good.at(-1)],
    ['something behind the signature', `${good}&admin=1`],
    ['signed with nothing for a key that is none', signUrl('/video?size=big', { name: 'k3', secret: '' }, soon)]
  ] as const) {
    const answer = await ask(url)
    t.match(answer, /^HTTP\/1\.1 403 [^]*no-store/, title)
    t.notMatch(answer, /; hit/, title)
  }
  t.equal(origin.requests.length, 2)
})

t.test('signed-urls: secrets do not show in what is told of a wrong configuration', async t => {
  await t.rejects(startExample(t, 'signed-urls', { keys: { k1: 'short-secret' } }, () => response()), { message: /^(?![^]*short-secret)[^]*at least 32 characters/ })
})
