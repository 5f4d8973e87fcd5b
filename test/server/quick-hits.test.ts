/**
 * Hits that are answered before Fastify's routing are the hits of the long way: the same requests go to two proxies of one
 * configuration, of which one never answers quickly, and responses, access lines and counters are the same.
 */
import fc from 'fast-check'
import { resolveConfig } from '../../src/config/load.ts'
import t, { type Test } from 'tap'
import { openSocket, talk, until, type ProxySettings, type RunningProxy } from '../fixtures/proxy.ts'
import { anyPath, compareLogs, compareMany, fieldSets, methods, paths, settings, startPair as startAnyPair, type Pair } from '../fixtures/quick-pair.ts'

/** Asked in octets. */
function startPair (t: Test, settings: ProxySettings = {}): Promise<Pair<string>> {
  return startAnyPair(t, settings, async ({ port }: RunningProxy, octets: string) => comparable(await talk(port, octets)))
}

/** Heads with their lines sorted, since lines of different names have no order (RFC 9110 5.3), and without ids and names of instances. */
function comparable (text: string): string {
  return text.split(/(?=HTTP\/1\.1 [1-5]\d\d )/).map(one => {
    const end = one.indexOf('\r\n\r\n')
    const [status = '', ...lines] = one.slice(0, end).split('\r\n')
    const kept = lines.map(line => {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      const value = line.slice(colon + 1).trim()
      if (name === 'x-request-id') return `${name}: ${/^given/.test(value) ? value : 'made'}`
      return name === 'date' ? 'date' : `${name}: ${name === 'via' ? value.replace(/-[0-9a-f]{8}/g, '') : value}`
    })
    const body = one.slice(end + 4).replace(/"requestId":"[^"]*"/, '"requestId":""')
    // A new boundary for each answer of several parts.
    return [status, ...kept.sort(), '', body].join('\r\n').replace(/holdfast-[0-9a-f]{24}/g, 'boundary')
  }).join('')
}

function request (line: string, fields: readonly string[] = [], host = 'proxy.test'): string {
  return [line, ...host === '' ? [] : [`Host: ${host}`], ...fields, 'Connection: close', '', ''].join('\r\n')
}

/** Framing that announces content, with it. */
function withContent (octets: string, fields: readonly string[]): string {
  return fields.includes('Content-Length: 3') ? `${octets}abc` : fields.includes('Transfer-Encoding: chunked') ? `${octets}3\r\nabc\r\n0\r\n\r\n` : octets
}

for (const [title, given] of settings) {
  t.test(`${title}: every request of the table is answered, logged and counted as on the long way`, async t => {
    const pair = await startPair(t, given)

    for (const path of paths) await pair.compare(t, request(`GET ${path} HTTP/1.1`))
    for (const fields of fieldSets) {
      for (const path of ['/tagged', '/varied', '/user']) await pair.compare(t, withContent(request(`GET ${path} HTTP/1.1`, fields), fields))
    }
    for (const line of ['HEAD /tagged HTTP/1.1', 'HEAD /large HTTP/1.1', 'GET /tagged HTTP/1.0', 'POST /tagged HTTP/1.1', 'GET /tagged HTTP/1.1', 'OPTIONS /tagged HTTP/1.1', 'PURGE /tagged HTTP/1.1', 'BREW /tagged HTTP/1.1']) await pair.compare(t, request(line))
    for (const target of ['http://proxy.test/tagged', 'http://other.test/tagged', 'https://proxy.test/tagged', 'http://proxy.test:80/tagged', 'http://a@proxy.test/', 'ftp://proxy.test/']) await pair.compare(t, request(`GET ${target} HTTP/1.1`))
    for (const host of ['PROXY.test', 'proxy.test:80', 'proxy.test:8080', '', 'bad host', 'a/b', 'proxy.test.']) await pair.compare(t, request('GET /tagged HTTP/1.1', [], host))

    await compareLogs(t, pair)
  })
}

t.test('plain hits take the quick way, and no request takes it where it is left off', async t => {
  const pair = await startPair(t)

  for (let i = 0; i < 3; i++) await pair.compare(t, request('GET /tagged HTTP/1.1'))

  t.equal(pair.quick.looked(), 3)
  t.equal(pair.long.looked(), 0)
})

for (const [title, options] of [['no filter', {}], ['a rate limit', { route: { rateLimit: { max: 20, window: '1m', hits: 0.5 } } }], ['a trusted proxy', { server: { trustedProxies: ['loopback'] } }]] as const) {
  t.test(`whatever is asked, with ${title}: any method, target, version and fields lead to the same`, async t => {
    const pair = await startPair(t, options)
    const line = fc.tuple(methods, anyPath('f;"<'), fc.constantFrom('1.1', '1.1', '1.1', '1.0')).map(([method, path, version]) => `${method} ${path} HTTP/${version}`)
    // Each with its framing complete: what follows on the connection would else be another request.
    const framed = fieldSets.filter(fields => !fields.some(field => /^(?:content-length|transfer-encoding|expect|host)/i.test(field)))
    const fields = fc.array(fc.constantFrom(...framed), { maxLength: 3 }).map(sets => sets.flat())
    const requests = fc.tuple(line, fields, fc.constantFrom('proxy.test', 'other.test', 'PROXY.TEST:80')).map(asked => request(...asked))

    await compareMany(t, pair, requests, { numRuns: 400, seed: 20_260_601 })
  })
}

t.test('many requests at once on one connection are answered in order, each once (RFC 9112 9.3.2)', async t => {
  const pair = await startPair(t)
  const more = (line: string, fields: readonly string[] = []): string => [line, 'Host: proxy.test', ...fields, '', ''].join('\r\n')
  await pair.ask(request('GET /tagged HTTP/1.1'))
  await pair.ask(request('GET /large HTTP/1.1'))

  const answer = await pair.compare(t, [
    more('GET /tagged HTTP/1.1'), more('GET /large HTTP/1.1'), more('HEAD /tagged HTTP/1.1'), more('GET /private HTTP/1.1'), more('GET /tagged HTTP/1.1', ['If-None-Match: "one"']),
    more('GET /tagged HTTP/1.1', ['Range: bytes=1-2']), request('GET /tagged HTTP/1.1')
  ].join(''), 'pipelined')

  t.equal(answer.match(/HTTP\/1\.1 [2345]\d\d /g)?.length, 7)
  await compareLogs(t, pair, 9)
})

t.test('the last request that a connection may have is told so, quickly as well', async t => {
  const pair = await startPair(t, { server: { limits: { requestsPerConnection: 2 } } })
  await pair.ask(request('GET /tagged HTTP/1.1'))

  const answer = await pair.compare(t, 'GET /tagged HTTP/1.1\r\nHost: proxy.test\r\n\r\n'.repeat(2), 'two')

  t.match(answer, /keep-alive[^]*connection: close/)
})

t.test('a reload counts for the next request on a connection that goes on, and a drain for the last', async t => {
  const pair = await startPair(t)
  const { proxy, origin } = pair.quick
  const socket = openSocket(proxy.port)
  let seen = ''
  socket.on('data', chunk => { seen += chunk.toString('latin1') })
  const answers = (): number => seen.match(/HTTP\/1\.1 \d\d\d /g)?.length ?? 0
  const ask = async (): Promise<string> => {
    const [from, before] = [seen.length, answers()]
    socket.write('GET /tagged HTTP/1.1\r\nHost: proxy.test\r\n\r\n')
    await until(() => answers() > before)
    return seen.slice(from)
  }

  await ask()
  t.match(await ask(), / 200 OK[^]*; hit/)
  await proxy.control.reload(resolveConfig({
    ...{ admin: { enabled: false }, server: { host: '127.0.0.1', port: 0 }, log: { access: true } },
    upstreams: { default: { targets: [origin] } },
    routes: [{ name: 'default', upstream: 'default', access: { deny: ['127.0.0.0/8'] } }]
  }))
  t.match(await ask(), / 403 /)

  const closed = new Promise(resolve => { socket.once('close', resolve) })
  proxy.connections.closeGracefully()
  await closed
  t.equal(answers(), 3)
})
