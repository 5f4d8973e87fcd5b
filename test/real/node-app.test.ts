/** In front of a real Node application: Express with its static files and compression, none of it written by us. */
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import compression from 'compression'
import express from 'express'
import t, { type Test } from 'tap'
import { ask, compare, octets, type Ask } from '../fixtures/compare.ts'
import { startProxy, talk } from '../fixtures/proxy.ts'

const KiB = 1024
const MiB = 1024 * KiB
const sizes = [0, 1, 64 * KiB, 5 * MiB]

async function startApplication (t: Test): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-app-'))
  mkdirSync(join(folder, 'folder'))
  for (const [name, content] of [
    ['page.html', '<p>page</p>'.repeat(200)],
    ['folder/index.html', '<p>index</p>'],
    ['caf\u00e9 \u65e5\u672c.txt', 'Unicode'],
    ...sizes.map(bytes => [`${bytes}.bin`, Buffer.concat([...octets(bytes)])] as const)
  ] as const) {
    writeFileSync(join(folder, name), content)
    utimesSync(join(folder, name), 1_700_000_000, 1_700_000_000)
  }

  const app = express()
  app.set('env', 'test')   // errors are not printed
  app.use('/static', express.static(folder, { maxAge: '1h' }))
  app.use('/plain', express.static(folder))
  app.use('/packed', compression({ threshold: 0 }), express.static(folder, { maxAge: '1h' }))
  app.use('/echo', (request, response) => {
    response.status(request.method === 'PUT' ? 201 : 200).set('Content-Type', request.get('content-type') ?? 'application/octet-stream')
    if (request.get('content-length') !== undefined) response.set('Content-Length', request.get('content-length') as string)
    request.pipe(response)
  })
  app.use('/seen', (request, response) => {
    response.set('Cache-Control', 'no-store').json({
      method: request.method,
      url: request.originalUrl,
      // Joined where repeated (RFC 9110 5.3).
      fields: Object.entries(request.headers).filter(([name]) => /^(x-mine|accept|cookie|if-|authorization|user-agent|referer)/.test(name)).sort()
    })
  })
  app.get('/stream/:bytes', (request, response) => {
    response.set('Cache-Control', 'max-age=60').type('application/octet-stream')
    Readable.from(octets(Number(request.params.bytes)), { objectMode: false }).pipe(response)
  })
  app.get('/repeated', (_request, response) => {
    response.set('Cache-Control', 'max-age=60')
    for (const name of ['Accept', 'Accept-Language', 'X-Mine']) response.append('Vary', name)
    response.append('Link', '</a.css>; rel=preload').append('Link', ['</b.css>; rel=preload', '</c,d>; rel="next"'])
    response.append('X-Empty', '').append('X-Latin', 'caf\u00e9').send('repeated')
  })
  app.get('/cookies', (_request, response) => {
    response.set('Cache-Control', 'max-age=60').cookie('a', '1').cookie('b', '2, 3', { httpOnly: true }).cookie('c', '', { expires: new Date(0) }).send('cookies')
  })
  app.get('/hints', (_request, response) => {
    response.writeEarlyHints({ link: ['</a.css>; rel=preload; as=style', '</b.js>; rel=preload; as=script'] }, () => {
      response.set('Cache-Control', 'no-store').send('after hints')
    })
  })
  app.get('/move/:status', (request, response) => { response.set('Cache-Control', 'max-age=60').redirect(Number(request.params.status), '/static/page.html?caf%C3%A9') })
  app.get('/status/:status', (request, response) => { response.set('Cache-Control', 'max-age=60').status(Number(request.params.status)).send() })
  app.get('/json', (_request, response) => { response.set('Cache-Control', 'max-age=60').json({ text: 'caf\u00e9 \u65e5\u672c' }) })

  const server = createServer(app)
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(async () => {
    server.closeAllConnections()
    await new Promise(resolve => { server.close(resolve) })
    rmSync(folder, { recursive: true })
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function both (t: Test): Promise<[origin: string, proxy: string]> {
  const origin = await startApplication(t)
  return [origin, (await startProxy(t, origin)).url]
}

t.test('files: GET and HEAD of every size, fixed length, from the origin server and from the store', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, sizes.flatMap((bytes): Ask[] => [
    { title: `HEAD of ${bytes} octets`, method: 'HEAD', path: `/static/${bytes}.bin` },
    { title: `GET of ${bytes} octets`, path: `/static/${bytes}.bin`, hit: true },
    { title: `HEAD of ${bytes} octets after the GET`, method: 'HEAD', path: `/static/${bytes}.bin`, hit: true }
  ]))
})

t.test('chunked responses of every size keep their octets (RFC 9112 7.1)', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, sizes.map(bytes => ({ title: `${bytes} octets`, path: `/stream/${bytes}`, hit: true })))
})

t.test('every method with content of every size, fixed length and chunked, comes back octet by octet', async t => {
  const [origin, proxy] = await both(t)
  const asks: Ask[] = []
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'M-SEARCH', 'PROPFIND', 'REPORT', 'LOCK']) {
    for (const bytes of sizes) {
      for (const chunked of [false, true]) {
        asks.push({ title: `${method} of ${bytes} octets ${chunked ? 'chunked' : 'with length'}`, method, path: '/echo/x', fields: [['Content-Type', 'text/x-mine']], body: { bytes, chunked }, hit: false })
      }
    }
  }
  await compare(t, origin, proxy, asks)
})

t.test('methods without content reach the application under their name (RFC 9110 9)', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'M-SEARCH', 'SUBSCRIBE', 'PURGE', 'MKCOL', 'COPY'].map(method => ({
    title: method,
    method,
    path: '/seen/x',
    hit: false
  })))
})

t.test('end-to-end request fields, repeated and odd ones too, are seen as sent', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, [{
    title: 'fields',
    path: '/seen',
    fields: [['X-Mine', 'one'], ['X-Mine', 'two, three'], ['X-Mine-Empty', ''], ['X-Mine-Latin', 'caf\u00e9'], ['Cookie', 'a=1; b="2"'], ['Accept', 'text/html;q=0.5, */*;q=0.1'],
      ['Accept-Encoding', 'gzip;q=0.5, br'], ['User-Agent', 'test (comment) \u00fc'], ['Referer', 'http://example.test/a?b'], ['Authorization', 'Basic YTpi']]
  }])
})

t.test('compressed content keeps its encoding, for those who accept it (RFC 9110 8.4, 12.5.3)', async t => {
  const [origin, proxy] = await both(t)
  const asks = ['gzip', 'br', 'identity', 'gzip, deflate, br'].map((coding): Ask => ({ title: coding, path: '/packed/page.html', fields: [['Accept-Encoding', coding]], hit: true }))
  await compare(t, origin, proxy, [...asks, ...asks.map(asked => ({ ...asked, title: `${asked.title} with all variants stored` }))])
  t.match((await ask(proxy, asks[0] as Ask)).fields.get('content-encoding'), ['gzip'])
})

t.test('paths and queries outside ASCII arrive as sent', async t => {
  const [origin, proxy] = await both(t)
  const spellings = ['/caf%C3%A9', '/%E9', '/a%20b+c', '/%E6%97%A5%E6%9C%AC?q=%E6%97%A5', '/?q=%E9&r=a+b&s=%2F%00', '/?q=caf%c3%a9', '/x?a?b=/../c&&=', '/x;y=1,2:3@4!$\'()*~', '/x?']
  await compare(t, origin, proxy, [
    ...spellings.map(spelling => ({ title: `/seen${spelling}`, path: `/seen${spelling}` })),
    { title: 'a file with a name outside ASCII', path: '/static/caf%C3%A9%20%E6%97%A5%E6%9C%AC.txt', hit: true }
  ])
})

t.test('octets above 127 in a request line are refused, by the application as by the proxy (RFC 9112 3.2)', async t => {
  const [origin, proxy] = await both(t)
  for (const target of ['/seen/caf\xe9', '/seen/?q=\xc3\xa9']) {
    for (const url of [origin, proxy]) {
      const text = await talk(Number(new URL(url).port), Buffer.from(`GET ${target} HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n`, 'latin1'))
      t.match(text, /^HTTP\/1\.1 400 /)
    }
  }
})

t.test('repeated fields stay repeated, in order (RFC 9110 5.3)', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, [
    { title: 'Link and Vary', path: '/repeated', hit: true },
    { title: 'Set-Cookie', path: '/cookies', hit: false }
  ])
  t.equal((await ask(proxy, { title: '', path: '/cookies' })).fields.get('set-cookie')?.length, 3)
})

t.test('conditions give the same 304, 412 and 200, stored or not (RFC 9110 13)', async t => {
  const [origin, proxy] = await both(t)
  for (const base of ['/plain', '/static', '/packed']) {
    const { fields } = await ask(origin, { title: '', path: `${base}/page.html` })
    const tag = fields.get('etag')?.[0] as string
    const modified = fields.get('last-modified')?.[0] as string
    const asks: Ask[] = [
      { title: 'If-None-Match that matches', path: `${base}/page.html`, fields: [['If-None-Match', tag]] },
      { title: 'If-None-Match in a list', path: `${base}/page.html`, fields: [['If-None-Match', `"x", ${tag}`]] },
      { title: 'If-None-Match of HEAD', method: 'HEAD', path: `${base}/page.html`, fields: [['If-None-Match', tag]] },
      { title: 'If-None-Match that does not', path: `${base}/page.html`, fields: [['If-None-Match', '"other"']] },
      { title: 'If-Modified-Since', path: `${base}/page.html`, fields: [['If-Modified-Since', modified]] },
      { title: 'If-Modified-Since before', path: `${base}/page.html`, fields: [['If-Modified-Since', 'Sun, 06 Nov 1994 08:49:37 GMT']] },
      { title: 'If-Match that does not', path: `${base}/page.html`, fields: [['If-Match', '"other"']] }
    ]
    await compare(t, origin, proxy, [...asks, { title: 'GET', path: `${base}/page.html` }, ...asks.map(asked => ({ ...asked, title: `${base} stored: ${asked.title}` }))])
  }
})

t.test('ranges, before and after the whole is stored (RFC 9110 14)', async t => {
  const [origin, proxy] = await both(t)
  const path = `/static/${64 * KiB}.bin`
  const tag = (await ask(origin, { title: '', path })).fields.get('etag')?.[0] as string
  const asks = ['bytes=0-0', 'bytes=10-19', 'bytes=-5', 'bytes=65530-', 'lines=1-2'].map((range): Ask => ({ title: range, path, fields: [['Range', range]] }))
  asks.push({ title: 'If-Range that matches', path, fields: [['Range', 'bytes=1-2'], ['If-Range', tag.replace('W/', '')]] })
  asks.push({ title: 'If-Range that does not', path, fields: [['Range', 'bytes=1-2'], ['If-Range', '"other"']] })
  await compare(t, origin, proxy, [...asks, { title: 'the whole', path, hit: true }, ...asks.map(asked => ({ ...asked, title: `stored: ${asked.title}` }))])
})

t.test('redirects and other status codes', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, [
    { title: 'a folder without its slash', path: '/static/folder' },
    { title: 'a folder', path: '/static/folder/', hit: true },
    { title: 'not there', path: '/static/none' },
    { title: 'no such route', path: '/none', method: 'DELETE' },
    { title: 'JSON', path: '/json', hit: true },
    ...[301, 302, 303, 307, 308].map(status => ({ title: String(status), path: `/move/${status}` })),
    ...[200, 201, 204, 205, 400, 404, 410, 418, 451, 500, 503, 599].map(status => ({ title: String(status), path: `/status/${status}` }))
  ])
})

t.test('103 comes before the response (RFC 8297)', async t => {
  const [origin, proxy] = await both(t)
  await compare(t, origin, proxy, [{ title: 'hints', path: '/hints' }])
  t.same((await ask(proxy, { title: '', path: '/hints' })).interim, ['103 link: </a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script'])
})
