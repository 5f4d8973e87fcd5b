/** The extensions in `examples/`, through a configuration and real sockets, with what the cache makes of them. */
import { createHash } from 'node:crypto'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { signUrl } from '../../examples/signed-urls.ts'
import * as watermark from '../../examples/watermark.ts'
import { readAnswer, type Answer } from '../fixtures/answers.ts'
import { digest } from '../fixtures/auth.ts'
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

const page = `<html><body>${'<p>text</p>'.repeat(300)}</BODY></html>`
const mark = '<div class="watermark">Draft &#60;b&#62; &#252;</div>'
const marked = page.replace('</BODY>', `${mark}</BODY>`)
const digestOf = (text: string): string => createHash('sha256').update(JSON.stringify([text, 'watermark'])).digest('hex').slice(0, 8)

interface Page { readonly type?: string, readonly control?: string, readonly body?: string }

/** An origin server of one page, which knows conditions, ranges and HEAD. */
function pageServer ({ type = 'text/html; charset=utf-8', control = 'max-age=60', body = page }: Page = {}) {
  return ({ text }: { text: string }): string => {
    const head = [`Content-Type: ${type}`, `Cache-Control: ${control}`, 'ETag: "v1"', 'Accept-Ranges: bytes']
    if (/\r\nif-none-match: [^\r]*"v1"/i.test(text)) return `HTTP/1.1 304 Not Modified\r\n${head.join('\r\n')}\r\n\r\n`
    const [, first, last] = /\r\nrange: bytes=(\d+)-(\d+)/i.exec(text) ?? []
    if (first !== undefined) return response(body.slice(Number(first), Number(last) + 1), [...head, `Content-Range: bytes ${first}-${last}/${body.length}`], '206 Partial Content')
    return text.startsWith('HEAD') ? `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${head.join('\r\n')}\r\n\r\n` : response(body, head)
  }
}

async function startWatermark (t: Test, text: string, served: Page = {}, route = {}) {
  const origin = await startRawOrigin(t, pageServer(served))
  const proxy = await startProxy(t, origin.url, {
    route: { transforms: ['watermark'], ...route },
    holdfast: { extensions: [{ ...watermark, plugin: watermark.default, options: { text } }] }
  })
  const ask = async (fields: string[] = [], path = '/', method = 'GET'): Promise<Answer> => readAnswer(await talk(proxy.port, get(path, fields).replace('GET', method)))
  return { origin, ask }
}

t.test('watermark: a page is marked once, before it is stored, and its head is true of it', async t => {
  const { origin, ask } = await startWatermark(t, 'Draft <b> ü')
  const tag = `W/"v1~holdfast.watermark@${digestOf('Draft <b> ü')}"`

  const miss = await ask()
  const hit = await ask()
  const head = await ask([], '/', 'HEAD')
  const confirmed = await ask([`If-None-Match: ${tag}`])
  const part = await ask([`Range: bytes=${marked.indexOf(mark)}-${marked.indexOf(mark) + mark.length - 1}`])

  for (const answer of [miss, hit]) {
    t.equal(answer.status, 200)
    t.equal(answer.body.toString(), marked)
    t.ok(answer.complete)
  }
  for (const answer of [miss, hit, head, confirmed, part]) t.equal(answer.fields['etag'], tag)
  t.match(hit.fields['cache-status'], /; hit/)
  t.equal(hit.fields['content-length'], String(marked.length))
  t.equal(head.fields['content-length'], String(marked.length))
  t.equal(head.body.length, 0)
  t.equal(confirmed.status, 304)
  t.equal(part.status, 206)
  t.equal(part.body.toString(), mark, 'a part is one of the marked page')
  t.equal(origin.requests.length, 1)
})

t.test('watermark: no part of the unmarked page passes, nor what a HEAD says of it', async t => {
  const { ask } = await startWatermark(t, 'Draft <b> ü')

  const part = await ask(['Range: bytes=0-9'], '/part')
  const head = await ask([], '/head', 'HEAD')
  const confirmed = await ask(['If-None-Match: "v1"'], '/original')
  const own = await ask([`If-None-Match: W/"v1~holdfast.watermark@${digestOf('Draft <b> ü')}"`], '/own')
  const old = await ask(['If-None-Match: W/"v1~holdfast.watermark@00000000"'], '/old')

  t.equal(part.status, 200)
  t.equal(part.body.toString(), marked)
  t.equal(head.fields['content-length'], undefined, 'not that of the unmarked page')
  t.equal(head.fields['accept-ranges'], undefined)
  t.equal(own.status, 304)
  t.equal(old.body.toString(), marked, 'a page with another text is no copy of this one')
  t.same([confirmed.status, confirmed.fields['etag'], confirmed.body.length], [304, '"v1"', 0], 'who has the page from before it was marked is told that it is that one')
})

t.test('watermark: what must not be changed, or is no page, passes as it is', async t => {
  for (const [title, served, path] of [
    ['no-transform', { control: 'max-age=60, no-transform' }, '/'],
    ['no HTML', { type: 'application/json' }, '/'],
    ['an encoding without ASCII', { type: 'text/html; charset=UTF-16LE' }, '/']
  ] as const) {
    const { ask } = await startWatermark(t, 'Draft', served)
    const [miss, hit] = [await ask([], path), await ask([], path)]
    for (const answer of [miss, hit]) {
      t.equal(answer.body.toString(), page, title)
      t.equal(answer.fields['etag'], '"v1"', title)
    }
    t.match(hit.fields['cache-status'], /; hit/, title)
    t.equal((await ask(['Range: bytes=0-9'], path)).body.toString(), page.slice(0, 10), title)
  }
})

t.test('watermark: a page without an end of its body, and an empty one, are marked at their end', async t => {
  for (const body of ['', '<p>text</p>', `</body>${'x'.repeat(2000)}`]) {
    const { ask } = await startWatermark(t, 'Draft', { body })
    t.equal((await ask()).body.toString(), `${body}<div class="watermark">Draft</div>`)
  }
})

t.test('watermark: with {subject} each client gets its own mark in what is stored once', async t => {
  const { origin, ask } = await startWatermark(t, 'For {subject}', {}, {
    auth: { apiKeys: { keys: [{ name: 'ann', hash: digest('key-a') }, { name: 'bob', hash: digest('key-b') }] }, shared: true }
  })
  const pageFor = (who: string): string => page.replace('</BODY>', `<div class="watermark">For ${who}</div></BODY>`)

  for (const [key, who] of [['key-a', 'ann'], ['key-b', 'bob'], ['key-a', 'ann']]) {
    const answer = await ask([`X-Api-Key: ${key}`])
    t.equal(answer.body.toString(), pageFor(who as string))
    const part = await ask([`X-Api-Key: ${key}`, 'Range: bytes=0-9'])
    t.equal(part.status, 200, 'a part of the stored page would be an unmarked one')
    t.equal(part.body.toString(), pageFor(who as string))
    const head = await ask([`X-Api-Key: ${key}`], '/', 'HEAD')
    t.equal(head.fields['etag'], answer.fields['etag'])
    for (const { fields } of [answer, part, head]) t.equal(fields['cache-control'], 'private, no-store', 'no cache nearer to the client gives it to another one')
  }
  t.equal((await ask()).status, 401)
  t.equal(origin.requests.length, 1)
})

t.test('watermark: it needs a text', async t => {
  await t.rejects(startProxy(t, 'http://127.0.0.1:1', { holdfast: { extensions: [{ ...watermark, plugin: watermark.default }] } }), { message: /options\/text {2}is missing/ })
})
