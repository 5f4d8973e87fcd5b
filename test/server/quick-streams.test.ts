/** Hits that are answered on their HTTP/2 stream are the hits of the long way (compare `quick-hits.test.ts`). */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import fc from 'fast-check'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { until, type ProxySettings, type RunningProxy } from '../fixtures/proxy.ts'
import { anyPath, compareLogs, compareMany, counters, fieldSets, methods, paths, settings, startPair as startAnyPair, type Pair } from '../fixtures/quick-pair.ts'

const folder = mkdtempSync(join(tmpdir(), 'holdfast-streams-'))
t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
const made = await generate([{ name: 'commonName', value: 'proxy.test' }])
const certificate = { cert: join(folder, 'a.pem'), key: join(folder, 'a.key') }
writeFileSync(certificate.cert, made.cert)
writeFileSync(certificate.key, made.private)

/** A request, with content where there is any. */
type Asked = OutgoingHttpHeaders & { readonly content?: string }

interface StreamPair extends Pair<Asked> {
  /** The same session for all requests to one proxy. */
  readonly sessions: (proxy: RunningProxy) => ClientHttp2Session
}

async function startPair (t: Test, settings: ProxySettings = {}): Promise<StreamPair> {
  const sessions = new Map<RunningProxy, ClientHttp2Session>()
  const sessionOf = (proxy: RunningProxy): ClientHttp2Session => {
    let session = sessions.get(proxy)
    if (session === undefined || session.destroyed || session.closed) {
      session = connect(proxy.url, { rejectUnauthorized: false })
      session.on('error', () => {})
      sessions.set(proxy, session)
    }
    return session
  }
  const pair = await startAnyPair(t, { ...settings, server: { ...settings.server, tls: { certificates: [certificate] } } }, (proxy: RunningProxy, asked: Asked) => answerTo(request(sessionOf(proxy), asked)))
  t.teardown(() => { for (const session of sessions.values()) session.destroy() })
  return { ...pair, sessions: sessionOf }
}

function request (session: ClientHttp2Session, { content = '', ...fields }: Asked): ClientHttp2Stream {
  const stream = session.request({ ':authority': 'proxy.test', ':path': '/tagged', ...fields }, { endStream: content === '' })
  stream.on('error', () => {})
  if (content !== '') stream.end(content)
  return stream
}

/** How the stream ended, and all that came, without ids, names of instances and the date. */
function answerTo (stream: ClientHttp2Stream): Promise<string> {
  let head: string[] = []
  const interim: number[] = []
  let body = ''
  stream.on('headers', fields => { interim.push(Number(fields[':status'])) })
  // As lines: of some fields Node's map has the first alone.
  stream.on('response', ((_fields: unknown, _flags: number, lines: string[]) => { head = lines }) as () => void)
  stream.setEncoding('latin1').on('data', (chunk: string) => { body += chunk })
  return new Promise(resolve => {
    stream.on('close', () => {
      const lines: string[] = []
      for (let i = 0; i < head.length; i += 2) {
        const [name, value] = head.slice(i, i + 2) as [string, string]
        lines.push(`${name}: ${name === 'date' || (name === 'x-request-id' && !value.startsWith('given')) ? 'made' : name === 'via' ? value.replace(/-[0-9a-f]{8}/g, '') : value}`)
      }
      resolve(JSON.stringify({ code: stream.rstCode, interim, lines: lines.sort(), body: body.replace(/"requestId":"[^"]*"/, '"requestId":""') }).replace(/holdfast-[0-9a-f]{24}/g, 'boundary'))
    })
  })
}

/** Lines of HTTP/1 as HTTP/2 has them; null for those that Node's client refuses to send. */
function fieldsOf (lines: readonly string[]): Asked | null {
  const fields: Record<string, string[]> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    if (['connection', 'upgrade', 'transfer-encoding'].includes(name)) return null
    fields[name] = [...fields[name] ?? [], line.slice(colon + 2)]
  }
  const asked = Object.fromEntries(Object.entries(fields).map(([name, values]) => [name, values.length === 1 ? values[0] : values]))
  return fields['content-length']?.[0] === '3' ? { ...asked, content: 'abc' } : asked
}

const askedFields = fieldSets.map(fieldsOf).filter(asked => asked !== null)

for (const [title, given] of settings) {
  t.test(`HTTP/2, ${title}: every request of the table is answered, logged and counted as on the long way`, async t => {
    const pair = await startPair(t, given)

    for (const path of paths) await pair.compare(t, { ':path': path })
    for (const fields of askedFields) {
      for (const path of ['/tagged', '/varied', '/user']) await pair.compare(t, { ':path': path, ...fields })
    }
    for (const path of ['/tagged', '/large', '/empty', '/moved']) await pair.compare(t, { ':method': 'HEAD', ':path': path })
    for (const method of ['POST', 'OPTIONS', 'PURGE', 'PROPFIND', 'BREW', 'GET']) await pair.compare(t, { ':method': method })
    await pair.compare(t, { ':method': 'GET', content: 'content without a length' })
    // Not HTTP/2 (RFC 9113 8.2.1, 8.3.1), which Node sees to.
    for (const asked of [{ ':path': 'https://proxy.test/tagged' }, { ':path': '*' }, { ':path': 'tagged' }, { ':authority': 'bad host' }, { ':authority': 'a/b' }]) {
      const [one, other] = await pair.ask(asked)
      t.equal(one, other)
      t.match(one, `"code":${constants.NGHTTP2_PROTOCOL_ERROR}`)
    }
    for (const authority of ['PROXY.test', 'proxy.test:443', 'proxy.test:8080', 'proxy.test.', 'a..b', ':443']) await pair.compare(t, { ':authority': authority })
    for (const host of ['other.test', 'proxy.test', 'a/b']) await pair.compare(t, { host }, `:authority and Host ${host}`)

    await compareLogs(t, pair)
  })
}

t.test('HTTP/2: plain hits take the quick way, and no request takes it where it is left off', async t => {
  const pair = await startPair(t)

  for (let i = 0; i < 3; i++) await pair.compare(t, {})

  t.equal(pair.quick.looked(), 3)
  t.equal(pair.long.looked(), 0)
})

for (const [title, options] of [['no filter', {}], ['a rate limit', { route: { rateLimit: { max: 20, window: '1m', hits: 0.5 } } }]] as const) {
  t.test(`HTTP/2: whatever is asked, with ${title}, any method, path and fields lead to the same`, async t => {
    const pair = await startPair(t, options)
    const line = fc.record({ ':method': methods, ':path': anyPath(), ':authority': fc.constantFrom('proxy.test', 'other.test', 'PROXY.TEST:443') })
    const fields = fc.array(fc.constantFrom(...askedFields.filter(({ content, expect, 'content-length': length }) => content === undefined && expect === undefined && length === undefined)), { maxLength: 3 })

    await compareMany(t, pair, fc.tuple(line, fields).map(([line, fields]) => Object.assign({}, ...fields, line) as Asked), { numRuns: 300, seed: 20_260_602 })
  })
}

t.test('HTTP/2: a field that stands on several lines is passed on as it came, or as one line where Node takes no more, by either way', async t => {
  const pair = await startPair(t)

  for (const way of ['miss', 'hit']) {
    const answer = await pair.compare(t, { ':path': '/single' }, way)
    t.match(answer, /"content-language: de","content-language: en"|"content-language: de, en"/)
  }
  t.match(await pair.compare(t, { ':path': '/single', ':method': 'HEAD' }), /"code":0/)
})

t.test('HTTP/2: many streams at once are answered, each with its own', async t => {
  const pair = await startPair(t)
  const all: Asked[] = [{}, { ':path': '/large' }, { ':method': 'HEAD' }, { 'if-none-match': '"one"' }, { range: 'bytes=1-2' }, { ':path': '/missing' }]
  for (const asked of all) await pair.ask(asked)

  for (const [one, other] of await Promise.all(Array.from({ length: 100 }, (_, i) => pair.ask(all[i % all.length] as Asked)))) t.equal(one, other)

  await until(() => pair.quick.lines.length === 106 && pair.long.lines.length === 106)
  t.same(await counters(pair.quick), await counters(pair.long))
})

t.test('HTTP/2: a client that resets a stream before, while or after it is answered harms no other, and is logged as it was', async t => {
  const pair = await startPair(t)
  await pair.compare(t, { ':path': '/large' })
  await pair.compare(t, { ':path': '/large' })
  const before = [pair.quick.lines.length, pair.long.lines.length]

  for (const { proxy } of [pair.quick, pair.long]) {
    const session = pair.sessions(proxy)
    for (let i = 0; i < 20; i++) {
      const now = request(session, { ':path': '/large' })
      now.close(constants.NGHTTP2_CANCEL)
      const soon = request(session, { ':path': '/large' })
      soon.on('response', () => { soon.close(constants.NGHTTP2_CANCEL) })
      await Promise.all([now, soon].map(async stream => { await new Promise(resolve => { stream.on('close', resolve) }) }))
    }
  }
  await until(() => pair.quick.lines.length === (before[0] as number) + 40 && pair.long.lines.length === (before[1] as number) + 40)

  for (const { lines } of [pair.quick, pair.long]) {
    for (const line of lines.slice(before[0])) t.ok(line['aborted'] === true ? line['code'] === 'cancelled' : line['status'] === 200)
  }
  t.ok(pair.quick.lines.slice(before[0]).some(line => line['aborted'] === true && line['cache'] === 'hit' && line['status'] === 200))
  await pair.compare(t, { ':path': '/large' })
})

t.test('HTTP/2: a connection that breaks off while hits are being sent is logged for each of them', async t => {
  const pair = await startPair(t)
  await pair.compare(t, { ':path': '/large' })
  const { proxy, lines } = pair.quick

  const socket = tlsConnect({ port: proxy.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  const session = connect(proxy.url, { createConnection: () => socket, settings: { initialWindowSize: 1000 } })
  session.on('error', () => {})
  const streams = Array.from({ length: 5 }, () => request(session, { ':path': '/large' }))
  await Promise.all(streams.map(stream => new Promise(resolve => { stream.on('response', resolve) })))
  socket.destroy()
  await until(() => lines.length === 6)

  for (const line of lines.slice(1)) t.match(line, { cache: 'hit', status: 200, aborted: true, code: 'cancelled' })
})

t.test('HTTP/2: a hit that nobody reads is reset at the write timeout', async t => {
  const pair = await startPair(t, { server: { limits: { writeTimeout: '200ms' } } })
  await pair.compare(t, { ':path': '/large' })
  await pair.compare(t, {})

  for (const watched of [pair.quick, pair.long]) {
    const before = watched.lines.length
    const session = connect(watched.proxy.url, { rejectUnauthorized: false, settings: { initialWindowSize: 0 } })
    session.on('error', () => {})
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
      const stream = request(session, { ':path': i % 2 === 0 ? '/large' : '/tagged' })
      stream.resume()
      await new Promise(resolve => { stream.on('close', resolve) })
      return stream.rstCode
    }))
    t.same(new Set(answers), new Set([constants.NGHTTP2_CANCEL]))
    await until(() => watched.lines.length === before + 50)
    for (const line of watched.lines.slice(before)) t.match(line, { cache: 'hit', status: 200, aborted: true, code: 'write_timeout' })
    session.destroy()
  }
})

t.test('HTTP/2: who reads slowly, but reads, gets all of a large hit', async t => {
  const pair = await startPair(t, { server: { limits: { writeTimeout: '300ms' } } })
  await pair.compare(t, { ':path': '/large' })

  const session = connect(pair.quick.proxy.url, { rejectUnauthorized: false, settings: { initialWindowSize: 70_000 } })
  session.on('error', () => {})
  const stream = request(session, { ':path': '/large' })
  let length = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    length += chunk.length
    await new Promise(resolve => { setTimeout(resolve, 60) })
  }
  session.destroy()

  t.equal(length, 200_000)
  t.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR)
})

t.test('HTTP/2: a drain lets the hits that are under way end', async t => {
  const pair = await startPair(t)
  await pair.compare(t, { ':path': '/large' })
  const session = pair.sessions(pair.quick.proxy)
  const stream = request(session, { ':path': '/large' })
  const answer = answerTo(stream)
  await new Promise(resolve => { stream.on('response', resolve) })

  pair.quick.proxy.connections.closeGracefully()

  const { code, body } = JSON.parse(await answer) as { code: number, body: string }
  t.same([code, body.length], [constants.NGHTTP2_NO_ERROR, 200_000])
  await until(() => session.destroyed)
})

t.test('HTTP/2: what the quick look has worked out of a target is not worked out again on the long way', async t => {
  const { quick, sessions } = await startPair(t)
  // Who reads the target again, reads this.
  quick.proxy.app.server.prependListener('request', (raw: IncomingMessage) => { raw.url = '/again' })

  const answers = await Promise.all(['GET', 'POST'].map(method => answerTo(request(sessions(quick.proxy), { ':method': method, ':path': '/tagged' }))))

  t.match(answers.map(answer => (JSON.parse(answer) as { body: string }).body), ['tagged', 'plain'])
})
