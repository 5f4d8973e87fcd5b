/** Validation: what is sent, what is received, what a 304, a 5xx, a full response and HEAD do (RFC 9111 4.3). */
import t, { type Test } from 'tap'
import { bodyOf, checkRows, outcomeOf, rfc9111, startWire } from '../fixtures/conformance.ts'
import { response, type RawExchange } from '../fixtures/raw-origin.ts'
import { until, type ProxySettings } from '../fixtures/proxy.ts'

const changed = 'Mon, 05 Jan 2026 08:00:00 GMT'
const later = 'Mon, 05 Jan 2026 09:00:00 GMT'
const minute = 'Cache-Control: max-age=60'
const sent = (text: string, name: string): string | undefined => new RegExp(`\\r\\n${name}: ([^\\r]*)`, 'i').exec(text)?.[1]
const notModified = (fields: readonly string[] = []): string => ['HTTP/1.1 304 Not Modified', ...fields, '', ''].join('\r\n')

/** Answers in turn; the last one stays. */
async function inTurn (t: Test, answers: ReadonlyArray<string | ((exchange: RawExchange) => string | void)>, settings: ProxySettings = rfc9111) {
  return await startWire(t, exchange => {
    const answer = answers[Math.min(exchange.count, answers.length) - 1] as typeof answers[number]
    return typeof answer === 'string' ? answer : answer(exchange)
  }, settings)
}

t.test('a validation request has the validators of the stored response (RFC 9111 4.3.1)', async t => {
  for (const [title, fields, noneMatch, since] of [
    ['a strong entity tag', ['ETag: "1"'], '"1"', undefined],
    ['a weak entity tag', ['ETag: W/"1"'], 'W/"1"', undefined],
    ['Last-Modified', [`Last-Modified: ${changed}`], undefined, changed],
    ['both', ['ETag: "1"', `Last-Modified: ${changed}`], '"1"', changed],
    ['nothing that is no entity tag', ['ETag: 1', `Last-Modified: ${changed}`], undefined, changed],
    ['nothing that is no date', ['ETag: "1"', 'Last-Modified: yesterday'], '"1"', undefined],
    ['none without validators', [], undefined, undefined]
  ] as const) {
    const { ask, pass, origin } = await inTurn(t, [response('first', [minute, ...fields])])
    await ask('/')
    pass(61)
    t.equal(outcomeOf(await ask('/'), false), 'stale', title)
    t.equal(sent(origin.requests[1] as string, 'if-none-match'), noneMatch, title)
    t.equal(sent(origin.requests[1] as string, 'if-modified-since'), since, title)
  }
})

t.test('for a part, no date is sent in If-Modified-Since (RFC 9111 4.3.1)', async t => {
  const { ask, pass, origin } = await inTurn(t, [response('0123456789', [minute, 'ETag: "1"', `Last-Modified: ${changed}`]), notModified(['ETag: "1"', minute])])
  await ask('/')
  pass(61)
  const answer = await ask('/', ['Range: bytes=2-3'])
  t.match(origin.requests[1], /if-none-match: "1"\r\n/i)
  t.notMatch(origin.requests[1], /if-modified-since/i)
  t.match(answer, /^HTTP\/1\.1 206/)
  t.equal(bodyOf(answer), '23')
})

t.test('the entity tags of all variants go in one If-None-Match, and the 304 names the one to use (RFC 9111 4.3.1, 4.3.4)', async t => {
  const { ask, pass, origin } = await startWire(t, ({ text }) => {
    const language = sent(text, 'accept-language') as string
    if (sent(text, 'if-none-match') !== undefined) return notModified(['ETag: "de"', 'Cache-Control: max-age=100', 'X-New: yes'])
    return response(`in ${language}`, [minute, 'Vary: Accept-Language', `ETag: "${language}"`, `Last-Modified: ${changed}`, 'X-New: no'])
  })
  await ask('/', ['Accept-Language: de'])
  const french = await ask('/', ['Accept-Language: fr'])
  t.match(origin.requests[1], /if-none-match: "de"/i, 'a variant that the request cannot choose is offered')
  t.notMatch(origin.requests[1], /if-modified-since/i)
  t.equal(bodyOf(french), 'in de', 'and used when the origin server names it')
  t.match(french, /x-new: yes/)
  t.equal(outcomeOf(french, true), 'vary-miss validated')
  t.equal(bodyOf(await ask('/', ['Accept-Language: fr'])), 'in de')
  t.equal(bodyOf(await ask('/', ['Accept-Language: de'])), 'in de')
  t.equal(origin.requests.length, 2)

  pass(101)
  await ask('/', ['Accept-Language: it'])
  t.equal(sent(origin.requests[2] as string, 'if-none-match'), '"de"', 'one tag once')
})

t.test('a variant that a 304 puts in the place of another leaves only one for the request (RFC 9111 4.3.4)', async t => {
  const { ask, pass, proxy } = await startWire(t, ({ text, count }) => {
    const language = sent(text, 'accept-language') as string
    if (count > 2) return notModified(['ETag: "de"', minute])
    return response(`in ${language}`, [minute, 'Vary: Accept-Language', `ETag: "${language}"`])
  })
  await ask('/', ['Accept-Language: de'])
  await ask('/', ['Accept-Language: fr', 'Cache-Control: no-store']).catch(() => {})
  t.equal(proxy.control.stats().cache.entries, 1)
  pass(61)
  for (let i = 0; i < 3; i++) {
    t.equal(bodyOf(await ask('/', ['Accept-Language: fr'])), 'in de')
    pass(61)
  }
  t.equal(proxy.control.stats().cache.entries, 2)
})

t.test('variants with a weak tag, or in a coding that the request does not accept, are not offered (RFC 9111 4.3.1)', async t => {
  for (const [title, fields, accept, offered] of [
    ['weak', ['ETag: W/"1"'], [], undefined],
    ['coding', ['ETag: "1"', 'Content-Encoding: gzip'], [], undefined],
    ['coding that is refused', ['ETag: "1"', 'Content-Encoding: gzip'], ['Accept-Encoding: gzip;q=0'], undefined],
    ['coding that is accepted', ['ETag: "1"', 'Content-Encoding: gzip'], ['Accept-Encoding: br;q=0.5, gzip'], '"1"'],
    ['without coding', ['ETag: "1"'], ['Accept-Encoding: br;q=0.5, gzip'], '"1"'],
    ['without coding, of a resource that has codings', ['ETag: "1"', 'Vary: Accept-Encoding'], ['Accept-Encoding: br;q=0.5, gzip'], undefined],
    ['another coding than the one preferred', ['ETag: "1"', 'Vary: Accept-Encoding', 'Content-Encoding: br'], ['Accept-Encoding: br;q=0.5, gzip'], undefined]
  ] as const) {
    const { ask, origin } = await inTurn(t, [response('x', [minute, 'Vary: A', ...fields])])
    await ask('/', ['A: 1'])
    await ask('/', ['A: 2', ...accept])
    t.equal(sent(origin.requests[1] as string, 'if-none-match'), offered, title)
  }
})

t.test('a variant compressed with a dictionary is offered only to who has that dictionary (RFC 9842, RFC 9111 4.3.1)', async t => {
  const accept = 'Accept-Encoding: gzip, dcb, dcz'
  for (const [coding, dictionary, offered] of [['dcb', ':b:', undefined], ['dcz', ':b:', undefined], ['dcb', null, undefined], ['dcb', ':a:', '"1"'], ['gzip', ':b:', '"1"']] as const) {
    const { ask, origin } = await inTurn(t, [response('x', [minute, 'Vary: A, Accept-Encoding, Available-Dictionary', 'ETag: "1"', `Content-Encoding: ${coding}`])])
    await ask('/', ['A: 1', accept, 'Available-Dictionary: :a:'])
    await ask('/', ['A: 2', accept, ...dictionary === null ? [] : [`Available-Dictionary: ${dictionary}`]])
    t.equal(sent(origin.requests[1] as string, 'if-none-match'), offered, `${coding} ${dictionary}`)
  }
})

t.test('no more than 8 variants are offered, the newest', async t => {
  const { ask, origin } = await startWire(t, ({ text }) => response('x', ['Cache-Control: max-age=3600', 'Vary: A', `ETag: "${sent(text, 'a')}"`]))
  for (let value = 1; value <= 11; value++) await ask('/', [`A: ${value}`])
  t.equal(sent(origin.requests[10] as string, 'if-none-match'), '"3", "4", "5", "6", "7", "8", "9", "10"')
})

t.test('a 304 replaces stored fields with its own, and adds new ones (RFC 9111 4.3.4, 3.2)', async t => {
  const { ask, pass, origin } = await inTurn(t, [
    response('content', [minute, 'ETag: "1"', 'X-Kept: 1', 'X-Changed: 1', 'X-Lines: 1', 'X-Lines: 2', 'Content-Type: text/plain', 'Content-Encoding: gzip']),
    notModified(['ETag: "1"', 'Cache-Control: max-age=100', 'X-Changed: 2', 'X-Added: 1', 'X-Added: 2', 'X-Lines: 3', 'Content-Type: text/html',
      'Content-Length: 3', 'Content-Encoding: br', 'Content-Range: bytes 0-1/2', 'Connection: X-Hop', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'Proxy-Authenticate: Basic'])
  ])
  await ask('/')
  pass(61)
  for (const answer of [await ask('/'), await ask('/')]) {
    t.equal(bodyOf(answer), 'content')
    t.match(answer, /^HTTP\/1\.1 200/)
    for (const line of ['x-kept: 1', 'x-changed: 2', 'x-added: 1', 'x-added: 2', 'x-lines: 3', 'content-type: text/html', 'cache-control: max-age=100']) t.match(answer, `\r\n${line}\r\n`)
    t.match(answer, /\r\ncontent-length: 7\r\n/)
    t.match(answer, /\r\ncontent-encoding: gzip\r\n/)
    t.notMatch(answer, /x-changed: 1|x-lines: [12]|content-range|x-hop|keep-alive: timeout=5|proxy-authenticate|content-length: 3/i)
  }
  pass(98)
  t.equal(outcomeOf(await ask('/'), false), 'hit', 'fresh for as long as the 304 says')
  t.equal(origin.requests.length, 2)
})

t.test('what a 304 is about decides which stored response it updates (RFC 9111 4.3.4)', async t => {
  const rows: ReadonlyArray<readonly [title: string, stored: readonly string[], confirms: readonly string[], used: boolean]> = [
    ['the same strong tag', ['ETag: "1"'], ['ETag: "1"'], true],
    ['another strong tag', ['ETag: "1"'], ['ETag: "2"'], false],
    ['a strong tag where the stored one is weak', ['ETag: W/"1"'], ['ETag: "1"'], false],
    ['the weak form of the stored strong tag', ['ETag: "1"'], ['ETag: W/"1"'], true],
    ['the same weak tag', ['ETag: W/"1"'], ['ETag: W/"1"'], true],
    ['another weak tag', ['ETag: W/"1"'], ['ETag: W/"2"'], false],
    ['the same date', [`Last-Modified: ${changed}`], [`Last-Modified: ${changed}`], true],
    ['another date', [`Last-Modified: ${changed}`], [`Last-Modified: ${later}`], false],
    ['the same tag and another date', ['ETag: "1"', `Last-Modified: ${changed}`], ['ETag: "1"', `Last-Modified: ${later}`], true],
    ['another tag and the same date', ['ETag: "1"', `Last-Modified: ${changed}`], ['ETag: "2"', `Last-Modified: ${changed}`], false],
    ['a tag that the stored response does not have', [`Last-Modified: ${changed}`], ['ETag: "1"'], false],
    ['a tag that the stored response does not have, and its date', [`Last-Modified: ${changed}`], ['ETag: "1"', `Last-Modified: ${changed}`], true],
    ['no validator, about the only one that was asked for', ['ETag: "1"'], [], true],
    ['no validator, by date', [`Last-Modified: ${changed}`], [], true]
  ]
  for (const [title, stored, confirms, used] of rows) {
    const { ask, pass, origin } = await inTurn(t, [response('old', [minute, ...stored]), notModified([minute, ...confirms]), response('new', [minute])])
    await ask('/')
    pass(61)
    const answer = await ask('/')
    t.equal(bodyOf(answer), used ? 'old' : 'new', title)
    t.equal(origin.requests.length, used ? 2 : 3, title)
    if (!used) t.notMatch(origin.requests[2], /if-none-match|if-modified-since/i, 'it is asked again without conditions')
    t.equal(bodyOf(await ask('/')), used ? 'old' : 'new', title)
    t.equal(origin.requests.length, used ? 2 : 3, title)
  }
})

t.test('a 304 without validator to a request with the tags of several is about none in particular (RFC 9111 4.3.4)', async t => {
  const { ask, origin } = await startWire(t, ({ text, count }) => count === 3 ? notModified([minute]) : response(`answer ${count}`, [minute, 'Vary: A', `ETag: "${sent(text, 'a')}"`]))
  for (const value of [1, 2]) await ask('/', [`A: ${value}`])
  t.equal(bodyOf(await ask('/', ['A: 3'])), 'answer 4')
  t.equal(sent(origin.requests[2] as string, 'if-none-match'), '"1", "2"')
  t.notMatch(origin.requests[3], /if-none-match/i)
})

t.test('all stored responses with the strong tag of a 304 are updated, of weak ones the most recent (RFC 9111 4.3.4)', async t => {
  for (const [tag, count] of [['"same"', 3], ['W/"same"', 4]] as const) {
    const { ask, pass, origin } = await startWire(t, ({ text }) => sent(text, 'if-none-match') !== undefined
      ? notModified([`ETag: ${tag}`, minute, 'X-New: yes'])
      : response(`for ${sent(text, 'a')}`, [minute, 'Vary: A', `ETag: ${tag}`]))
    await ask('/', ['A: 1', 'Cache-Control: no-cache'])
    pass(1)
    const second = await ask('/', ['A: 2', 'Cache-Control: no-cache'])
    if (tag[0] === '"') {
      t.equal(bodyOf(second), 'for 1')
    }
    pass(61)
    await ask('/', ['A: 1'])
    t.match(await ask('/', ['A: 2']), /x-new: yes/)
    t.equal(origin.requests.length, count)
  }
})

t.test('an origin server that answers 304 to everything makes two requests and an error, or a stale response where allowed', async t => {
  for (const [more, status] of [['', 502], [', stale-if-error=600', 200]] as const) {
    const { ask, pass, origin } = await inTurn(t, [response('old', [`Cache-Control: max-age=60${more}`, 'ETag: "1"']), notModified(['ETag: "2"'])])
    await ask('/')
    pass(61)
    t.match(await ask('/'), `HTTP/1.1 ${status}`)
    t.equal(origin.requests.length, 3)
  }
})

t.test('a 304 whose fields forbid storing is used once and not kept (RFC 9111 3, 4.3.4)', async t => {
  for (const forbids of ['Cache-Control: no-store', 'Cache-Control: private', 'Vary: *']) {
    const { ask, pass, proxy } = await inTurn(t, [response('old', [minute, 'ETag: "1"']), notModified(['ETag: "1"', forbids])])
    await ask('/')
    pass(61)
    t.equal(bodyOf(await ask('/')), 'old', forbids)
    t.equal(proxy.control.stats().cache.entries, 0, forbids)
  }
})

t.test('a Vary that comes with a 304 nominates fields of the request it answers (RFC 9111 4.1, 4.3.4)', async t => {
  const { ask, pass } = await inTurn(t, [response('old', [minute, 'ETag: "1"']), notModified(['ETag: "1"', 'Vary: A', minute]), response('new', [minute, 'Vary: A'])])
  await ask('/', ['A: 1'])
  pass(61)
  await ask('/', ['A: 1'])
  t.equal(bodyOf(await ask('/', ['A: 1'])), 'old')
  t.equal(bodyOf(await ask('/', ['A: 2'])), 'new')
})

t.test('another stored response is not matched by a field that a 304 adds to its Vary (RFC 9111 4.1)', async t => {
  const { ask } = await startWire(t, ({ text, count }) => count === 1
    ? response('first', ['Cache-Control: max-age=3600', 'Vary: A', 'ETag: "1"'])
    : sent(text, 'if-none-match') !== undefined ? notModified(['ETag: "1"', 'Vary: A, B', 'Cache-Control: max-age=3600']) : response(`answer ${count}`, ['Cache-Control: max-age=3600', 'Vary: A, B']))
  await ask('/', ['A: 1', 'B: 1'])
  t.equal(bodyOf(await ask('/', ['A: 2', 'B: 2'])), 'first')
  t.not(outcomeOf(await ask('/', ['A: 1', 'B: 3']), false), 'hit', 'B of the request that stored it is not known to be 3')
})

t.test('a full response is used and replaces what was stored (RFC 9111 4.3.3)', async t => {
  const { ask, pass, origin, proxy } = await inTurn(t, [response('old', [minute, 'ETag: "1"']), response('new', [minute, 'ETag: "2"', 'X-New: yes'])])
  await ask('/')
  pass(61)
  t.equal(bodyOf(await ask('/')), 'new')
  t.match(await ask('/'), /x-new: yes/)
  t.equal(origin.requests.length, 2)
  t.equal(proxy.control.stats().cache.entries, 1)
})

t.test('a full response that may not be stored is used, and the old one is not used again (RFC 9111 4.3.3)', async t => {
  const { ask, pass } = await inTurn(t, [response('old', ['Cache-Control: max-age=60, stale-if-error=600', 'ETag: "1"']), response('new', ['Cache-Control: no-store']), response('', [], '500 Internal Server Error')])
  await ask('/')
  pass(61)
  t.equal(bodyOf(await ask('/')), 'new')
  t.match(await ask('/'), /^HTTP\/1\.1 500/)
})

t.test('an answer that is about the request alone leaves what is stored', async t => {
  for (const [title, fields, answer] of [
    ['the request forbids storing', ['Cache-Control: no-cache, no-store'], response('mine', [minute])],
    ['the request is authenticated', ['Cache-Control: no-cache', 'Authorization: Basic eA=='], response('mine', [minute])],
    ['several parts', ['Cache-Control: no-cache', 'Range: bytes=0-0,2-2'], response('parts', ['Content-Type: multipart/byteranges; boundary=b'], '206 Partial Content')],
    ['429', ['Cache-Control: no-cache'], response('', [minute], '429 Too Many Requests')],
    ['416', ['Cache-Control: no-cache', 'Range: bytes=100-'], response('', ['Content-Range: bytes */7'], '416 Range Not Satisfiable')]
  ] as const) {
    const { ask } = await inTurn(t, [response('content', ['Cache-Control: max-age=3600', 'ETag: "1"']), answer])
    await ask('/')
    t.equal(outcomeOf(await ask('/', fields), false), 'request', title)
    t.equal(bodyOf(await ask('/')), 'content', title)
  }
})

t.test('a 304 to a request with Authorization is for its user alone, where it does not permit to share it (RFC 9111 3, 3.5)', async t => {
  const secret = ['Authorization: Basic eA==']
  for (const [title, stored, received, shared] of [
    ['what was public before', 'public, max-age=1', minute, false],
    ['what was stored without credentials', 'max-age=1', minute, false],
    ['nothing of the directives changed', 'public, max-age=1', 'X-Other: 1', true],
    ['it permits sharing itself', 'max-age=1', 'Cache-Control: max-age=60, public', true]
  ] as const) {
    const { ask, pass, origin } = await inTurn(t, [response('content', [`Cache-Control: ${stored}`, 'ETag: "1"']), notModified(['ETag: "1"', received, 'X-User: a', 'Set-Cookie: a=1'])])
    await ask('/', stored.includes('public') ? secret : [])
    pass(1)
    const own = await ask('/', secret)
    t.match(own, /x-user: a\r\n[^]*content$/, `${title}: its user gets the update`)
    t.equal(/; stored/.test(own), shared, title)
    await ask('/')
    t.equal(origin.requests.length, shared ? 2 : 3, `${title}: and others ask for themselves`)
  }
})

t.test('an answer to HEAD with Authorization updates nothing, where it does not permit to share it (RFC 9111 3.5, 4.3.5)', async t => {
  const { ask, pass } = await startWire(t, ({ text }) => text.startsWith('HEAD')
    ? `HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: "1"\r\n${minute}\r\nX-User: a\r\n\r\n`
    : response('content', ['Cache-Control: max-age=1', 'ETag: "1"']))
  await ask('/')
  pass(1)
  await ask('/', ['Authorization: Basic eA=='], 'HEAD')
  const answer = await ask('/')
  t.equal(outcomeOf(answer, false), 'stale')
  t.notMatch(answer, 'x-user')
})

t.test('a 5xx while validating is forwarded, or a stale response stands in where it may (RFC 9111 4.3.3, RFC 5861 4)', async t => {
  for (const status of ['500 Internal Server Error', '502 Bad Gateway', '503 Service Unavailable', '504 Gateway Timeout', '501 Not Implemented']) {
    for (const [more, stands] of [['', false], [', stale-if-error=600', true], [', stale-if-error=600, must-revalidate', false]] as const) {
      const { ask, pass } = await inTurn(t, [response('old', [`Cache-Control: max-age=60${more}`, 'ETag: "1"']), response('broken', [], status), notModified(['ETag: "1"', minute])])
      await ask('/')
      pass(61)
      const answer = await ask('/')
      const stood = stands && !status.startsWith('501')
      t.equal(bodyOf(answer), stood ? 'old' : 'broken', `${status}${more}`)
      t.match(answer, stood ? 'HTTP/1.1 200' : `HTTP/1.1 ${status.slice(0, 3)}`)
      if (!status.startsWith('501')) t.equal(bodyOf(await ask('/')), 'old', 'what is stored can still be validated')
    }
  }
})

t.test('preconditions are evaluated against a stored 200 (RFC 9111 4.3.2, RFC 9110 13.2.2)', async t => {
  const { ask, origin } = await inTurn(t, [response('content', ['Cache-Control: max-age=3600', 'ETag: "1"', `Last-Modified: ${changed}`, 'Content-Type: text/plain', 'Content-Language: en', 'Content-Encoding: gzip', 'Accept-Ranges: bytes', 'Content-Location: /here', 'Expires: Mon, 01 Jun 2026 13:00:00 GMT', 'Vary: X', 'Date: Mon, 01 Jun 2026 12:00:00 GMT'])])
  await ask('/')
  for (const [fields, status] of [
    [['If-None-Match: "1"'], 304],
    [['If-None-Match: W/"1"'], 304],
    [['If-None-Match: *'], 304],
    [['If-None-Match: "0", "1"'], 304],
    [['If-None-Match: "0"', 'If-None-Match: "1"'], 304],
    [['If-None-Match: , "0",,W/"1" ,'], 304],
    [['If-None-Match: "2"'], 200],
    [['If-None-Match: 1'], 200],
    [['If-None-Match: "1'], 200],
    [['If-None-Match: "a,"1""'], 200],
    [['If-None-Match:'], 200],
    [[`If-Modified-Since: ${changed}`], 304],
    [[`If-Modified-Since: ${later}`], 304],
    [['If-Modified-Since: Monday, 05-Jan-26 08:00:00 GMT'], 304],
    [['If-Modified-Since: Mon Jan  5 08:00:00 2026'], 304],
    [['If-Modified-Since: Mon, 05 Jan 2026 07:59:59 GMT'], 200],
    [['If-Modified-Since: 2026-01-05'], 200],
    [[`If-Modified-Since: ${changed}, ${later}`], 200],
    [['If-None-Match: "2"', `If-Modified-Since: ${later}`], 200],
    [['If-None-Match: "1"', 'If-Modified-Since: Mon, 05 Jan 2026 07:59:59 GMT'], 304],
    [['If-None-Match: "1"', 'Range: bytes=0-0'], 304],
    [['If-None-Match: "2"', 'Range: bytes=0-0'], 206]
  ] as const) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask('/', fields, method)
      t.match(answer, `HTTP/1.1 ${method === 'HEAD' && status === 206 ? 200 : status}`, `${method} ${fields.join('; ')}`)
      t.match(outcomeOf(answer, false), 'hit')
      if (status !== 304) continue
      for (const name of ['cache-control', 'content-location', 'date', 'etag', 'expires', 'vary', 'age']) t.match(answer, `\r\n${name}: `, `RFC 9110 15.4.5: ${name}`)
      t.notMatch(answer, /\r\ncontent-(?:type|length|language|encoding)|\r\naccept-ranges|\r\ntransfer-encoding/)
      t.equal(bodyOf(answer), '')
    }
  }
  t.equal(origin.requests.length, 1)
})

t.test('If-Modified-Since is compared with Date, or the time of receipt, where there is no Last-Modified (RFC 9111 4.3.2, SHOULD)', async t => {
  const asks = [[0, 'uri-miss'], ...[['12:00:00', 304], ['12:00:01', 304], ['11:59:59', 200]].map(([time, status]) =>
    [0, 'hit', { send: [`If-Modified-Since: Mon, 01 Jun 2026 ${time} GMT`], has: new RegExp(`^HTTP/1\\.1 ${status}`) }])] as never
  await checkRows(t, [
    ['Date', [minute, 'Date: Mon, 01 Jun 2026 12:00:00 GMT'], asks],
    ['receipt', [minute], asks]
  ])
})

t.test('If-Modified-Since on two lines is ignored, and forwarded as it came (RFC 9110 13.1.3)', async t => {
  const { ask, origin } = await inTurn(t, [response('content', [minute, `Last-Modified: ${changed}`])])
  const twice = [`If-Modified-Since: ${later}`, `If-Modified-Since: ${changed}`]
  await ask('/', twice)
  t.equal(sent(origin.requests[0] as string, 'if-modified-since'), `${later}, ${changed}`)
  const again = await ask('/', twice)
  t.equal(outcomeOf(again, false), 'hit')
  t.equal(bodyOf(again), 'content')
  t.match(await ask('/', twice.slice(0, 1)), /^HTTP\/1\.1 304/)
})

t.test('only a stored 2xx is answered by a precondition: a redirect or error stays what it is (RFC 9110 13.2.1)', async t => {
  await checkRows(t, ['301 Moved Permanently', '404 Not Found', '410 Gone'].map(status => [status, { status, fields: ['Cache-Control: max-age=3600', 'ETag: "1"'] }, [
    [0, 'uri-miss'], [0, 'hit', { send: ['If-None-Match: "1"'], has: new RegExp(`^HTTP/1\\.1 ${status.slice(0, 3)}`) }]
  ]]))
})

t.test('If-Match and If-Unmodified-Since are for the origin server, and forwarded (RFC 9111 4.3.2, RFC 9110 13.1.1, 13.1.4)', async t => {
  for (const field of ['If-Match: "1"', 'If-Match: *', `If-Unmodified-Since: ${changed}`]) {
    const { ask, origin } = await inTurn(t, [response('content', ['Cache-Control: max-age=3600', 'ETag: "1"', `Last-Modified: ${changed}`]), response('no', [], '412 Precondition Failed')])
    await ask('/')
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask('/', [field, 'If-None-Match: "2"'], method)
      t.match(answer, /^HTTP\/1\.1 412/)
      t.equal(outcomeOf(answer, false), 'bypass')
      t.match(origin.requests.at(-1)?.toLowerCase(), field.toLowerCase())
      t.match(origin.requests.at(-1), /if-none-match: "2"/i)
    }
    t.equal(outcomeOf(await ask('/'), false), 'hit', 'a 412 does not concern what is stored')
    t.match(await ask('/', [field, 'Cache-Control: only-if-cached']), /^HTTP\/1\.1 504/, 'and is not asked for where only a stored response is wanted (5.2.1.7)')
    t.equal(origin.requests.length, 3)
  }
})

t.test('without a stored response preconditions are forwarded and not evaluated (RFC 9111 4.3.2, MUST NOT)', async t => {
  const { ask, origin } = await inTurn(t, [notModified(['ETag: "1"', 'Cache-Control: max-age=3600']), response('new', [minute, 'ETag: "2"'])])
  const answer = await ask('/', ['If-None-Match: "1"', `If-Modified-Since: ${changed}`])
  t.match(answer, /^HTTP\/1\.1 304/)
  t.match(origin.requests[0], /if-none-match: "1"/i)
  t.match(origin.requests[0], new RegExp(`if-modified-since: ${changed}`, 'i'))
  t.equal(bodyOf(await ask('/')), 'new', 'the 304 itself is not stored (3)')
})

t.test('a validation sends the union of the client\'s entity tags and those of the cache (RFC 9111 4.3.2, MAY)', async t => {
  for (const [title, said, status, body] of [
    ['the stored one is confirmed', '"stored"', 200, 'content'],
    ['the client has the current one', '"client"', 304, ''],
    ['neither', null, 200, 'new']
  ] as const) {
    const { ask, pass, origin } = await inTurn(t, [response('content', [minute, 'ETag: "stored"']), said === null ? response('new', [minute, 'ETag: "new"']) : notModified([`ETag: ${said}`, minute])])
    await ask('/')
    pass(61)
    const answer = await ask('/', ['If-None-Match: "client", W/"other"'])
    t.equal(sent(origin.requests[1] as string, 'if-none-match'), '"stored", "client", W/"other"', title)
    t.match(answer, `HTTP/1.1 ${status}`, title)
    t.equal(bodyOf(answer), body, title)
    t.equal(origin.requests.length, 2, title)
    const again = await ask('/')
    if (said === '"client"') t.equal(outcomeOf(again, false), 'stale', 'a 304 with a tag that is not stored updates nothing')
    else t.equal(bodyOf(again), body, title)
  }
})

t.test('a client\'s "*" is not forwarded with a validation, and is answered from what was validated (RFC 9110 13.1.2)', async t => {
  const { ask, pass, origin } = await inTurn(t, [response('content', [minute, 'ETag: "1"']), notModified(['ETag: "1"', minute])])
  await ask('/')
  pass(61)
  t.match(await ask('/', ['If-None-Match: *']), /^HTTP\/1\.1 304/)
  t.equal(sent(origin.requests[1] as string, 'if-none-match'), '"1"')
})

t.test('a 304 without validator is not about the tags that only the client has', async t => {
  const { ask, pass, origin } = await inTurn(t, [response('content', [minute, 'ETag: "stored"']), notModified([minute]), response('new', [minute])])
  await ask('/')
  pass(61)
  t.equal(bodyOf(await ask('/', ['If-None-Match: "client"'])), 'new')
  t.equal(origin.requests.length, 3)
})

t.test('a 304 to the client\'s own date updates a stored response that has no validator either (RFC 9111 4.3.4)', async t => {
  const { ask, pass, origin } = await inTurn(t, [response('content', [minute]), notModified([minute, 'X-New: yes'])])
  await ask('/')
  pass(61)
  t.match(await ask('/', [`If-Modified-Since: ${changed}`]), /^HTTP\/1\.1 304/)
  const again = await ask('/')
  t.equal(outcomeOf(again, false), 'hit')
  t.match(again, /x-new: yes/)
  t.equal(origin.requests.length, 2)
})

t.test('a 304 without validator to conditions of the client alone does not update a stored response that has one (RFC 9111 4.3.4)', async t => {
  const own = 'If-Modified-Since: Mon, 01 Jun 2026 12:00:30 GMT'
  const part = ['HTTP/1.1 206 Partial Content', 'Content-Range: bytes 0-1/7', 'Content-Length: 2', 'ETag: "1"', minute, '', 'co'].join('\r\n')
  for (const [title, first, stored, method, fields, again] of [
    ['HEAD', [], response('content', [minute, 'ETag: "1"', `Last-Modified: ${changed}`]), 'HEAD', [own], []],
    ['a range of what has a date', [], response('content', [minute, `Last-Modified: ${changed}`]), 'GET', [own, 'Range: bytes=0-1'], []],
    ['bytes that are not in the stored part', ['Range: bytes=0-1'], part, 'GET', [own, 'Range: bytes=2-3'], ['Range: bytes=0-1']]
  ] as const) {
    const { ask, pass, origin } = await inTurn(t, [stored, notModified([minute, 'X-New: yes']), response('new', [minute, 'ETag: "2"'])])
    await ask('/', first)
    pass(61)
    t.match(await ask('/', fields, method), /^HTTP\/1\.1 304/, title)
    t.notMatch(origin.requests[1], /if-none-match/i, `${title}: ours was not asked about`)
    t.match(await ask('/', again), /new$/, title)
    t.equal(origin.requests.length, 3, title)
  }
})

t.test('a 304 to the client\'s own tag leaves a stored response without validator as it is (RFC 9111 4.3.4)', async t => {
  const { ask, pass } = await inTurn(t, [response('content', ['Cache-Control: max-age=60, stale-if-error=600']), notModified(['ETag: "2"', minute]), response('', [], '500 Internal Server Error')])
  await ask('/')
  pass(61)
  t.match(await ask('/', ['If-None-Match: "2"']), /^HTTP\/1\.1 304/)
  t.equal(bodyOf(await ask('/')), 'content', 'stale, and still there')
})

t.test('a cookie that comes with a 304 goes to the client that asked, and by default to nobody else (RFC 9111 7.3; deviation)', async t => {
  for (const [settings, shared] of [[{}, false], [rfc9111, true]] as const) {
    const { ask, pass } = await inTurn(t, [response('content', [minute, 'ETag: "1"']), notModified(['ETag: "1"', 'Set-Cookie: a=b', minute])], settings)
    await ask('/')
    pass(61)
    t.match(await ask('/'), /set-cookie: a=b/)
    t.equal(/set-cookie: a=b/.test(await ask('/')), shared)
  }
})

t.test('a 200 to HEAD updates the stored response to GET, or makes it stale (RFC 9111 4.3.5)', async t => {
  const stored = ['ETag: "1"', `Last-Modified: ${changed}`, 'Cache-Control: max-age=3600', 'X-Old: 1', 'Access-Control-Expose-Headers: content-length']
  for (const [title, length, fields, updated] of [
    ['nothing differs', 7, ['ETag: "1"', `Last-Modified: ${changed}`], true],
    ['no validator, the same length', 7, [], true],
    ['no validator, no length', null, [], true],
    ['another length', 8, ['ETag: "1"'], false],
    ['another tag', 7, ['ETag: "2"'], false],
    ['another date', 7, [`Last-Modified: ${later}`], false],
    ['the same tag, another date', 7, ['ETag: "1"', `Last-Modified: ${later}`], false]
  ] as const) {
    const { ask, origin } = await inTurn(t, [
      response('content', stored),
      ['HTTP/1.1 200 OK', ...(length === null ? [] : [`Content-Length: ${length}`]), 'Cache-Control: max-age=7200', 'X-New: 1', ...fields, '', ''].join('\r\n'),
      response('new', stored)
    ])
    await ask('/')
    t.equal(outcomeOf(await ask('/', ['Cache-Control: no-cache'], 'HEAD'), false), 'request', title)
    if (!updated) t.match(await ask('/', ['Cache-Control: max-stale']), /\r\naccess-control-expose-headers: content-length\r\n[^]*\r\ncontent-length: 7\r\n/, 'it is what it was')
    const answer = await ask('/')
    t.equal(outcomeOf(answer, false), updated ? 'hit' : 'stale', title)
    t.equal(bodyOf(answer), updated ? 'content' : 'new', title)
    if (updated) {
      t.match(answer, /x-old: 1\r\n/)
      t.match(answer, /x-new: 1\r\n/)
      t.match(answer, /cache-control: max-age=7200\r\n/)
      t.match(answer, /\r\ncontent-length: 7\r\n/)
      t.match(answer, /\r\naccess-control-expose-headers: content-length\r\n/)
    } else {
      t.match(origin.requests[2], /if-none-match: "1"/i, 'it is validated')
    }
  }
})

t.test('HEAD concerns each stored response that it could have been answered with, and no other (RFC 9111 4.3.5)', async t => {
  const { ask } = await startWire(t, ({ text, count }) => text.startsWith('HEAD')
    ? 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nCache-Control: max-age=3600\r\n\r\n'
    : response(`answer ${count}`, ['Cache-Control: max-age=3600', 'ETag: "1"', ...(count === 3 ? [] : ['Vary: A'])]))
  for (const value of [1, 3, 4]) await ask('/', [`A: ${value}`])
  await ask('/', ['A: 1', 'Cache-Control: no-cache'], 'HEAD')
  t.equal(outcomeOf(await ask('/', ['A: 3']), false), 'hit', 'selected by another field')
  t.equal(outcomeOf(await ask('/', ['A: 1']), false), 'stale', 'with Vary')
  t.equal(outcomeOf(await ask('/', ['A: 5']), false), 'stale', 'without')
})

t.test('HEAD is answered by HEAD, and only by 200 (RFC 9111 4.3.5)', async t => {
  for (const status of ['404 Not Found', '500 Internal Server Error', '301 Moved Permanently']) {
    const { ask } = await inTurn(t, [response('content', ['Cache-Control: max-age=3600', 'ETag: "1"']), `HTTP/1.1 ${status}\r\nContent-Length: 9\r\n\r\n`])
    await ask('/')
    t.match(await ask('/', ['Cache-Control: no-cache'], 'HEAD'), `HTTP/1.1 ${status}`)
    t.equal(outcomeOf(await ask('/'), false), 'hit')
  }
})

t.test('HEAD shows that a stored error is not current any more (RFC 9111 4.3.5)', async t => {
  const { ask } = await inTurn(t, [response('gone', ['Cache-Control: max-age=3600'], '404 Not Found'), 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', response('back', [minute])])
  await ask('/')
  await ask('/', ['Cache-Control: no-cache'], 'HEAD')
  t.equal(bodyOf(await ask('/')), 'back')
})

t.test('a HEAD that was on its way while a newer response was stored does not change it', async t => {
  const waiting: Array<() => void> = []
  const { ask, pass } = await startWire(t, ({ text, count, socket }) => {
    if (!text.startsWith('HEAD')) return response(`answer ${count}`, ['Cache-Control: max-age=3600', `ETag: "${count}"`])
    waiting.push(() => { socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "1"\r\n\r\n') })
    return undefined
  })
  await ask('/')
  const head = ask('/', ['Cache-Control: no-cache'], 'HEAD')
  await until(() => waiting.length === 1)
  pass(1)
  await ask('/', ['Cache-Control: no-cache'])
  for (const answer of waiting) answer()
  await head
  t.equal(bodyOf(await ask('/')), 'answer 3')
})

t.test('a validation in the background has the fields that Vary nominates, and no condition or range of the client (RFC 9111 4.3.1)', async t => {
  for (const fields of [['ETag: "1"'], []]) {
    const { ask, pass, origin } = await inTurn(t, [response('old', ['Cache-Control: max-age=60, stale-while-revalidate=600', 'Vary: A', ...fields]), response('new', [minute, 'Vary: A'])])
    await ask('/', ['A: 1'])
    pass(61)
    t.equal(outcomeOf(await ask('/', ['A: 1', 'If-None-Match: "client"', `If-Modified-Since: ${changed}`, 'If-Range: "1"', 'Range: bytes=0-0']), true), 'hit stale-while-revalidate')
    await until(() => origin.requests.length === 2)
    const request = origin.requests[1] as string
    t.equal(sent(request, 'a'), '1')
    t.equal(sent(request, 'if-none-match'), fields.length > 0 ? '"1"' : undefined)
    t.notMatch(request, /\r\n(?:if-modified-since|if-range|range):/i)
    for (let stale = true; stale;) stale = bodyOf(await ask('/', ['A: 1'])) !== 'new'
    t.equal(origin.requests.length, 2)
  }
})

t.test('a 304 to a conditional HEAD goes to the client and updates what it is about (RFC 9111 4.3.4)', async t => {
  const { ask, pass, origin } = await inTurn(t, [response('content', [minute, 'ETag: "1"']), notModified(['ETag: "1"', 'Cache-Control: max-age=100', 'X-New: yes'])])
  await ask('/')
  pass(61)
  t.match(await ask('/', ['If-None-Match: "1"'], 'HEAD'), /^HTTP\/1\.1 304/)
  t.match(await ask('/'), /x-new: yes/)
  t.equal(origin.requests.length, 2)
})
