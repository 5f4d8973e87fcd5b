/** Targeted cache control: fields that are for this cache in place of `Cache-Control` and `Expires` (RFC 9213). */
import t from 'tap'
import { checkRows, rfc9111, startWire, type Row } from '../fixtures/conformance.ts'
import { get, startProxy, talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const withCache = (cache: object): ProxySettings => ({ ...rfc9111, route: { cache: { setCookie: 'store', vary: 'meaning', ...cache } } })
const hit: Row[2] = [[0, 'uri-miss'], [1, 'hit']]
const miss = (detail: string): Row[2] => [[0, `uri-miss ${detail}`], [1, `uri-miss ${detail}`]]

t.test('which field governs the response (RFC 9213 2.2, MUST)', t => checkRows(t, [
  ['the targeted field decides, not Cache-Control', ['Cache-Control: no-store', 'CDN-Cache-Control: max-age=60'], hit],
  ['nor where Cache-Control allows more', ['Cache-Control: max-age=60', 'CDN-Cache-Control: no-store'], miss('no-store')],
  ['Expires counts no more than Cache-Control', ({ at }) => [`Date: ${at(0)}`, `Expires: ${at(3600)}`, 'CDN-Cache-Control: none'], miss('no-lifetime')],
  ['nor does an Expires in the past', ({ at }) => [`Date: ${at(0)}`, `Expires: ${at(-10)}`, 'CDN-Cache-Control: max-age=60'], hit],
  ['s-maxage of Cache-Control does not count', ['Cache-Control: s-maxage=60', 'CDN-Cache-Control: max-age=5', 'ETag: "1"'], [[0, 'uri-miss'], [6, 'stale']]],
  ['the first of the list before the second', ['Holdfast-Cache-Control: max-age=60', 'CDN-Cache-Control: no-store'], hit],
  ['in whatever order they stand in the response', ['CDN-Cache-Control: max-age=60', 'Holdfast-Cache-Control: no-store'], miss('no-store')],
  ['an empty field is ignored', ['CDN-Cache-Control:', 'Cache-Control: max-age=60'], hit],
  ['an empty first leaves the second', ['Holdfast-Cache-Control: ', 'CDN-Cache-Control: max-age=60', 'Cache-Control: no-store'], hit],
  ['one that cannot be parsed is ignored altogether', ['CDN-Cache-Control: max-age=60, &', 'Cache-Control: no-store'], miss('no-store')],
  ['also where it would forbid', ['CDN-Cache-Control: no-store, max-age=', 'Cache-Control: max-age=60'], hit],
  ['upper case is no structured field', ['CDN-Cache-Control: No-Store', 'Cache-Control: max-age=60'], hit],
  ['one that has to be put together from several lines', ['CDN-Cache-Control: max-age=60', 'CDN-Cache-Control: public', 'Cache-Control: no-store'], hit],
  ['one line that cannot be parsed spoils the others', ['CDN-Cache-Control: max-age=60', 'CDN-Cache-Control: =', 'Cache-Control: no-store'], miss('no-store')],
  ['a word that is no directive keeps others from storing, not this cache', ['CDN-Cache-Control: none', 'Cache-Control: no-store', 'ETag: "1"'], [[0, 'uri-miss'], [1, 'stale']]],
  ['each response is taken by itself', ({ count }) => count === 1 ? ['CDN-Cache-Control: max-age=5', 'Cache-Control: no-store'] : ['Cache-Control: max-age=60'], [[0, 'uri-miss'], [6, 'stale'], [20, 'hit']]]
]))

t.test('directives and their types (RFC 9213 2.1 SHOULD NOT consume, 2.2 MUST implement)', t => checkRows(t, [
  ['max-age', ['CDN-Cache-Control: max-age=10', 'ETag: "1"'], [[0, 'uri-miss'], [9, 'hit'], [1, 'stale']]],
  ['s-maxage before max-age', ['CDN-Cache-Control: max-age=60, s-maxage=5', 'ETag: "1"'], [[0, 'uri-miss'], [6, 'stale']]],
  ['must-revalidate', ['CDN-Cache-Control: max-age=5, must-revalidate', 'ETag: "1"'], [[0, 'uri-miss'], [6, 'stale', { send: ['Cache-Control: max-stale'] }]]],
  ['no-store', ['CDN-Cache-Control: max-age=60, no-store'], miss('no-store')],
  ['no-cache', ['CDN-Cache-Control: max-age=60, no-cache', 'ETag: "1"'], [[0, 'uri-miss'], [1, 'stale no-cache']]],
  ['private', ['CDN-Cache-Control: max-age=60, private'], miss('private')],
  ['no-cache with field names', ['CDN-Cache-Control: max-age=60, no-cache="x-a"', 'X-A: b', 'X-B: c'], [[0, 'uri-miss', { has: /x-a: b/i }], [1, 'hit', { lacks: /\r\nx-a:/i, has: /\r\nx-b:/i }]]],
  ['public with Authorization', ['CDN-Cache-Control: max-age=60, public'], [[0, 'uri-miss', { send: ['Authorization: Basic eA=='] }], [1, 'hit']]],
  ['stale-if-error', ({ count }) => count === 1 ? ['CDN-Cache-Control: max-age=5, stale-if-error=60'] : { status: '500 Error' }, [[0, 'uri-miss'], [6, 'stale stale-if-error']]],
  ['must-understand', ['CDN-Cache-Control: max-age=60, must-understand, no-store'], hit],
  ['a decimal max-age is not consumed', ['CDN-Cache-Control: max-age=60.0', 'Cache-Control: max-age=60'], miss('no-lifetime')],
  ['a string is not', ['CDN-Cache-Control: max-age="60"', 'Cache-Control: max-age=60'], miss('no-lifetime')],
  ['a no-store that is not true is not', ['CDN-Cache-Control: max-age=60, no-store="x"'], hit],
  ['parameters are ignored', ['CDN-Cache-Control: max-age=60;no-store'], hit],
  ['extensions that are not known are ignored', ['CDN-Cache-Control: max-age=60, x-own=(1 2)'], hit],
  ['the last of two members counts (RFC 9651 3.2)', ['CDN-Cache-Control: max-age=60, max-age=5', 'ETag: "1"'], [[0, 'uri-miss'], [6, 'stale']]]
]))

t.test('a 304 updates the targeted field like any other (RFC 9111 3.2, 4.3.4)', t => checkRows(t, [
  ['it brings another one', ({ count }) => count === 1 ? ['CDN-Cache-Control: max-age=5', 'ETag: "1"'] : { status: '304 Not Modified', fields: ['ETag: "1"', 'CDN-Cache-Control: max-age=100'], body: '', raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCDN-Cache-Control: max-age=100\r\n\r\n' }, [[0, 'uri-miss'], [6, 'stale validated'], [90, 'hit']]],
  ['it says only Cache-Control: the stored targeted field still governs', ({ count }) => count === 1 ? ['CDN-Cache-Control: max-age=5', 'ETag: "1"'] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=100\r\n\r\n' }, [[0, 'uri-miss'], [6, 'stale validated'], [6, 'stale validated']]],
  ['it forbids storing', ({ count }) => count === 1 ? ['CDN-Cache-Control: max-age=5', 'ETag: "1"'] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCDN-Cache-Control: no-store\r\n\r\n' }, [[0, 'uri-miss'], [6, 'stale validated'], [1, 'uri-miss']]]
]))

t.test('targeted fields are passed through, those of others always (RFC 9213 2.2 MUST)', t => checkRows(t, [
  ['to the client that asked, and on hits', ['CDN-Cache-Control: max-age=60', 'Other-Cache-Control: no-store'], [
    [0, 'uri-miss', { has: [/\r\ncdn-cache-control: max-age=60\r\n/i, /\r\nother-cache-control: no-store\r\n/i] }],
    [1, 'hit', { has: [/\r\ncdn-cache-control: max-age=60\r\n/i, /\r\nother-cache-control: no-store\r\n/i] }]
  ]],
  ['one that is not on the list changes nothing, whatever its name ends in (2.4 MUST NOT)', ['Other-Cache-Control: no-store', 'Cache-Control: max-age=60'], hit]
]))

t.test('or end here where the route says so (RFC 9213 3.1 MAY)', t => checkRows(t, [
  ['on misses, hits, 304 and HEAD', ['CDN-Cache-Control: max-age=60', 'Holdfast-Cache-Control: max-age=60', 'Other-Cache-Control: y', 'ETag: "1"'], [
    [0, 'uri-miss', { lacks: /cdn-cache|holdfast-cache/i, has: /other-cache-control/i }],
    [1, 'hit', { lacks: /cdn-cache|holdfast-cache/i, has: /other-cache-control/i }],
    [0, 'hit', { send: ['If-None-Match: "1"'], lacks: /cdn-cache|holdfast-cache/i }],
    [0, 'hit', { method: 'HEAD', lacks: /cdn-cache|holdfast-cache/i }]
  ]],
  ['also of what is not stored', ['CDN-Cache-Control: no-store'], [[0, 'uri-miss no-store', { lacks: /cdn-cache/i }]]],
  ['and still govern after a validation', ({ count }) => count === 1 ? ['CDN-Cache-Control: max-age=5', 'ETag: "1"'] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nX: y\r\n\r\n' }, [[0, 'uri-miss'], [6, 'stale validated', { lacks: /cdn-cache/i }], [4, 'hit'], [1, 'stale validated']]]
], withCache({ targetedFields: ['Holdfast-Cache-Control', 'CDN-Cache-Control'], consumeTargetedFields: true })))

t.test('the list is the operator\'s: other names, another order, none', async t => {
  for (const [targetedFields, expected] of [[['X-Own-Cache-Control', 'CDN-Cache-Control'], 'hit'], [['CDN-Cache-Control'], 'uri-miss no-store'], [[], 'uri-miss private']] as const) {
    await checkRows(t, [[targetedFields.join(), ['X-Own-Cache-Control: max-age=60', 'CDN-Cache-Control: no-store', 'Cache-Control: private'], [[0, expected === 'hit' ? 'uri-miss' : expected], [1, expected]]]], withCache({ targetedFields }))
  }
})

t.test('clients cannot use them: they are fields of responses (RFC 9213 2)', async t => {
  const { ask, origin } = await startWire(t, () => response('x', ['Cache-Control: max-age=60']))
  await ask('/', ['CDN-Cache-Control: no-store'])
  await ask('/', ['CDN-Cache-Control: no-cache', 'Holdfast-Cache-Control: max-age=0'])
  t.equal(origin.requests.length, 1)
})

t.test('the default profile has the same list', async t => {
  const origin = await startRawOrigin(t, () => response('x', ['Cache-Control: no-store', 'Holdfast-Cache-Control: max-age=60']))
  const proxy = await startProxy(t, origin.url)
  await talk(proxy.port, get('/'))
  t.match(await talk(proxy.port, get('/')), '; hit')
})
