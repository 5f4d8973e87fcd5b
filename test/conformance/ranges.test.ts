/** Ranges: answered from what is stored, stored, put together and completed (RFC 9110 14, 13.1.5, 15.3.7, 15.5.17; RFC 9111 3.3, 3.4). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { resolveConfig } from '../../src/config/load.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { createTlsContexts } from '../../src/server/tls.ts'
import { bodyOf, outcomeOf, rfc9111, startWire } from '../fixtures/conformance.ts'
import { response, startRawOrigin, type RawExchange } from '../fixtures/raw-origin.ts'
import type { ProxySettings } from '../fixtures/proxy.ts'

const digits = '0123456789abcdefghij'
const changed = 'Mon, 05 Jan 2026 08:00:00 GMT'
const hour = 'Cache-Control: max-age=3600'
const sent = (text: string, name: string): string | undefined => new RegExp(`\\r\\n${name}: ([^\\r]*)`, 'i').exec(text)?.[1]
const code = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])

/** A session with a proxy whose certificate is its own. */
async function overHttp2 (t: Test, origin: string): Promise<http2.ClientHttp2Session> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ranges-'))
  const made = await generate([{ name: 'commonName', value: 'proxy.test' }])
  const files = { cert: join(folder, 'own.pem'), key: join(folder, 'own.key') }
  writeFileSync(files.cert, made.cert)
  writeFileSync(files.key, made.private)
  const config = resolveConfig({ server: { tls: { certificates: [files] } }, admin: { enabled: false }, upstreams: { default: { targets: [origin] } }, routes: [{ name: 'default', upstream: 'default' }] })
  const listener = await createProxyListener({ config, logger: undefined, tls: createTlsContexts(config.server.tls as NonNullable<typeof config.server.tls>) })
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  const session = http2.connect(`https://127.0.0.1:${(listener.app.server.address() as AddressInfo).port}`, { rejectUnauthorized: false })
  session.on('error', () => {})
  t.teardown(async () => {
    session.destroy()
    listener.connections.destroyAll()
    await listener.app.close()
    rmSync(folder, { recursive: true, force: true })
  })
  return session
}

/** A 206 of the digits. */
function part (start: number, end: number, fields: readonly string[] = [hour, 'ETag: "1"'], content = digits): string {
  return response(content.slice(start, end + 1), [`Content-Range: bytes ${start}-${end}/${content.length}`, ...fields], '206 Partial Content')
}

/** An origin server that knows ranges of the form `first-last`, unless a function answers something else. */
async function ranged (t: Test, instead: (exchange: RawExchange) => string | void = () => {}, settings: ProxySettings = rfc9111, fields = [hour, 'ETag: "1"']) {
  return await startWire(t, exchange => {
    const other = instead(exchange)
    if (other !== undefined) return other
    const range = /\r\nrange: bytes=(\d+)-(\d*)\r\n/i.exec(exchange.text)
    if (range === null) return response(digits, fields)
    return part(Number(range[1]), Math.min(digits.length - 1, range[2] === '' ? Infinity : Number(range[2])), fields)
  }, settings)
}

t.test('one range of a stored 200 is answered 206 with its bytes, whatever its form (RFC 9110 14.1.2, 14.2, 15.3.7.1)', async t => {
  const { ask, origin } = await startWire(t, () => response(digits, [hour, 'ETag: "1"', `Last-Modified: ${changed}`, 'Content-Type: text/plain', 'Content-Language: en', 'Content-Location: /here', 'Vary: X', 'Expires: Mon, 01 Jun 2026 13:00:00 GMT']))
  await ask('/')
  for (const [range, expected] of [
    ['bytes=0-0', [0, 0]], ['bytes=2-5', [2, 5]], ['bytes=19-19', [19, 19]], ['bytes=0-19', [0, 19]],
    ['bytes=5-', [5, 19]], ['bytes=0-', [0, 19]], ['bytes=15-100', [15, 19]],
    ['bytes=-3', [17, 19]], ['bytes=-20', [0, 19]], ['bytes=-100', [0, 19]],
    ['BYTES=2-5', [2, 5]], ['bytes=,2-5,', [2, 5]], ['bytes= 2-5', [2, 5]], ['bytes=002-0005', [2, 5]],
    [`bytes=5-${'9'.repeat(400)}`, [5, 19]], [`bytes=-${'9'.repeat(400)}`, [0, 19]]
  ] as const) {
    const answer = await ask('/', [`Range: ${range}`])
    t.equal(code(answer), 206, range)
    t.equal(outcomeOf(answer, false), 'hit', range)
    t.equal(bodyOf(answer), digits.slice(expected[0], expected[1] + 1), range)
    t.match(answer, `\r\ncontent-range: bytes ${expected[0]}-${expected[1]}/20\r\n`)
    t.match(answer, `\r\ncontent-length: ${expected[1] - expected[0] + 1}\r\n`)
    for (const name of ['date', 'cache-control', 'etag', 'expires', 'content-location', 'vary', 'age', 'content-type', 'content-language', 'last-modified']) t.match(answer, `\r\n${name}: `, `RFC 9110 15.3.7: ${name}`)
  }
  t.equal(origin.requests.length, 1)
})

t.test('several ranges are one multipart message, in the order asked for (RFC 9110 14.6, 15.3.7.2)', async t => {
  const { ask } = await startWire(t, () => response(digits, [hour, 'Content-Type: text/x-digits']))
  await ask('/')
  const answer = await ask('/', ['Range: bytes=10-11,0-1,-2'])
  const boundary = /\r\ncontent-type: multipart\/byteranges; boundary=([^\r]+)\r\n/.exec(answer)?.[1] ?? ''

  t.equal(code(answer), 206)
  t.match(boundary, /^[0-9a-z._-]{1,70}$/, 'not quoted')
  t.notMatch(answer.slice(0, answer.indexOf('\r\n\r\n')), /content-range/i, 'MUST NOT be in the header section')
  t.notMatch(answer.slice(0, answer.indexOf('\r\n\r\n')), /text\/x-digits/)
  t.equal(Number(sent(answer, 'content-length')), bodyOf(answer).length)
  const one = (start: number, end: number): string => `--${boundary}\r\nContent-Type: text/x-digits\r\nContent-Range: bytes ${start}-${end}/20\r\n\r\n${digits.slice(start, end + 1)}\r\n`
  t.equal(bodyOf(answer), `${one(10, 11)}${one(0, 1)}${one(18, 19)}--${boundary}--\r\n`)
})

t.test('ranges that overlap or touch are one, those that cannot be satisfied are left out (RFC 9110 15.3.7.2, 14.2)', async t => {
  const { ask } = await startWire(t, () => response(digits, [hour]))
  await ask('/')
  for (const [range, content] of [
    ['bytes=0-4,3-6', 'bytes 0-6/20'], ['bytes=0-4,5-6', 'bytes 0-6/20'], ['bytes=3-6,0-4', 'bytes 0-6/20'],
    ['bytes=0-2,100-', 'bytes 0-2/20'], ['bytes=0-1,4-5,2-3', 'bytes 0-5/20'], ['bytes=0-,-5', 'bytes 0-19/20'], ['bytes=1-1,1-1', 'bytes 1-1/20']
  ] as const) {
    const answer = await ask('/', [`Range: ${range}`])
    t.equal(code(answer), 206, range)
    t.equal(sent(answer, 'content-range'), content, `${range}: one part needs no multipart`)
  }
})

t.test('the boundary is not in the content, also where the content was made to have it (RFC 2046 5.1.1)', async t => {
  let content = digits
  const { ask, pass } = await startWire(t, () => response(content, ['Cache-Control: max-age=60']))
  await ask('/')
  const first = /boundary=([^\r]+)/.exec(await ask('/', ['Range: bytes=0-59,61-119']))
  t.equal(first, null, 'one range can be satisfied')
  content = `--holdfast-part-0\r\n${'x'.repeat(100)}`
  pass(61)
  await ask('/')
  for (let round = 0; round < 2; round++) {
    const answer = await ask('/', ['Range: bytes=0-59,61-119'])
    const boundary = /boundary=([^\r]+)/.exec(answer)?.[1] ?? ''
    t.equal(bodyOf(answer).split(`--${boundary}`).length, 4, 'two parts and the end')
    content = `--${boundary}--\r\n${'x'.repeat(100)}`
    pass(61)
    await ask('/')
  }
})

t.test('ranges none of which can be satisfied are 416 with the length (RFC 9110 14.2, 14.4, 15.5.17)', async t => {
  const { ask, origin } = await startWire(t, () => response(digits, [hour, 'ETag: "1"', `Last-Modified: ${changed}`, 'Expires: Mon, 01 Jun 2026 13:00:00 GMT', 'CDN-Cache-Control: max-age=60', 'Content-Type: text/plain', 'Access-Control-Allow-Origin: *']))
  await ask('/')
  for (const range of ['bytes=20-', 'bytes=20-25', 'bytes=-0', 'bytes=100-200,30-', `bytes=${'9'.repeat(400)}-`]) {
    const answer = await ask('/', [`Range: ${range}`])
    t.equal(code(answer), 416, range)
    t.match(answer, '\r\ncontent-range: bytes */20\r\n')
    t.match(answer, '\r\ncontent-length: 0\r\n')
    t.match(answer, '\r\naccess-control-allow-origin: *\r\n')
    t.notMatch(answer, /max-age|expires|etag|last-modified|content-type/i, 'nothing that would let a cache store it for others, or describes the stored content')
    t.equal(bodyOf(answer), '')
  }
  t.equal(origin.requests.length, 1)
})

t.test('a Range that does not count is ignored (RFC 9110 14.2, 14.1.1)', async t => {
  const { ask, origin } = await startWire(t, ({ text }) => text.includes(' /empty') ? response('', [hour]) : text.includes(' /gone') ? response(digits, [hour], '410 Gone') : response(digits, [hour]))
  for (const path of ['/', '/empty', '/gone']) await ask(path)
  for (const range of ['lines=0-1', 'bytes', 'bytes=', 'bytes=-', 'bytes=a-b', 'bytes=5-4', 'bytes=0-1,5-4', 'bytes=0-1 2-3', 'bytes=0x1-2', 'bytes=+1-2', 'bytes=1.5-2', 'bytes=--1', 'bytes:0-1', '0-1', `bytes=${Array.from({ length: 17 }, (_, i) => `${i}-${i}`).join()}`]) {
    const answer = await ask('/', [`Range: ${range}`])
    t.equal(code(answer), 200, range)
    t.equal(bodyOf(answer), digits, range)
  }
  t.equal(code(await ask('/empty', ['Range: bytes=-5'])), 200, 'of nothing there is no part that Content-Range could name')
  t.equal(code(await ask('/empty', ['Range: bytes=0-'])), 200)
  t.equal(code(await ask('/gone', ['Range: bytes=0-1'])), 410, 'only where the answer would be 200')
  const head = await ask('/', ['Range: bytes=0-1'], 'HEAD')
  t.equal(code(head), 200, 'only of GET')
  t.match(head, '\r\ncontent-length: 20\r\n')
  t.equal(bodyOf(await ask('/', ['Range: bytes=0-0', 'Range: bytes=1-1'])), digits, 'two lines are no list')
  await ask('/new', ['Range: lines=0-1'])
  t.equal(sent(origin.requests.at(-1) as string, 'range'), 'lines=0-1', 'the origin server may know what it means')
})

t.test('If-Range lets the range count only if its validator is that of the stored response (RFC 9110 13.1.5)', async t => {
  const { ask, origin } = await startWire(t, ({ text }) => {
    const path = text.split(' ')[1]
    const fields = path === '/weak' ? ['ETag: W/"1"'] : path === '/young' ? [`Last-Modified: ${changed}`, `Date: ${changed}`] : ['ETag: "1"', `Last-Modified: ${changed}`]
    return response(digits, ['Cache-Control: max-age=99999999', ...fields])
  })
  for (const path of ['/', '/weak', '/young']) await ask(path)
  for (const [path, condition, status] of [
    ['/', '"1"', 206], ['/', '"2"', 200], ['/', 'W/"1"', 200], ['/', '"1", "2"', 200], ['/', '*', 200], ['/', '1', 200],
    ['/', changed, 206], ['/', 'Mon, 05 Jan 2026 08:00:01 GMT', 200], ['/', 'Mon, 05 Jan 2026 07:59:59 GMT', 200], ['/', 'Monday, 05-Jan-26 08:00:00 GMT', 200],
    ['/weak', 'W/"1"', 200], ['/weak', '"1"', 200],
    ['/young', changed, 200]
  ] as const) {
    const answer = await ask(path, [`If-Range: ${condition}`, 'Range: bytes=0-1'])
    t.equal(code(answer), status, `${path} ${condition}`)
    t.equal(bodyOf(answer), status === 206 ? '01' : digits)
  }
  t.equal(code(await ask('/', ['If-Range: "1"'])), 200, 'MUST be ignored without Range')
  t.equal(code(await ask('/', ['If-Range: "2"'])), 200)
  t.match(await ask('/', ['If-Range: "1"', 'Range: bytes=0-1', 'If-None-Match: "2"']), /^HTTP\/1\.1 206/, 'evaluated behind If-None-Match (13.2.2)')
  t.equal(origin.requests.length, 3)
})

t.test('a 206 answering If-Range has the representation fields as well (RFC 9110 15.3.7: SHOULD NOT, deviation)', async t => {
  const { ask } = await startWire(t, () => response(digits, [hour, 'ETag: "1"', 'Content-Type: text/plain', 'Content-Encoding: gzip']))
  await ask('/')
  const answer = await ask('/', ['If-Range: "1"', 'Range: bytes=0-1'])
  t.match(answer, /content-type: text\/plain/)
  t.match(answer, /content-encoding: gzip/)
})

t.test('a 206 is stored as a part, and used for ranges within it alone (RFC 9111 3.3)', async t => {
  const { ask, origin } = await ranged(t)
  t.equal(outcomeOf(await ask('/', ['Range: bytes=5-9']), false), 'uri-miss')
  for (const [range, content] of [['bytes=5-9', '56789'], ['bytes=6-7', '67'], ['bytes=9-9', '9'], ['bytes=5-6,8-8', null]] as const) {
    const answer = await ask('/', [`Range: ${range}`])
    t.equal(code(answer), 206, 'MUST be marked as partial')
    t.equal(outcomeOf(answer, false), 'hit', range)
    if (content !== null) {
      t.equal(bodyOf(answer), content)
      t.match(sent(answer, 'content-range'), /^bytes \d+-\d+\/20$/)
    }
  }
  t.equal(code(await ask('/', ['Range: bytes=20-'])), 416, 'the length of the whole is known')
  t.equal(origin.requests.length, 1)
  const whole = await ask('/')
  t.equal(code(whole), 200, 'MUST NOT be used for the whole without being completed')
  t.equal(bodyOf(whole), digits)
})

t.test('a part is not used for HEAD, which is forwarded (RFC 9111 3.3)', async t => {
  const { ask, origin } = await ranged(t, ({ text }) => text.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: "1"\r\n\r\n' : undefined)
  await ask('/', ['Range: bytes=5-9'])
  const head = await ask('/', [], 'HEAD')
  t.equal(outcomeOf(head, false), 'partial')
  t.match(head, /content-length: 20/)
  t.equal(origin.requests.length, 2)
  t.equal(outcomeOf(await ask('/', ['Range: bytes=5-9']), false), 'hit', 'and updates the part')
})

t.test('only what is missing is asked for, by its strong validator, and put together (RFC 9111 3.3, 3.4; RFC 9110 15.3.7.3)', async t => {
  for (const [title, has, wants, asksFor, status] of [
    ['the rest', [[0, 9]], null, 'bytes=10-19', 200],
    ['the beginning', [[10, 19]], null, 'bytes=0-9', 200],
    ['what is between', [[0, 4], [15, 19]], null, 'bytes=5-14', 200],
    ['the end of a range', [[0, 9]], 'bytes=5-14', 'bytes=10-14', 206],
    ['the beginning of a range', [[10, 19]], 'bytes=5-14', 'bytes=5-9', 206],
    ['the middle of a range', [[0, 4], [10, 14]], 'bytes=3-11', 'bytes=5-9', 206],
    ['a suffix', [[0, 9]], 'bytes=-15', 'bytes=10-19', 206],
    ['a range of which nothing is here', [[0, 4]], 'bytes=10-14', 'bytes=10-14', 206]
  ] as const) {
    const { ask, origin } = await ranged(t)
    for (const [start, end] of has) await ask('/', [`Range: bytes=${start}-${end}`])
    const fields = wants === null ? [] : [`Range: ${wants}`]
    const answer = await ask('/', fields)
    const request = origin.requests.at(-1) as string
    t.equal(sent(request, 'range'), asksFor, title)
    t.equal(sent(request, 'if-range'), '"1"', title)
    t.equal(code(answer), status, title)
    t.equal(outcomeOf(answer, false), 'partial', title)
    if (wants === null) {
      t.equal(bodyOf(answer), digits, title)
      t.match(answer, /content-length: 20\r\n/)
      t.notMatch(answer, /content-range/)
    } else {
      const [, start, end] = /bytes (\d+)-(\d+)\/20/.exec(sent(answer, 'content-range') ?? '') ?? []
      t.equal(bodyOf(answer), digits.slice(Number(start), Number(end) + 1), title)
      t.equal(Number(sent(answer, 'content-length')), bodyOf(answer).length)
    }
    const before = origin.requests.length
    const again = await ask('/', fields)
    t.equal(outcomeOf(again, false), 'hit', `${title}: now it is here`)
    t.equal(bodyOf(again), bodyOf(answer))
    t.equal(origin.requests.length, before)
  }
})

t.test('a completed response is a stored 200 as any other (RFC 9110 15.3.7.3)', async t => {
  const { ask, proxy } = await ranged(t)
  await ask('/', ['Range: bytes=0-9'])
  await ask('/', ['Range: bytes=10-'])
  const whole = await ask('/')
  t.equal(code(whole), 200)
  t.equal(outcomeOf(whole, false), 'hit')
  t.equal(bodyOf(whole), digits)
  t.match(whole, /content-length: 20\r\n/)
  t.match(await ask('/', [], 'HEAD'), /content-length: 20\r\n/)
  t.equal(proxy.control.stats().cache.entries, 1)
})

t.test('a 206 of everything is stored as a 200', async t => {
  const { ask } = await ranged(t)
  t.equal(code(await ask('/', ['Range: bytes=0-'])), 206)
  const whole = await ask('/')
  t.equal(code(whole), 200)
  t.equal(outcomeOf(whole, false), 'hit')
  t.equal(bodyOf(whole), digits)
})

t.test('fields of the new part replace stored ones, and the others stay (RFC 9111 3.4, MUST)', async t => {
  // RFC 9110 15.3.7: answering If-Range, an origin server leaves out what the client has already.
  const { ask } = await ranged(t, ({ count }) => count === 1 ? part(0, 9, [hour, 'ETag: "1"', 'Content-Type: text/plain', 'X-Old: 1', 'X-Both: 1']) : part(10, 19, ['Cache-Control: max-age=7200', 'ETag: "1"', 'X-New: 1', 'X-Both: 2']))
  await ask('/', ['Range: bytes=0-9'])
  for (const answer of [await ask('/'), await ask('/'), await ask('/', ['Range: bytes=3-12'])]) {
    for (const line of ['content-type: text/plain', 'x-old: 1', 'x-new: 1', 'x-both: 2', 'cache-control: max-age=7200']) t.match(answer, `\r\n${line}\r\n`)
    t.notMatch(answer, 'x-both: 1')
  }
})

t.test('parts without the same strong validator are never put together (RFC 9111 3.4, RFC 9110 15.3.7.3)', async t => {
  for (const [title, first, second] of [
    ['another tag', 'ETag: "1"', 'ETag: "2"'], ['weak', 'ETag: W/"1"', 'ETag: W/"1"'], ['weak and strong', 'ETag: "1"', 'ETag: W/"1"'],
    ['no validator', 'X: 1', 'X: 1'], ['only a date', `Last-Modified: ${changed}`, `Last-Modified: ${changed}`], ['a tag that went', 'ETag: "1"', 'X: 1']
  ] as const) {
    const { ask, origin } = await ranged(t, ({ count, text }) => {
      if (count === 1) return part(0, 9, [hour, first])
      if (count === 2) return part(10, 19, [hour, second], 'ABCDEFGHIJKLMNOPQRST')
      return sent(text, 'range') === undefined ? response('ABCDEFGHIJKLMNOPQRST', [hour, second]) : undefined
    })
    await ask('/', ['Range: bytes=0-9'])
    // Not by us: what the client asks for itself.
    t.equal(bodyOf(await ask('/', ['Range: bytes=10-19', 'Cache-Control: no-cache'])), 'KLMNOPQRST', title)
    const whole = await ask('/')
    t.equal(bodyOf(whole), 'ABCDEFGHIJKLMNOPQRST', title)
    t.ok(origin.requests.length > 2, title)
    t.notMatch(origin.requests.slice(1).join(''), first.includes('W/') ? /if-range/i : /never/, title)
  }
})

t.test('what does not fit the stored part is asked for again as the client wanted it (RFC 9110 14.4)', async t => {
  const fields = [hour, 'ETag: "1"']
  for (const [title, lie] of [
    ['another range', part(11, 19)],
    ['another length of the whole', response('abcdefghij', ['Content-Range: bytes 10-19/21', ...fields], '206 Partial Content')],
    ['an unknown length', response('abcdefghij', ['Content-Range: bytes 10-19/*', ...fields], '206 Partial Content')],
    ['no Content-Range', response('abcdefghij', fields, '206 Partial Content')],
    ['an invalid one', response('abcdefghij', ['Content-Range: bytes 19-10/20', ...fields], '206 Partial Content')],
    ['another unit', response('abcdefghij', ['Content-Range: lines 10-19/20', ...fields], '206 Partial Content')],
    ['two', response('abcdefghij', ['Content-Range: bytes 10-19/20', 'Content-Range: bytes 10-19/20', ...fields], '206 Partial Content')],
    ['fewer bytes than it says', response('abc', ['Content-Range: bytes 10-19/20', ...fields], '206 Partial Content')],
    ['more bytes than it says', response('abcdefghijk', ['Content-Range: bytes 10-19/20', ...fields], '206 Partial Content')],
    ['another tag', part(10, 19, [hour, 'ETag: "2"'])],
    ['a weak tag', part(10, 19, [hour, 'ETag: W/"1"'])],
    ['several parts in one', response('abcdefghij', ['Content-Type: multipart/byteranges; boundary=b', ...fields], '206 Partial Content')],
    ['416', response('', ['Content-Range: bytes */5'], '416 Range Not Satisfiable')],
    ['304', 'HTTP/1.1 304 Not Modified\r\nETag: "2"\r\n\r\n']
  ] as const) {
    const { ask, origin } = await ranged(t, ({ count }) => count === 2 ? lie : count === 3 ? response('whole', [hour, 'ETag: "3"']) : undefined)
    await ask('/', ['Range: bytes=0-9'])
    const answer = await ask('/')
    t.equal(bodyOf(answer), 'whole', title)
    t.equal(code(answer), 200, title)
    t.notMatch(origin.requests[2], /\r\n(?:if-)?range:/i, title)
    t.equal(bodyOf(await ask('/')), 'whole', title)
    t.equal(origin.requests.length, 3, title)
  }
})

t.test('a chunked part that ends too early or goes on too long cuts the answer off visibly, and is not stored', async t => {
  for (const content of ['abc', 'abcdefghijklm']) {
    const { ask, proxy } = await ranged(t, ({ count }) => count === 2
      ? `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nETag: "1"\r\n${hour}\r\nTransfer-Encoding: chunked\r\n\r\n${content.length.toString(16)}\r\n${content}\r\n0\r\n\r\n`
      : undefined)
    await ask('/', ['Range: bytes=0-9'])
    const answer = await ask('/')
    t.match(answer, /content-length: 20\r\n/)
    t.ok(bodyOf(answer).length < 20, 'shorter than announced')
    t.equal(proxy.control.stats().cache.entries, 1)
    t.equal(bodyOf(await ask('/')), digits)
  }
})

t.test('a full response in place of the rest is used as it is (RFC 9111 4.3.3, RFC 9110 13.1.5)', async t => {
  for (const fields of [[], ['Range: bytes=5-15']]) {
    const { ask, origin } = await ranged(t, ({ count }) => count === 2 ? response('changed', [hour, 'ETag: "2"']) : undefined)
    await ask('/', ['Range: bytes=0-9'])
    const answer = await ask('/', fields)
    t.equal(code(answer), 200)
    t.equal(bodyOf(answer), 'changed')
    t.equal(bodyOf(await ask('/')), 'changed')
    t.equal(origin.requests.length, 2)
  }
})

t.test('a failure in place of the rest is the answer', async t => {
  const { ask } = await ranged(t, ({ count }) => count === 2 ? response('broken', [], '503 Service Unavailable') : undefined)
  await ask('/', ['Range: bytes=0-9'])
  t.equal(code(await ask('/')), 503)
  t.equal(outcomeOf(await ask('/', ['Range: bytes=0-9']), false), 'hit')
})

t.test('what is missing in several places is asked for as the client wanted it', async t => {
  const { ask, origin } = await ranged(t)
  for (const range of ['2-3', '8-9']) await ask('/', [`Range: bytes=${range}`])
  await ask('/', ['Range: bytes=0-10'])
  t.equal(sent(origin.requests.at(-1) as string, 'range'), 'bytes=0-10')
  t.equal(outcomeOf(await ask('/', ['Range: bytes=1-10']), false), 'hit')
})

t.test('only-if-cached does not complete (RFC 9111 5.2.1.7)', async t => {
  const { ask, origin } = await ranged(t)
  await ask('/', ['Range: bytes=0-9'])
  t.equal(code(await ask('/', ['Cache-Control: only-if-cached'])), 504)
  t.equal(code(await ask('/', ['Cache-Control: only-if-cached', 'Range: bytes=0-10'])), 504)
  t.equal(bodyOf(await ask('/', ['Cache-Control: only-if-cached', 'Range: bytes=0-1'])), '01')
  t.equal(origin.requests.length, 1)
})

t.test('conditions of the client go to the origin server where only a part is stored (RFC 9111 4.3.2)', async t => {
  const { ask, origin } = await ranged(t, ({ count }) => count === 2 ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n' : undefined)
  await ask('/', ['Range: bytes=0-9'])
  t.equal(code(await ask('/', ['If-None-Match: "1"'])), 304)
  t.equal(sent(origin.requests[1] as string, 'if-none-match'), '"1"')
  t.equal(origin.requests.length, 2)
  t.equal(code(await ask('/', ['If-None-Match: "1"', 'Range: bytes=0-1'])), 304, 'a range within the part can be answered')
  t.equal(origin.requests.length, 2)
})

t.test('a stale part is validated only for a range within it (RFC 9111 4.3.2, MUST NOT)', async t => {
  const { ask, pass, origin } = await ranged(t, ({ text }) => sent(text, 'if-none-match') === undefined ? undefined : 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=3600\r\n\r\n')
  await ask('/', ['Range: bytes=0-9'])
  pass(3601)
  const within = await ask('/', ['Range: bytes=2-3'])
  t.equal(sent(origin.requests[1] as string, 'if-none-match'), '"1"')
  t.equal(code(within), 206)
  t.equal(bodyOf(within), '23')
  pass(3601)
  t.equal(bodyOf(await ask('/', ['Range: bytes=5-14'])), digits.slice(5, 15))
  t.equal(sent(origin.requests[2] as string, 'if-none-match'), undefined)
  t.equal(bodyOf(await ask('/', ['Range: bytes=0-14'])), digits.slice(0, 15), 'by the tag the new part belongs to the old one')
  t.equal(origin.requests.length, 3)
})

t.test('a part of a newer representation replaces what is stored of the older one', async t => {
  const { ask, pass, origin } = await ranged(t, ({ count }) => count === 2 ? part(0, 4, [hour, 'ETag: "2"'], 'ABCDEFGHIJKLMNOPQRST') : count === 3 ? part(5, 19, [hour, 'ETag: "2"'], 'ABCDEFGHIJKLMNOPQRST') : undefined)
  await ask('/')
  pass(3601)
  t.equal(bodyOf(await ask('/', ['Range: bytes=0-4'])), 'ABCDE')
  t.equal(sent(origin.requests[1] as string, 'if-none-match'), '"1"')
  t.equal(bodyOf(await ask('/')), 'ABCDEFGHIJKLMNOPQRST')
})

t.test('a part of what is stored as a whole freshens it, and does not take its place (RFC 9111 3.4)', async t => {
  const { ask, origin } = await ranged(t, ({ count }) => count === 2 ? part(0, 4, ['Cache-Control: max-age=7200', 'ETag: "1"', 'X-New: 1']) : undefined)
  await ask('/')
  t.equal(bodyOf(await ask('/', ['Range: bytes=0-4', 'Cache-Control: no-cache'])), '01234')
  const whole = await ask('/')
  t.equal(bodyOf(whole), digits)
  t.match(whole, /x-new: 1/)
  t.equal(origin.requests.length, 2)
})

t.test('a part that may belong to the stored whole, but without a strong validator, does not take its place', async t => {
  for (const validator of ['X: 1', `Last-Modified: ${changed}`, 'ETag: W/"1"']) {
    const { ask, origin } = await ranged(t, () => {}, rfc9111, [hour, validator])
    await ask('/')
    t.equal(bodyOf(await ask('/', ['Range: bytes=0-4', 'Cache-Control: no-cache'])), '01234')
    t.equal(bodyOf(await ask('/')), digits)
    t.equal(origin.requests.length, 2, validator)
  }
})

t.test('a 206 whose place is unknown or wrong is passed on and not stored (RFC 9110 14.4, RFC 9111 3.3)', async t => {
  for (const [title, fields] of [
    ['unknown length', ['Content-Range: bytes 0-4/*']], ['no Content-Range', []], ['another unit', ['Content-Range: lines 0-4/20']],
    ['last before first', ['Content-Range: bytes 4-0/20']], ['beyond the end', ['Content-Range: bytes 0-20/20']],
    ['fewer bytes', ['Content-Range: bytes 0-5/20']], ['more bytes', ['Content-Range: bytes 0-3/20']],
    ['several parts', ['Content-Type: multipart/byteranges; boundary=b']], ['several parts that pretend to be one', ['Content-Type: multipart/byteranges; boundary=b', 'Content-Range: bytes 0-4/20']]
  ] as const) {
    const { ask, proxy } = await ranged(t, () => response('01234', [hour, 'ETag: "1"', ...fields], '206 Partial Content'))
    const answer = await ask('/', ['Range: bytes=0-4'])
    t.equal(code(answer), 206, title)
    t.equal(bodyOf(answer), '01234', title)
    t.equal(outcomeOf(answer, true), 'uri-miss partial', title)
    t.equal(proxy.control.stats().cache.entries, 0, title)
  }
})

t.test('a 206 that nobody asked for is passed on and not stored', async t => {
  const { ask } = await ranged(t, () => part(0, 4))
  t.equal(code(await ask('/')), 206)
  t.equal(outcomeOf(await ask('/'), true), 'uri-miss partial')
})

t.test('a chunked 206 whose length is not that of its range is not stored (RFC 9111 3.3)', async t => {
  const { ask, proxy } = await ranged(t, () => `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/20\r\nETag: "1"\r\n${hour}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n`)
  t.equal(bodyOf(await ask('/', ['Range: bytes=0-4'])).includes('012'), true)
  t.equal(proxy.control.stats().cache.entries, 0)
})

t.test('a 200 that was cut short is not stored (RFC 9111 3.3, MAY)', async t => {
  const { ask, proxy } = await ranged(t, ({ socket, count }) => {
    if (count > 1) return undefined
    socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: "1"\r\n${hour}\r\n\r\n01234`)
    return ''
  })
  await ask('/')
  t.equal(proxy.control.stats().cache.entries, 0)
  t.equal(bodyOf(await ask('/')), digits)
})

t.test('a stale whole is validated for a range, and its 304 lets the range be answered (RFC 9111 4.3)', async t => {
  const { ask, pass, origin } = await ranged(t, ({ text }) => sent(text, 'if-none-match') === undefined ? undefined : 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=3600\r\n\r\n')
  await ask('/')
  pass(3601)
  const answer = await ask('/', ['Range: bytes=2-3', 'If-Range: "1"'])
  t.equal(code(answer), 206)
  t.equal(bodyOf(answer), '23')
  t.equal(sent(answer, 'content-range'), 'bytes 2-3/20')
  t.equal(origin.requests.length, 2)
})

t.test('with ranges stored under one variant another is not answered (RFC 9111 4.1)', async t => {
  const { ask } = await ranged(t, () => {}, rfc9111, [hour, 'ETag: "1"', 'Vary: A'])
  await ask('/', ['Range: bytes=0-9', 'A: 1'])
  t.equal(outcomeOf(await ask('/', ['Range: bytes=0-1', 'A: 2']), false), 'vary-miss')
  t.equal(outcomeOf(await ask('/', ['Range: bytes=0-1', 'A: 1']), false), 'hit')
})

t.test('a route may decline to store parts', async t => {
  const { ask, origin } = await ranged(t, () => {}, { route: { cache: { partial: false } } })
  for (let i = 0; i < 2; i++) t.equal(outcomeOf(await ask('/', ['Range: bytes=0-9']), true), 'uri-miss partial')
  t.equal(origin.requests.length, 2)
})

t.test('what parts make together stays within the bound for one response', async t => {
  const { ask, proxy } = await ranged(t, () => {}, { ...rfc9111, cache: { maxResponseBytes: 12 } })
  await ask('/', ['Range: bytes=0-9'])
  await ask('/', ['Range: bytes=10-19'])
  t.equal(proxy.control.stats().cache.entries, 1)
  t.equal(outcomeOf(await ask('/', ['Range: bytes=10-19']), false), 'hit', 'the newest part is kept')
  t.equal(outcomeOf(await ask('/', ['Range: bytes=0-9']), false), 'partial')
})

t.test('many parts with gaps between them count against the bounds, and begin anew where they are too many', async t => {
  const long = 'x'.repeat(400)
  const { ask, proxy } = await startWire(t, ({ text }) => {
    const start = Number(/bytes=(\d+)/.exec(text)?.[1])
    return part(start, start, [hour, 'ETag: "1"'], long)
  })
  await ask('/', ['Range: bytes=0-0'])
  const before = proxy.control.stats().cache.bytes
  await ask('/', ['Range: bytes=2-2'])
  t.ok(proxy.control.stats().cache.bytes > before + 100)
  for (let at = 4; at < 200; at += 2) await ask('/', [`Range: bytes=${at}-${at}`])
  t.ok(proxy.control.stats().cache.bytes < before + 64 * 300)
  t.equal(outcomeOf(await ask('/', ['Range: bytes=198-198']), false), 'hit')
})

t.test('ranges are answered over HTTP/2 as well', async t => {
  const origin = await startRawOrigin(t, () => response(digits, [hour, 'ETag: "1"']))
  const session = await overHttp2(t, origin.url)
  const over2 = (fields: Record<string, string>): Promise<{ status: number, fields: http2.IncomingHttpHeaders, body: string }> => new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/', ':authority': 'proxy.test', ...fields })
    let body = ''
    let received: http2.IncomingHttpHeaders = {}
    stream.on('response', head => { received = head })
    stream.on('data', (chunk: Buffer) => { body += chunk.toString('latin1') })
    stream.on('error', reject)
    stream.on('end', () => { resolve({ status: Number(received[':status']), fields: received, body }) })
  })
  await over2({})
  for (const [range, status, body] of [['bytes=2-5', 206, '2345'], ['bytes=-2', 206, 'ij'], ['bytes=30-', 416, ''], ['bytes=5-4', 200, digits]] as const) {
    const answer = await over2({ range })
    t.equal(answer.status, status, range)
    t.equal(answer.body, body, range)
    t.match(answer.fields['cache-status'], 'hit')
    if (status !== 200) t.equal(answer.fields['content-range'], status === 416 ? 'bytes */20' : range === 'bytes=-2' ? 'bytes 18-19/20' : 'bytes 2-5/20')
  }
  t.match((await over2({ range: 'bytes=0-0,5-5' })).body, /content-range: bytes 5-5\/20\r\n\r\n5\r\n/i)
})
