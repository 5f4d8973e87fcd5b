/** RFC 9111 section 5.2: directives of requests and responses; 5.4 Pragma; 5.5 Warning; RFC 8246: immutable. */
import t from 'tap'
import { checkRows, outcomeOf, type Ask, type Row, type Said } from '../fixtures/conformance.ts'
import { get, startProxy, talk } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'

const tag = 'ETag: "1"'
const minute = ['Cache-Control: max-age=60', tag]
const unchanged = (...fields: readonly string[]): Said => ({ raw: ['HTTP/1.1 304 Not Modified', tag, ...fields, '', ''].join('\r\n') })
const wants = (...directives: readonly string[]): { send: readonly string[] } => ({ send: directives.map(directive => `Cache-Control: ${directive}`) })

t.test('directives of the request (RFC 9111 5.2.1)', async t => {
  /** Stored for a minute, then asked for after so many seconds. */
  const row = (title: string, after: number, directive: string, is: string, fields: readonly string[] = minute): Row => [title, fields, [[0, 'uri-miss'], [after, is, wants(directive)]]]
  const gone = { status: '404 Not Found' } as const

  await checkRows(t, [
    row('max-age: a response as old as that is preferred (RFC 9111 5.2.1.1)', 10, 'max-age=10', 'hit'),
    row('max-age: an older one is not (RFC 9111 5.2.1.1)', 10.001, 'max-age=10', 'request request-max-age'),
    row('max-age=0 asks for validation of everything that has an age (RFC 9111 5.2.1.1)', 0.001, 'max-age=0', 'request request-max-age'),
    row('max-age counts the Age that came with it (RFC 9111 5.2.1.1)', 5, 'max-age=10', 'request request-max-age', [...minute, 'Age: 6']),
    row('max-age: no stale response (RFC 9111 5.2.1.1)', 61, 'max-age=100', 'stale'),
    row('max-age and stale-while-revalidate: no stale response (RFC 9111 5.2.1.1)', 61, 'max-age=100', 'stale', ['Cache-Control: max-age=60, stale-while-revalidate=100', tag]),
    row('max-age and max-stale: a stale response will do (RFC 9111 5.2.1.1)', 61, 'max-age=100, max-stale=10', 'hit request-max-stale'),
    row('max-age and max-stale: but none older than that (RFC 9111 5.2.1.1)', 61, 'max-age=60, max-stale=10', 'stale'),
    row('max-age that is no number is 0 (RFC 9111 4.2.1)', 1, 'max-age=x', 'request request-max-age'),
    row('max-age in quotes and capitals (RFC 9111 5.2)', 10.001, 'MAX-AGE="10"', 'request request-max-age'),
    row('max-age too large means 2^31 (RFC 9111 1.2.2)', 59, `max-age=${'9'.repeat(30)}`, 'hit'),
    row('max-stale without a value: stale of any age (RFC 9111 5.2.1.2)', 100_000, 'max-stale', 'hit request-max-stale'),
    row('max-stale: exceeded by no more than that (RFC 9111 5.2.1.2)', 70, 'max-stale=10', 'hit request-max-stale'),
    row('max-stale: exceeded by more (RFC 9111 5.2.1.2)', 70.001, 'max-stale=10', 'stale'),
    row('max-stale that is no number accepts nothing stale', 61, 'max-stale=x', 'stale'),
    row('max-stale of a fresh response says nothing (RFC 9111 5.2.1.2)', 59, 'max-stale=10', 'hit'),
    row('max-stale and must-revalidate: MUST NOT (RFC 9111 5.2.2.2)', 61, 'max-stale', 'stale', ['Cache-Control: max-age=60, must-revalidate', tag]),
    row('min-fresh: fresh for at least that long (RFC 9111 5.2.1.3)', 40, 'min-fresh=20', 'hit'),
    row('min-fresh: not for that long (RFC 9111 5.2.1.3)', 40.001, 'min-fresh=20', 'request request-min-fresh'),
    row('min-fresh: of a stale response no more is asked than of any (RFC 9111 5.2.1.3)', 61, 'min-fresh=20', 'stale'),
    row('min-fresh that is no number cannot be fulfilled', 0, 'min-fresh=x', 'request request-min-fresh'),
    row('no-cache: no use without validation (RFC 9111 5.2.1.4)', 1, 'no-cache', 'request request-no-cache'),
    row('no-cache among others, in another case (RFC 9111 5.2)', 1, 'foo, NO-CACHE, max-stale', 'request request-no-cache'),
    ['no-cache: successfully validated, the stored response is used (RFC 9111 5.2.1.4)', ({ count }) => count === 1 ? minute : unchanged('Cache-Control: max-age=60'), [[0, 'uri-miss'], [59, 'request validated', { ...wants('no-cache'), has: [/^HTTP\/1\.1 200/, /content$/], asks: /if-none-match: "1"/i }], [59, 'hit']]],
    row('no-store: a stored response MAY be used all the same (RFC 9111 5.2.1.5)', 1, 'no-store', 'hit'),
    ['no-store: nothing of the exchange is stored (RFC 9111 5.2.1.5)', minute, [[0, 'uri-miss request-no-store', wants('no-store')], [0, 'uri-miss']]],
    ['no-store: a 304 to it leaves nothing behind either, the answer has it all (RFC 9111 5.2.1.5)', ({ count }) => count === 1 ? ['Cache-Control: max-age=1', tag, 'X-Secret: old'] : unchanged('Cache-Control: max-age=60', 'X-Secret: new'), [[0, 'uri-miss'], [2, 'stale validated', { ...wants('no-store'), has: [/^HTTP\/1\.1 200/, /x-secret: new/i], lacks: /stored/ }], [1, 'stale', { asks: /if-none-match: "1"/i }]]],
    ['no-store: a response to HEAD leaves nothing behind either (RFC 9111 5.2.1.5)', ({ count }) => count === 1 ? ['Cache-Control: max-age=1', tag] : { raw: `HTTP/1.1 200 OK\r\n${tag}\r\nCache-Control: max-age=60\r\nContent-Length: 7\r\n\r\n` }, [[0, 'uri-miss'], [2, 'stale', { ...wants('no-store'), method: 'HEAD' }], [1, 'stale', { method: 'HEAD' }]]],
    row('no-transform: nothing is transformed here anyway (RFC 9111 5.2.1.6)', 1, 'no-transform', 'hit'),
    row('only-if-cached: a stored response (RFC 9111 5.2.1.7)', 1, 'only-if-cached', 'hit'),
    row('only-if-cached: 504 where it is stale (RFC 9111 5.2.1.7)', 61, 'only-if-cached', '504'),
    row('only-if-cached: consistent with the other constraints, stale (RFC 9111 5.2.1.7)', 61, 'only-if-cached, max-stale=5', 'hit request-max-stale'),
    row('only-if-cached: consistent with the other constraints, 504 (RFC 9111 5.2.1.7)', 1, 'only-if-cached, no-cache', '504'),
    ['only-if-cached: 504 where nothing is stored (RFC 9111 5.2.1.7)', minute, [[0, '504', { ...wants('only-if-cached'), has: /^HTTP\/1\.1 504/ }], [0, 'uri-miss']]],
    ['only-if-cached: 504 where another variant is stored (RFC 9111 5.2.1.7)', [...minute, 'Vary: X-Kind'], [[0, 'uri-miss'], [0, '504', { send: ['X-Kind: 1', 'Cache-Control: only-if-cached'] }]]],
    ['only-if-cached: 504 where only the origin server could evaluate the precondition (RFC 9111 5.2.1.7)', minute, [[0, 'uri-miss'], [0, '504', { send: ['If-Match: "1"', 'Cache-Control: only-if-cached'] }]]],
    ['only-if-cached: 504 where the request has content (RFC 9111 5.2.1.7)', minute, [[0, 'uri-miss'], [0, '504', { send: ['Cache-Control: only-if-cached', 'Content-Length: 1', '', 'x'] }]]],
    ['only-if-cached: an unsafe request MUST be written through (RFC 9111 4)', gone, [[0, 'method', { ...wants('only-if-cached'), method: 'DELETE' }]]],
    row('a directive that is not known MUST be ignored (RFC 9111 5.2.3)', 1, 'foo, bar=1, baz="no-cache"', 'hit'),
    row('directives of responses mean nothing in a request (RFC 9111 5.2)', 1, 'private, must-revalidate, s-maxage=0, public, proxy-revalidate', 'hit'),
    row('immutable in a request has no effect (RFC 8246 2)', 61, 'immutable', 'stale')
  ])
})

t.test('cache directives MUST be passed through, in both directions (RFC 9111 5.2)', async t => {
  const directives = 'max-age=5, foo, bar="a, b", NO-transform, only-If-x'
  await checkRows(t, [
    ['of the request', minute, [[0, 'uri-miss', { send: [`Cache-Control: ${directives}`], asks: /\r\ncache-control: max-age=5, foo, bar="a, b", NO-transform, only-If-x\r\n/i }]]],
    ['of the response, from the origin server and from the store', [`Cache-Control: ${directives}`], [[0, 'uri-miss', { has: /\r\ncache-control: max-age=5, foo, bar="a, b", NO-transform, only-If-x\r\n/i }], [1, 'hit', { has: /\r\ncache-control: max-age=5, foo, bar="a, b", NO-transform, only-If-x\r\n/i }]]],
    ['of several lines', ['Cache-Control: max-age=5', 'Cache-Control: foo'], [[0, 'uri-miss'], [1, 'hit', { has: /\r\ncache-control: max-age=5\r\ncache-control: foo\r\n/i }]]],
    ['of a request that validates a stored response', ['Cache-Control: max-age=5', tag], [[0, 'uri-miss'], [1, 'request', { send: ['Cache-Control: no-cache, foo'], asks: /\r\ncache-control: no-cache, foo\r\n[^]*if-none-match: "1"/i }]]]
  ])
})

t.test('directives of the response (RFC 9111 5.2.2)', async t => {
  const lost = (fields: readonly string[], asks: readonly Ask[], title: string): Row => [title, ({ count }) => count === 1 ? fields : { status: '503 Service Unavailable' }, [[0, 'uri-miss'], ...asks]]
  await checkRows(t, [
    ['no-cache: MUST NOT be used without validation (RFC 9111 5.2.2.4)', ({ count }) => count === 1 ? ['Cache-Control: no-cache, max-age=60', tag] : unchanged('Cache-Control: no-cache, max-age=60'), [[0, 'uri-miss'], [1, 'stale validated', { asks: /if-none-match: "1"/i }], [1, 'stale validated'], [1, 'stale validated', { send: ['Cache-Control: max-stale'] }]]],
    lost(['Cache-Control: no-cache, max-age=60, stale-if-error=60', tag], [[1, 'stale', { has: /^HTTP\/1\.1 503/ }]], 'no-cache: nor where the origin server fails (RFC 9111 5.2.2.4)'),
    ['no-cache in one line, its qualified form in another: the unqualified counts (RFC 9111 4.2.1)', ['Cache-Control: no-cache="x"', 'Cache-Control: no-cache', 'Cache-Control: max-age=60', tag], [[0, 'uri-miss'], [1, 'stale no-cache']]],
    ['no-cache="": names nothing, so that nothing is inferred from it', ['Cache-Control: no-cache="", max-age=60', tag], [[0, 'uri-miss malformed'], [1, 'uri-miss']]],
    ['no-cache="Set-Cookie": the rest MAY be used (RFC 9111 5.2.2.4)', ['Cache-Control: no-cache="Set-Cookie", max-age=60', 'Set-Cookie: a=b', 'X-A: 1'], [[0, 'uri-miss', { has: /\r\nset-cookie: a=b/i }], [1, 'hit', { has: /x-a: 1/i, lacks: /\r\nset-cookie:/i }]]],
    lost(['Cache-Control: must-revalidate, max-age=60, stale-if-error=60', tag], [[59, 'hit'], [2, 'stale', { has: /^HTTP\/1\.1 503/ }]], 'must-revalidate: once stale MUST NOT be used without validation (RFC 9111 5.2.2.2)'),
    lost(['Cache-Control: proxy-revalidate, max-age=60, stale-if-error=60', tag], [[59, 'hit'], [2, 'stale', { has: /^HTTP\/1\.1 503/ }]], 'proxy-revalidate: once stale MUST NOT be used without validation (RFC 9111 5.2.2.8)'),
    lost(['Cache-Control: s-maxage=60, stale-if-error=60', tag], [[59, 'hit'], [2, 'stale', { has: /^HTTP\/1\.1 503/ }]], 's-maxage: once stale MUST NOT be used without validation (RFC 9111 5.2.2.10)'),
    lost(['Cache-Control: s-maxage=60, max-age=600, stale-while-revalidate=60', tag], [[61, 'stale', { has: /^HTTP\/1\.1 503/ }]], 's-maxage: nor while it is validated in the background (RFC 9111 5.2.2.10)'),
    ['proxy-revalidate does not make a response cacheable by itself (RFC 9111 5.2.2.8)', { status: '201 Created', fields: ['Cache-Control: proxy-revalidate', tag] }, [[0, 'uri-miss no-lifetime']]],
    ['public makes a response cacheable that would not be (RFC 9111 5.2.2.9)', { status: '201 Created', fields: ['Cache-Control: public', tag] }, [[0, 'uri-miss'], [1, 'stale', { asks: /if-none-match: "1"/i }]]],
    ['public does not lift no-store (RFC 9111 3)', ['Cache-Control: public, no-store, max-age=60'], [[0, 'uri-miss no-store'], [0, 'uri-miss']]],
    ['no-transform: the content MUST NOT be transformed (RFC 9111 5.2.2.6)', { fields: ['Cache-Control: no-transform, max-age=60', 'Content-Type: text/html'], body: '<p>\xfe\xff &amp;\r\n</p>' }, [[0, 'uri-miss', { send: ['Accept-Encoding: gzip, br'], has: /\r\n\r\n<p>\xfe\xff &amp;\r\n<\/p>$/, lacks: /content-encoding/i }], [1, 'hit', { send: ['Accept-Encoding: gzip, br'], has: /\r\n\r\n<p>\xfe\xff &amp;\r\n<\/p>$/ }]]],
    ['directives of requests mean nothing in a response (RFC 9111 5.2)', ['Cache-Control: max-age=60, min-fresh=100, max-stale, only-if-cached', tag], [[0, 'uri-miss'], [59, 'hit'], [2, 'stale']]],
    ['immutable: fresh is not validated, for whatever condition of the client (RFC 8246 2.1)', ['Cache-Control: max-age=60, immutable', tag, 'Last-Modified: Mon, 05 Jan 2026 08:00:00 GMT'], [[0, 'uri-miss'], [1, 'hit', { send: ['If-None-Match: "1"'], has: /^HTTP\/1\.1 304/ }], [1, 'hit', { send: ['If-None-Match: "2"'], has: /^HTTP\/1\.1 200/ }]]],
    ['immutable: the client\'s signal that a validation is necessary counts (RFC 8246 2.1)', ['Cache-Control: max-age=60, immutable', tag], [[0, 'uri-miss'], [1, 'request', { send: ['Cache-Control: no-cache'] }], [1, 'request', { send: ['Cache-Control: max-age=0'] }]]],
    ['immutable: stale SHOULD be validated as any other (RFC 8246 2)', ['Cache-Control: max-age=60, immutable', tag], [[0, 'uri-miss'], [61, 'stale', { asks: /if-none-match: "1"/i }]]],
    ['immutable: arguments MUST be ignored, repetition means nothing (RFC 8246 2)', ['Cache-Control: max-age=60, immutable=1, immutable, immutable="x"', tag], [[0, 'uri-miss'], [59, 'hit'], [2, 'stale']]],
    ['immutable gives no lifetime (RFC 8246 2)', ['Cache-Control: immutable', tag], [[0, 'uri-miss'], [1, 'stale']]]
  ])
})

t.test('must-revalidate: a disconnected cache MUST answer with an error, which SHOULD be 504 (RFC 9111 5.2.2.2)', async t => {
  for (const [directive, code] of [['must-revalidate', 504], ['foo', 502]] as const) {
    let isUp = true
    const origin = await startRawOrigin(t, ({ socket }) => {
      if (isUp) socket.end(`HTTP/1.1 200 OK\r\nContent-Length: 0\r\n${tag}\r\nCache-Control: max-age=60, stale-if-error=0, ${directive}\r\nConnection: close\r\n\r\n`)
    })
    let at = Date.UTC(2026, 5, 1)
    const proxy = await startProxy(t, origin.url, { holdfast: { now: () => at } })
    t.equal(outcomeOf(await talk(proxy.port, get('/')), false), 'uri-miss')

    isUp = false
    await origin.close()
    at += 61_000
    const answer = await talk(proxy.port, get('/'))
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${code}`), directive)
    t.match(answer, 'upstream_unreachable')
  }
})

t.test('Pragma and Warning (RFC 9111 5.4, 5.5)', async t => {
  await checkRows(t, [
    ['Pragma: no-cache in a request without Cache-Control is its no-cache (RFC 9111 5.4)', minute, [[0, 'uri-miss'], [1, 'request request-no-cache', { send: ['Pragma: no-cache'] }]]],
    ['Pragma in another case and a list (RFC 9111 5.4)', minute, [[0, 'uri-miss'], [1, 'request request-no-cache', { send: ['pragma: foo, NO-CACHE'] }]]],
    ['other words in Pragma mean nothing (RFC 9111 5.4)', minute, [[0, 'uri-miss'], [1, 'hit', { send: ['Pragma: foo, no-store, max-age=0'] }]]],
    ['Pragma beside Cache-Control does not count (RFC 9111 5.4)', minute, [[0, 'uri-miss'], [1, 'hit', { send: ['Pragma: no-cache', 'Cache-Control: max-age=60'] }]]],
    ['Pragma in a response has no meaning, beside a lifetime (RFC 9111 5.4)', [...minute, 'Pragma: no-cache'], [[0, 'uri-miss'], [1, 'hit', { has: /pragma: no-cache/i }]]],
    ['Pragma in a response has no meaning, beside heuristics (RFC 9111 5.4)', ({ at }) => ['Pragma: no-cache', `Last-Modified: ${at(-1000)}`], [[0, 'uri-miss'], [1, 'hit']]],
    ['Pragma in a response gives no lifetime (RFC 9111 5.4)', ['Pragma: max-age=60, public'], [[0, 'uri-miss no-lifetime'], [1, 'uri-miss']]],
    ['Warning is a field like any other and is not made here (RFC 9111 5.5)', ['Cache-Control: max-age=1', 'Warning: 199 - "x"'], [[0, 'uri-miss'], [5, 'hit', { ...wants('max-stale'), has: /warning: 199 - "x"\r\n/i, lacks: /warning: 11/i }]]]
  ])
})

t.test('a route may ignore the directives of requests, which are advisory (RFC 9111 5.2.1)', async t => {
  await checkRows(t, [
    ['none of them has an effect, all are passed through', ['Cache-Control: max-age=60', tag], [
      [0, 'uri-miss', { ...wants('no-store'), asks: /cache-control: no-store/i }],
      ...['no-cache', 'no-store', 'max-age=0', 'min-fresh=100', 'only-if-cached'].map((directive): Ask => [1, 'hit', wants(directive)]),
      [1, 'hit', { send: ['Pragma: no-cache'] }],
      [60, 'stale', wants('max-stale')]
    ]]
  ], { route: { cache: { requestDirectives: 'ignore' } } })
})

t.test('what the default profile does not change: directives (docs/conformance.md)', async t => {
  await checkRows(t, [
    ['a lifetime', minute, [[0, 'uri-miss'], [59, 'hit'], [1, 'stale']]],
    ['no-cache of the request', minute, [[0, 'uri-miss'], [1, 'request', wants('no-cache')]]]
  ], {})
})
