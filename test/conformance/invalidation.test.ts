/** Invalidation by unsafe requests (RFC 9111 4.4), writing through (4), and POST whose answer may be reused (RFC 9110 9.3.3). */
import t, { type Test } from 'tap'
import { bodyOf, outcomeOf, rfc9111, startWire } from '../fixtures/conformance.ts'
import { talk, until, type ProxySettings } from '../fixtures/proxy.ts'
import { response, type RawExchange } from '../fixtures/raw-origin.ts'

const hour = 'Cache-Control: max-age=3600'

/** Answers GET with a response for an hour, and anything else as told. */
async function changing (t: Test, answer: (exchange: RawExchange) => string | void, settings: ProxySettings = rfc9111) {
  const wire = await startWire(t, exchange => exchange.text.startsWith('GET ') ? response(`answer ${exchange.count}`, [hour, 'ETag: "1"']) : answer(exchange), settings)
  const send = (method: string, path = '/', fields: readonly string[] = []): Promise<string> =>
    talk(wire.proxy.port, [`${method} ${path} HTTP/1.1`, 'Host: proxy.test', 'Connection: close', 'Content-Type: text/plain', 'Content-Length: 1', ...fields, '', 'x'].join('\r\n'))
  return { ...wire, send, isStored: async (path = '/') => outcomeOf(await wire.ask(path, ['Cache-Control: only-if-cached']), false) === 'hit' }
}

t.test('a non-error answer to an unsafe or unknown method invalidates the target URI (RFC 9111 4.4, MUST)', async t => {
  const { ask, send, isStored, origin } = await changing(t, () => response('', []))
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'LOCK', 'MKCOL', 'M-SEARCH', 'LINK', 'PURGE', 'NOTIFY', 'SUBSCRIBE', 'REBIND', 'ACL']) {
    await ask('/')
    t.equal(await isStored(), true)
    const before = origin.requests.length
    t.match(await send(method), /^HTTP\/1\.1 200/, method)
    t.equal(origin.requests.length, before + 1, `${method} is written through (4, MUST)`)
    t.equal(await isStored(), false, method)
  }
})

t.test('a safe method invalidates nothing (RFC 9111 4.4, RFC 9110 9.2.1)', async t => {
  const { ask, send, isStored } = await changing(t, ({ text }) => text.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\nETag: "1"\r\n\r\n' : response('', [hour, 'Location: /', 'Content-Location: /']))
  await ask('/')
  for (const method of ['HEAD', 'TRACE', 'OPTIONS', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY']) {
    const answer = method === 'HEAD' || method === 'TRACE' ? await ask('/', ['Cache-Control: no-cache'], method) : await send(method)
    t.match(answer, /^HTTP\/1\.1 200/, method)
    t.equal(await isStored(), true, method)
  }
})

t.test('only 2xx and 3xx invalidate (RFC 9111 4.4)', async t => {
  for (const [status, invalidates] of [['200 OK', true], ['201 Created', true], ['204 No Content', true], ['299 Fine', true], ['301 Moved Permanently', true], ['303 See Other', true], ['304 Not Modified', true], ['307 Temporary Redirect', true], ['399 Elsewhere', true],
    ['400 Bad Request', false], ['403 Forbidden', false], ['404 Not Found', false], ['412 Precondition Failed', false], ['499 Gone', false], ['500 Internal Server Error', false], ['503 Service Unavailable', false], ['599 No', false]] as const) {
    const { ask, send, isStored } = await changing(t, () => `HTTP/1.1 ${status}\r\n${/^(?:204|304)/.test(status) ? '' : 'Content-Length: 0\r\n'}\r\n`)
    await ask('/')
    await send('POST')
    t.equal(await isStored(), !invalidates, status)
  }
})

t.test('a request that the origin server did not answer invalidates nothing', async t => {
  const { ask, send, isStored } = await changing(t, ({ socket }) => { socket.destroy() })
  await ask('/')
  t.match(await send('POST'), /^HTTP\/1\.1 502/)
  t.equal(await isStored(), true)
})

t.test('an interim response is not the answer yet', async t => {
  let finish: (() => void) | null = null
  const { ask, send, isStored } = await changing(t, ({ socket }) => {
    socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n')
    finish = () => { socket.write(response('', [], '400 Bad Request')) }
  })
  await ask('/')
  const answer = send('POST')
  await until(() => finish !== null)
  ;(finish as unknown as () => void)()
  await answer
  t.equal(await isStored(), true)
})

t.test('what Location and Content-Location name is invalidated as well, on the same origin alone (RFC 9111 4.4, MAY and MUST NOT)', async t => {
  for (const [reference, invalidates] of [
    ['/other', true], ['other', true], ['./x/../other', true], ['http://proxy.test/other', true], ['HTTP://PROXY.test:80/other', true], ['//proxy.test/other', true], ['/other#part', true], ['/%6Fther', true],
    ['http://proxy.test:81/other', false], ['https://proxy.test/other', false], ['http://other.test/other', false], ['//other.test/other', false], ['http://proxy.test.evil/other', false],
    ['/other?x', false], ['/third', false], ['http://[', false], ['mailto:a@proxy.test', false], ['', false]
  ] as const) {
    for (const field of ['Location', 'Content-Location']) {
      for (const method of ['POST', 'PUT', 'DELETE']) {
        const { ask, send, isStored } = await changing(t, () => response('', [`${field}: ${reference}`], '201 Created'))
        for (const path of ['/here', '/other']) await ask(path)
        await send(method, '/here')
        t.equal(await isStored('/other'), !invalidates, `${method} ${field}: ${reference}`)
        t.equal(await isStored('/here'), false)
      }
    }
  }
})

t.test('both fields count, and an error invalidates what neither names', async t => {
  for (const status of ['201 Created', '409 Conflict']) {
    const { ask, send, isStored } = await changing(t, () => response('', ['Location: /one', 'Content-Location: /two'], status))
    for (const path of ['/one', '/two']) await ask(path)
    await send('POST', '/here')
    for (const path of ['/one', '/two']) t.equal(await isStored(path), status[0] === '4', `${status} ${path}`)
  }
})

t.test('all variants and parts of a URI are invalidated, and no other query', async t => {
  const { ask, send, proxy } = await startAll(t)
  await ask('/a', ['A: 1'])
  await ask('/a', ['A: 2'])
  await ask('/b', ['Range: bytes=0-1'])
  await ask('/a?x')
  t.equal(proxy.control.stats().cache.entries, 4)
  await send('/a')
  t.equal(proxy.control.stats().cache.entries, 2)
  await send('/b')
  t.equal(proxy.control.stats().cache.entries, 1)
})

async function startAll (t: Test) {
  const wire = await startWire(t, ({ text }) => text.startsWith('DELETE')
    ? 'HTTP/1.1 204 No Content\r\n\r\n'
    : /range:/i.test(text)
      ? response('ab', [hour, 'ETag: "1"', 'Content-Range: bytes 0-1/9'], '206 Partial Content')
      : response('x', [hour, 'Vary: A']))
  return { ...wire, send: (path: string) => wire.ask(path, [], 'DELETE') }
}

/** One request is held back until the test lets it be answered. */
async function holding (t: Test, isHeld: (exchange: RawExchange) => boolean, late: string, other: (exchange: RawExchange) => string) {
  let release: (() => void) | null = null
  const wire = await startWire(t, exchange => {
    if (release !== null || !isHeld(exchange)) return other(exchange)
    release = () => { exchange.socket.write(late) }
    return undefined
  })
  return { ...wire, held: () => until(() => release !== null), release: () => { (release as unknown as () => void)() } }
}

const answerTo = ({ text, count }: RawExchange): string => text.startsWith('DELETE') ? 'HTTP/1.1 204 No Content\r\n\r\n' : response(`answer ${count}`, [hour, 'ETag: "1"'])

t.test('a response that was under way is not stored after the invalidation (RFC 9111 4.4)', async t => {
  const { ask, held, release, proxy } = await holding(t, ({ text }) => text.startsWith('GET'), response('old', [hour]), answerTo)
  const old = ask('/')
  await held()
  await ask('/', [], 'DELETE')
  release()
  t.equal(bodyOf(await old), 'old')
  t.equal(proxy.control.stats().cache.entries, 0)
  t.equal(bodyOf(await ask('/')), 'answer 3')
})

t.test('who asks after the invalidation does not wait for a response that was under way before it (RFC 9111 4.4)', { timeout: 10_000 }, async t => {
  const { ask, held, release, origin } = await holding(t, ({ text }) => text.startsWith('GET'), response('old', [hour]), answerTo)
  const old = ask('/')
  await held()
  await ask('/', [], 'DELETE')
  const asked = ask('/')
  await until(() => origin.requests.length === 3)
  release()
  t.equal(bodyOf(await asked), 'answer 3')
  t.equal(bodyOf(await old), 'old')
})

t.test('a validation that was under way does not bring back what was invalidated (RFC 9111 4.4)', async t => {
  const { ask, held, release, pass, proxy } = await holding(t, ({ text }) => text.includes('if-none-match'), `HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n${hour}\r\n\r\n`, answerTo)
  await ask('/')
  pass(3601)
  const validated = ask('/')
  await held()
  await ask('/', [], 'DELETE')
  release()
  t.equal(bodyOf(await validated), 'answer 1')
  t.equal(proxy.control.stats().cache.entries, 0)
})

t.test('a part that was under way is not put together with what was invalidated', async t => {
  const { ask, held, release, proxy } = await holding(t, ({ text, count }) => count === 2 && text.startsWith('GET'),
    response('cd', [hour, 'ETag: "1"', 'Content-Range: bytes 2-3/4'], '206 Partial Content'),
    exchange => exchange.count === 1 ? response('ab', [hour, 'ETag: "1"', 'Content-Range: bytes 0-1/4'], '206 Partial Content') : answerTo(exchange))
  await ask('/', ['Range: bytes=0-1'])
  const whole = ask('/')
  await held()
  await ask('/', [], 'DELETE')
  release()
  t.equal(bodyOf(await whole), 'abcd')
  t.equal(proxy.control.stats().cache.entries, 0)
})

t.test('unsafe requests reach the origin server whatever is stored, and with their preconditions (RFC 9111 4, MUST)', async t => {
  const { ask, send, origin } = await changing(t, () => response('no', [], '412 Precondition Failed'))
  await ask('/')
  for (const [method, field] of [['PUT', 'If-Match: "1"'], ['PUT', 'If-None-Match: "1"'], ['DELETE', 'If-None-Match: *'], ['POST', 'Cache-Control: only-if-cached'], ['PATCH', 'Range: bytes=0-1']] as const) {
    t.match(await send(method, '/', [field]), /^HTTP\/1\.1 412/)
    t.match(origin.requests.at(-1)?.toLowerCase(), `\r\n${field.toLowerCase()}\r\n`)
  }
  t.equal(origin.requests.length, 6)
})

t.test('the answer to a POST is reused for GET and HEAD if it is explicitly fresh and about its own URI (RFC 9110 9.3.3)', async t => {
  for (const [title, fields, status, reused] of [
    ['as it has to be', [hour, 'Content-Location: /form?a'], '200 OK', true],
    ['by an absolute reference', [hour, 'Content-Location: http://proxy.test/form?a'], '201 Created', true],
    ['by a relative one', ['Cache-Control: s-maxage=3600', 'Content-Location: form?a'], '200 OK', true],
    ['by Expires', ['Expires: Mon, 01 Jun 2026 13:00:00 GMT', 'Content-Location: ?a'], '200 OK', true],
    ['about another URI', [hour, 'Content-Location: /other'], '200 OK', false],
    ['about another query', [hour, 'Content-Location: /form'], '200 OK', false],
    ['about another origin', [hour, 'Content-Location: http://other.test/form?a'], '200 OK', false],
    ['about several', [hour, 'Content-Location: /form?a', 'Content-Location: /form?a'], '200 OK', false],
    ['about nothing', [hour], '200 OK', false],
    ['by a heuristic alone', ['Last-Modified: Mon, 05 Jan 2026 08:00:00 GMT', 'Content-Location: /form?a'], '200 OK', false],
    ['public alone', ['Cache-Control: public', 'Last-Modified: Mon, 05 Jan 2026 08:00:00 GMT', 'Content-Location: /form?a'], '200 OK', false],
    ['no-store', [`${hour}, no-store`, 'Content-Location: /form?a'], '200 OK', false],
    ['private', [`${hour}, private`, 'Content-Location: /form?a'], '200 OK', false],
    ['an error', [hour, 'Content-Location: /form?a'], '400 Bad Request', false]
  ] as const) {
    const { ask, send, origin } = await changing(t, () => response('posted', fields, status))
    t.equal(outcomeOf(await send('POST', '/form?a'), false), 'method', title)
    const answer = await ask('/form?a')
    t.equal(bodyOf(answer), reused ? 'posted' : 'answer 2', title)
    t.equal(outcomeOf(await ask('/form?a', [], 'HEAD'), false), 'hit', title)
    t.equal(origin.requests.length, reused ? 1 : 2, title)
    await send('POST', '/form?a')
    t.equal(origin.requests.length, reused ? 2 : 3, 'a POST is never answered from the cache')
  }
})

t.test('the answer to a POST takes the place of what was stored for GET, and a later one takes its', async t => {
  const { ask, send } = await changing(t, ({ count }) => response(`posted ${count}`, [hour, 'Content-Location: /']))
  t.equal(bodyOf(await ask('/')), 'answer 1')
  await send('POST')
  t.equal(bodyOf(await ask('/')), 'posted 2')
  await send('POST')
  t.equal(bodyOf(await ask('/')), 'posted 3')
})

t.test('a POST that asks to store nothing of it is not stored (RFC 9111 5.2.1.5)', async t => {
  const { ask, send } = await changing(t, () => response('posted', [hour, 'Content-Location: /']))
  await send('POST', '/', ['Cache-Control: no-store'])
  t.equal(bodyOf(await ask('/')), 'answer 2')
})

t.test('an answer to POST that came before a later change is not stored after it', async t => {
  let release: (() => void) | null = null
  const { ask, send, proxy } = await changing(t, ({ text, socket }) => {
    if (text.startsWith('DELETE')) return 'HTTP/1.1 204 No Content\r\n\r\n'
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 6\r\n${hour}\r\nContent-Location: /\r\n\r\npos`)
    release = () => { socket.write('ted') }
    return undefined
  })
  const posted = send('POST')
  await until(() => release !== null)
  await ask('/', [], 'DELETE')
  ;(release as unknown as () => void)()
  t.equal(bodyOf(await posted), 'posted')
  t.equal(proxy.control.stats().cache.entries, 0)
})

t.test('a relative reference is resolved against the URI that the client asked for, also where the route rewrites it', async t => {
  const { ask, send, isStored } = await changing(t, () => response('', ['Content-Location: other'], '201 Created'), { ...rfc9111, route: { match: { path: '/api/*' }, rewrite: { stripPrefix: '/api' }, cache: { setCookie: 'store', vary: 'meaning' } } })
  for (const path of ['/api/here', '/api/other']) await ask(path)
  await send('POST', '/api/here')
  for (const path of ['/api/here', '/api/other']) t.equal(await isStored(path), false, path)
})
