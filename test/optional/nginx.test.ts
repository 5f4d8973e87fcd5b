/** In front of nginx: what a client gets through the proxy is what it gets from nginx itself, stored or not. */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { ask, compare, octets, visible, type Ask } from '../fixtures/compare.ts'
import { nginxMissing, startNginx, type Nginx } from '../fixtures/nginx.ts'
import { startProxy, talk, until } from '../fixtures/proxy.ts'

const KiB = 1024
const MiB = 1024 * KiB
const sizes = [0, 1, 64 * KiB, 5 * MiB]
const text = 'some words that compress well, '.repeat(500)

/** nginx with its files, and the proxy in front. The client's Host goes on: nginx writes it into redirects. */
async function both (t: Test): Promise<{ nginx: Nginx, origin: string, proxy: string }> {
  const nginx = await startNginx(t)
  mkdirSync(join(nginx.files, 'folder'))
  for (const [name, content] of [
    ['page.html', '<p>page</p>'.repeat(200)],
    ['folder/index.html', '<p>index</p>'],
    ['not-found.html', '<p>nothing here</p>'],
    ['caf\u00e9 \u65e5\u672c.txt', 'Unicode'],
    ['packed/text.txt', text],
    ['zipped/text.txt', text],
    ['zipped/text.txt.gz', gzipSync(text)],
    ['listed/\u00fc.txt', '1'],
    ...sizes.map(bytes => [`${bytes}.bin`, Buffer.concat([...octets(bytes)])] as const)
  ] as const) {
    writeFileSync(join(nginx.files, name), content)
    utimesSync(join(nginx.files, name), 1_700_000_000, 1_700_000_000)
  }
  const { url } = await startProxy(t, nginx.url, { upstream: { host: 'client' } })
  return { nginx, origin: nginx.url, proxy: url }
}

/** A test that is skipped, and says why, where there is no nginx. */
function test (title: string, run: (t: Test) => Promise<void>): void {
  t.test(title, { skip: nginxMissing }, run)
}

test('files of every size, GET and HEAD, without and with a lifetime', async t => {
  const { origin, proxy } = await both(t)
  await compare(t, origin, proxy, sizes.flatMap((bytes): Ask[] => [
    { title: `HEAD of ${bytes} octets`, method: 'HEAD', path: `/for-years/${bytes}.bin` },
    { title: `GET of ${bytes} octets`, path: `/for-years/${bytes}.bin`, hit: true },
    { title: `HEAD of ${bytes} octets after the GET`, method: 'HEAD', path: `/for-years/${bytes}.bin`, hit: true },
    { title: `GET of ${bytes} octets, lifetime by heuristics`, path: `/${bytes}.bin` }
  ]))
})

test('200 MB come through octet by octet, and go up to the origin server the same way, with length and chunked', async t => {
  const { nginx, origin, proxy } = await both(t)
  const bytes = 200 * MiB
  await writeFile(join(nginx.files, 'large.bin'), octets(bytes))

  const direct = await ask(origin, { title: '', path: '/large.bin' })
  t.equal(direct.bytes, bytes)
  t.same(visible(await ask(proxy, { title: '', path: '/large.bin' }), direct, false), visible(direct, direct, false))

  for (const chunked of [false, true]) {
    const answer = await ask(proxy, { title: '', method: 'PUT', path: `/dav/large-${chunked}.bin`, body: { bytes, chunked } })
    t.equal(answer.status, 201)
    t.equal(await digestOf(join(nginx.written, `large-${chunked}.bin`)), direct.digest)
  }
})

test('PUT, MKCOL, MOVE and DELETE do to the origin server what they do without the proxy', async t => {
  const { nginx, origin, proxy } = await both(t)
  const answers: Record<string, unknown[]> = { direct: [], proxied: [] }
  for (const [name, url] of [['direct', origin], ['proxied', proxy]] as const) {
    const at = `/dav/${name}`
    for (const asked of [
      ...sizes.flatMap(bytes => [false, true].map(chunked => ({ method: 'PUT', path: `${at}/${bytes}-${chunked}`, body: { bytes, chunked } }))),
      { method: 'PUT', path: `${at}/1-true`, body: { bytes: 5 } },
      { method: 'MKCOL', path: `${at}/new/`, body: { bytes: 0 } },
      { method: 'MKCOL', path: `${at}/new/`, body: { bytes: 0 } },
      { method: 'MOVE', path: `${at}/1-false`, body: { bytes: 0 }, fields: [['Destination', `${at}/new/moved`] as const] },
      { method: 'COPY', path: `${at}/0-false`, body: { bytes: 0 }, fields: [['Destination', `${at}/new/copied`] as const] },
      { method: 'DELETE', path: `${at}/0-true` },
      { method: 'DELETE', path: `${at}/0-true` },
      { method: 'GET', path: `${at}/5242880-true` }
    ]) {
      const answer = await ask(url, { title: '', ...asked })
      const seen = visible(answer, answer, false) as { status: number, fields: Record<string, string[]> }
      // Names and times of what was just written differ by nature.
      for (const field of ['location', 'last-modified', 'etag']) if (seen.fields[field] !== undefined) seen.fields[field] = ['said']
      answers[name]?.push({ asked: asked.method, ...seen })
    }
  }

  t.same(answers['proxied'], answers['direct'])
  for (const name of ['direct', 'proxied']) t.equal(statSync(join(nginx.written, name, 'new/moved')).size, 1)
  t.notOk(existsSync(join(nginx.written, 'proxied/0-true')))
})

test('methods that nginx refuses are refused in its own words, with content or without', async t => {
  const { origin, proxy } = await both(t)
  const methods = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'M-SEARCH', 'PROPFIND', 'PURGE', 'REPORT', 'LOCK', 'SUBSCRIBE']
  await compare(t, origin, proxy, methods.flatMap((method): Ask[] => ['/page.html', '/none', '/folder', '/echo?a=%20'].flatMap((path): Ask[] => [
    { title: `${method} ${path}`, method, path, hit: false },
    { title: `${method} ${path} with content`, method, path, body: { bytes: 10_000 }, hit: false },
    { title: `${method} ${path} with content in chunks`, method, path, body: { bytes: 10_000, chunked: true }, hit: false }
  ])))
})

test('content that is refused before it was sent whole: the refusal reaches the client', async t => {
  const { origin, proxy } = await both(t)
  await compare(t, origin, proxy, [false, true].flatMap((chunked): Ask[] => [
    { title: 'too large for the location', method: 'PUT', path: '/small/x', body: { bytes: 5 * MiB, chunked } },
    { title: 'to a file', method: 'POST', path: '/page.html', body: { bytes: 5 * MiB, chunked } }
  ]))
})

test('conditions give the same 304, 412 and 200, before and after the whole is stored (RFC 9110 13)', async t => {
  const { origin, proxy } = await both(t)
  for (const path of ['/page.html', '/for-years/page.html', '/zipped/text.txt']) {
    const { fields } = await ask(origin, { title: '', path })
    const tag = fields.get('etag')?.[0] as string
    const modified = fields.get('last-modified')?.[0] as string
    const asks: Ask[] = ([
      ['If-None-Match', tag], ['If-None-Match', `"x", W/${tag}`], ['If-None-Match', '*'], ['If-None-Match', '"other"'],
      ['If-Modified-Since', modified], ['If-Modified-Since', 'Sun, 06 Nov 1994 08:49:37 GMT'], ['If-Modified-Since', 'nonsense'],
      ['If-Match', tag], ['If-Match', '"other"'], ['If-Unmodified-Since', modified], ['If-Unmodified-Since', 'Sun, 06 Nov 1994 08:49:37 GMT']
    ] as const).map(field => ({ title: field.join(': '), path, fields: [field] }))
    asks.push({ title: 'If-None-Match of HEAD', method: 'HEAD', path, fields: [['If-None-Match', tag]] })
    await compare(t, origin, proxy, [...asks, { title: `GET ${path}`, path }, ...asks.map(asked => ({ ...asked, title: `${path} stored: ${asked.title}` }))])
  }
})

test('ranges, before and after the whole is stored (RFC 9110 14)', async t => {
  const { origin, proxy } = await both(t)
  const path = `/for-years/${64 * KiB}.bin`
  const { fields } = await ask(origin, { title: '', path })
  const asks = ['bytes=0-0', 'bytes=10-19', 'bytes=-5', 'bytes=65530-', 'bytes=0-', 'lines=1-2'].map((range): Ask => ({ title: range, path, fields: [['Range', range]] }))
  for (const [title, value] of [['tag', fields.get('etag')?.[0]], ['date', fields.get('last-modified')?.[0]], ['other tag', '"other"'], ['other date', 'Sun, 06 Nov 1994 08:49:37 GMT']] as const) {
    asks.push({ title: `If-Range with a ${title}`, path, fields: [['Range', 'bytes=1-2'], ['If-Range', value as string]] })
  }
  await compare(t, origin, proxy, [...asks, { title: 'the whole', path, hit: true }, ...asks.map(asked => ({ ...asked, title: `stored: ${asked.title}` }))])

  // nginx has another boundary each time, and puts an empty line first.
  const several: Ask = { title: 'several', path, fields: [['Range', 'bytes=0-1,5-6']] }
  const [direct, proxied] = [await ask(origin, several), await ask(proxy, several)]
  t.equal(proxied.status, direct.status)
  for (const { fields } of [direct, proxied]) t.match(fields.get('content-type')?.[0], /^multipart\/byteranges; boundary=/)
})

test('content that nginx compresses, on the way and beforehand (RFC 9110 8.4, 12.5.3)', async t => {
  const { origin, proxy } = await both(t)
  for (const path of ['/packed/text.txt', '/zipped/text.txt']) {
    const asks = ['gzip', 'identity', 'br', 'gzip;q=0', 'gzip, deflate, br'].map((coding): Ask => ({ title: `${path} ${coding}`, path, fields: [['Accept-Encoding', coding]], hit: true }))
    const plain: Ask = { title: `${path} without Accept-Encoding`, path, hit: true }
    await compare(t, origin, proxy, [...asks, plain, ...asks.map(asked => ({ ...asked, title: `${asked.title}, all variants stored` })), { ...plain, method: 'HEAD' }])
    t.same((await ask(proxy, asks[0] as Ask)).fields.get('content-encoding'), ['gzip'])
    t.same((await ask(proxy, asks[1] as Ask)).fields.get('content-encoding'), undefined)
  }
})

test('paths and queries outside ASCII arrive as sent', async t => {
  const { origin, proxy } = await both(t)
  await compare(t, origin, proxy, [
    { title: 'a file with a name outside ASCII', path: '/caf%C3%A9%20%E6%97%A5%E6%9C%AC.txt' },
    { title: 'a list of such files', path: '/listed/' },
    ...['/echo/caf%C3%A9', '/echo/%E9', '/echo/a%20b+c', '/echo/?q=%E6%97%A5&x=%zz', '/echo?q=%C3%A9&&=', '/echo/x;y=1,2:3@4!$\'()*~', '/echo?', '/echo/x?a=/../b'].map(path => ({ title: path, path })),
    { title: 'fields', path: '/echo', fields: [['X-Mine', 'caf\u00e9'], ['Cookie', 'a=1; b="2"'], ['Content-Type', 'x/y']] }
  ])
})

test('redirects, error pages, challenges and repeated fields', async t => {
  const { origin, proxy } = await both(t)
  await compare(t, origin, proxy, [
    ...['/moved', '/found', '/kept', '/folder', '/folder/', '/gone', '/teapot', '/failing', '/busy', '/empty', '/forbidden', '/private', '/none', '/repeated', '/page.html/x'].flatMap((path): Ask[] => [
      { title: path, path },
      { title: `HEAD ${path}`, method: 'HEAD', path }
    ])
  ])
  t.same((await ask(proxy, { title: '', path: '/repeated' })).fields.get('set-cookie'), ['a=1', 'b=2; Path=/'])
})

test('several requests on one connection, hits and misses and both versions of HTTP/1', async t => {
  const { origin, proxy } = await both(t)
  const requests = (version: string): string => ['/for-years/page.html', '/for-years/page.html', '/none', '/for-years/1.bin'].map((path, index, all) =>
    `GET ${path} HTTP/${version}\r\nHost: example.test\r\nConnection: ${index === all.length - 1 ? 'close' : 'keep-alive'}\r\n\r\n`).join('')
  for (const version of ['1.1', '1.0']) {
    const seen = await Promise.all([origin, proxy].map(async url => {
      const answer = await talk(Number(new URL(url).port), requests(version))
      return { statuses: answer.match(/HTTP\/1\.1 \d+/g), pages: answer.split('<p>page</p>').length - 1 }
    }))
    t.same(seen[1], seen[0], version)
  }
})

test('several workers answer what one does', async t => {
  const { origin } = await both(t)
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/server.ts'), '--upstream', origin, '--workers', '2', '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', chunk => { out += chunk })
  const ended = new Promise<number | null>(resolve => { child.once('close', resolve) })
  t.teardown(() => { child.kill('SIGKILL') })
  const line = (): string => out.split('\n').find(line => line.includes('"role":"proxy"') && line.endsWith('}')) ?? ''
  await until(() => line() !== '' || child.exitCode !== null)
  const { url } = JSON.parse(line()) as { url: string }

  for (let round = 0; round < 4; round++) {
    await compare(t, origin, url, [
      ...sizes.map((bytes): Ask => ({ title: `${bytes} octets`, path: `/for-years/${bytes}.bin` })),
      { title: 'compressed', path: '/packed/text.txt', fields: [['Accept-Encoding', 'gzip']] },
      { title: 'a range', path: '/for-years/65536.bin', fields: [['Range', 'bytes=10-19']] },
      { title: 'refused', method: 'POST', path: '/page.html', body: { bytes: 1000 } }
    ])
  }
  child.kill('SIGTERM')
  t.equal(await ended, 0)
})

async function digestOf (file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}
