/** RFC 9111 section 3: storing responses; RFC 6585: statuses that must not be stored. */
import t from 'tap'
import { checkRows, type Ask, type Row } from '../fixtures/conformance.ts'

const stored: readonly Ask[] = [[0, 'uri-miss'], [1, 'hit']]
const never = (detail: string): readonly Ask[] => [[0, `uri-miss ${detail}`], [1, `uri-miss ${detail}`]]
const lifetime = 'Cache-Control: max-age=60'
const knowsNothing = [418, 425, 451, 506, 507, 508, 510]
const explicit = [
  200, 201, 202, 203, 204, 205, 207, 208, 226, 299, 300, 301, 302, 303, 305, 306, 307, 308, 399,
  400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 426, 499,
  500, 501, 502, 503, 504, 505, 599, ...knowsNothing
]
const heuristic = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 451, 501]

const said = (code: number, ...fields: string[]) => ({ status: `${code} Said`, fields, ...(code === 204 || code === 205 ? { raw: [`HTTP/1.1 ${code} Said`, ...(code === 205 ? ['Content-Length: 0'] : []), ...fields, '', ''].join('\r\n') } : {}) })

t.test('status codes (RFC 9111 3)', async t => {
  await checkRows(t, [
    ...explicit.map((code): Row => [`${code} with an explicit lifetime is stored, whether known or not (RFC 9111 3)`, said(code, lifetime), [[0, 'uri-miss'], [1, 'hit', { has: new RegExp(`^HTTP/1\\.1 ${code}`) }]]]),
    ...explicit.map((code): Row => [`${code} with Expires is stored (RFC 9111 3)`, ({ at }) => said(code, `Expires: ${at(60)}`), [[0, 'uri-miss'], [1, 'hit']]]),
    ...heuristic.map((code): Row => [`${code} may be given a heuristic lifetime (RFC 9111 4.2.2, RFC 9110 15.1, RFC 7725 3)`, ({ at }) => said(code, `Last-Modified: ${at(-1000)}`), [...stored, [98, 'hit'], [2, 'stale']]]),
    ...explicit.filter(code => !heuristic.includes(code)).map((code): Row => [`${code} is given no heuristic lifetime and is not stored without an explicit one (RFC 9111 3, 4.2.2)`, ({ at }) => said(code, `Last-Modified: ${at(-1000)}`, 'ETag: "1"'), never('no-lifetime')]),
    ...[201, 302, 418, 500, 599].map((code): Row => [`${code} marked public may be given a heuristic lifetime (RFC 9111 4.2.2, 5.2.2.9)`, ({ at }) => said(code, 'Cache-Control: public', `Last-Modified: ${at(-1000)}`), stored]),
    ...[428, 429, 431, 511].map((code): Row => [`${code} MUST NOT be stored, whatever it says (RFC 6585)`, said(code, 'Cache-Control: max-age=60, public'), never('status')]),
    ['206 that nobody asked a range for is not stored (RFC 9111 3, 3.3)', said(206, lifetime, 'Content-Range: bytes 0-6/20', 'ETag: "1"'), never('partial')]
  ])
})

const understood = [200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 421, 422, 426, 500, 501, 503, 505]

t.test('must-understand (RFC 9111 5.2.2.3)', async t => {
  await checkRows(t, [
    ...understood.map((code): Row => [`must-understand: ${code} is understood and stored, the no-store beside it SHOULD be ignored (RFC 9111 5.2.2.3)`, said(code, 'Cache-Control: must-understand, no-store, max-age=60'), stored]),
    ...[299, 399, 499, 599, ...knowsNothing].map((code): Row => [`must-understand: ${code} is not understood and not stored (RFC 9111 3)`, said(code, 'Cache-Control: must-understand, max-age=60'), never('must-understand')]),
    ['must-understand and no-store: what is not understood is not stored either (RFC 9111 5.2.2.3)', said(299, 'Cache-Control: no-store, must-understand, max-age=60'), never('must-understand')],
    ['must-understand: 206 and 304 are understood anyway (RFC 9111 3)', ({ count }) => count === 1 ? ['Cache-Control: must-understand, no-store, max-age=1', 'ETag: "1"'] : { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: must-understand, no-store, max-age=60\r\n\r\n' }, [[0, 'uri-miss'], [2, 'stale validated', { has: /^HTTP\/1\.1 200/ }], [1, 'hit']]],
    ['must-understand does not make a response without a lifetime storable (RFC 9111 3)', said(201, 'Cache-Control: must-understand', 'ETag: "1"'), never('no-lifetime')],
    ['must-understand does not override private (RFC 9111 5.2.2.7)', said(200, 'Cache-Control: must-understand, no-store, private, max-age=60'), never('private')],
    ['must-understand with an argument, which it does not have, permits nothing', said(200, 'Cache-Control: must-understand=1, no-store, max-age=60'), never('malformed')]
  ])
})

t.test('clauses that forbid storing (RFC 9111 3)', async t => {
  const secret = { send: ['Authorization: Basic dTpw'] }
  const authorized = (control: string, ...rest: Ask[]): Row => [`a response to a request with Authorization may be shared because of "${control}" (RFC 9111 3.5)`, ({ count }) => count === 1 ? [`Cache-Control: ${control}`] : { status: '404 Not Found' }, [[0, 'uri-miss', secret], [1, 'hit', secret], [1, 'hit'], ...rest]]
  const unauthorized = (control: string): Row => [`a response to a request with Authorization is not stored with "${control}" (RFC 9111 3.5)`, [`Cache-Control: ${control}`, 'ETag: "1"'], [[0, 'uri-miss authorization', secret], [1, 'uri-miss authorization', secret], [1, 'uri-miss']]]

  await checkRows(t, [
    ['a response to GET is stored (RFC 9111 3)', [lifetime], stored],
    ...['PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((method): Row => [`a response to ${method} is not stored, whatever it says (RFC 9111 3)`, [lifetime], [[0, 'method', { method }], [0, 'uri-miss']]]),
    ['a response to HEAD is not stored as one to GET (RFC 9111 3)', ({ count }) => count === 1 ? { raw: 'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nCache-Control: max-age=60\r\n\r\n' } : [lifetime], [[0, 'uri-miss', { method: 'HEAD' }], [0, 'uri-miss'], [0, 'hit', { method: 'HEAD', lacks: /content$/ }]]],
    ['no-store forbids storing (RFC 9111 5.2.2.5)', ['Cache-Control: no-store, max-age=60, public'], never('no-store')],
    ['no-store in another line and another case forbids it as well (RFC 9111 5.2)', [lifetime, 'cache-control: NO-STORE'], never('no-store')],
    ['no-store with an argument, which it does not have, forbids it as well (RFC 9111 5.2)', ['Cache-Control: no-store=x, max-age=60'], never('no-store')],
    ['private forbids a shared cache to store (RFC 9111 5.2.2.7)', ['Cache-Control: private, max-age=60, s-maxage=60, public'], never('private')],
    ['unqualified private beside a qualified one counts (RFC 9111 5.2.2.7)', ['Cache-Control: private="x-a", max-age=60, private'], never('private')],
    ['a request with no-store leaves nothing behind (RFC 9111 5.2.1.5)', [lifetime], [[0, 'uri-miss request-no-store', { send: ['Cache-Control: no-store'] }], [0, 'uri-miss'], [1, 'hit', { send: ['Cache-Control: no-store'] }], [0, 'hit']]],
    authorized('public, max-age=60'),
    authorized('max-age=60, s-maxage=60'),
    authorized('must-revalidate, max-age=60', [60, 'stale']),
    authorized('s-maxage=60', [60, 'stale']),
    ...['max-age=60', 'max-age=60, proxy-revalidate', 'max-age=60, private="x-a"', 'max-age=60, immutable', 'max-age=60, no-cache'].map(unauthorized),
    ['a request with Authorization may be answered with what was stored without it (RFC 9111 3.5)', [lifetime], [[0, 'uri-miss'], [1, 'hit', secret]]],
    ['a request whose Authorization is for the connection alone is one with Authorization (RFC 9111 3.5, RFC 9110 7.6.1)', [lifetime], [[0, 'uri-miss authorization', { send: ['Connection: close, Authorization', 'Authorization: Basic dTpw'] }], [1, 'uri-miss'], [1, 'hit', { send: ['Connection: Authorization', 'Authorization: Basic dTpw'] }]]],
    ['Connection that names an Authorization which is not there changes nothing (RFC 9110 7.6.1)', [lifetime], [[0, 'uri-miss', { send: ['Connection: Authorization'] }], [1, 'hit']]],
    ['Vary with * anywhere is stored for nobody (RFC 9111 4.1)', [lifetime, 'Vary: Accept', 'Vary: *'], never('vary-star')],
    ['neither lifetime nor validator: not stored, as in normal operation (RFC 9111 3)', [], never('no-lifetime')],
    ['public without lifetime or validator: nothing that could ever be used', ['Cache-Control: public'], never('no-lifetime')],
    ['max-age=0 with a validator is stored to be validated (RFC 9111 3)', ['Cache-Control: max-age=0', 'ETag: "1"'], [[0, 'uri-miss'], [0, 'stale', { asks: /if-none-match: "1"/i }]]],
    ['a heuristically cacheable status with only an ETag is stored to be validated (RFC 9111 3)', ['ETag: "1"'], [[0, 'uri-miss'], [0, 'stale', { asks: /if-none-match: "1"/i }]]],
    ['an extension that is not known changes nothing (RFC 9111 5.2.3)', ['Cache-Control: max-age=60, community="UCI", x=1, y'], stored],
    ['private with an extension that is not known stays private (RFC 9111 5.2.3)', ['Cache-Control: private, community="UCI", max-age=60'], never('private')],
    ['Set-Cookie does not inhibit caching (RFC 9111 7.3)', [lifetime, 'Set-Cookie: a=b', 'Set-Cookie: c=d; HttpOnly'], [[0, 'uri-miss'], [1, 'hit', { has: /set-cookie: a=b\r\nset-cookie: c=d; HttpOnly\r\n/i }]]],
    ['412 to a condition of the client is not stored for others (RFC 9110 15.5.13)', { status: '412 Precondition Failed', fields: [lifetime] }, [[0, 'uri-miss status', { send: ['If-None-Match: *'] }], [0, 'uri-miss']]],
    ['416 to a range of the client is not stored for others (RFC 9110 15.5.17)', { status: '416 Range Not Satisfiable', fields: [lifetime] }, [[0, 'uri-miss status', { send: ['Range: bytes=90-'] }], [0, 'uri-miss']]],
    ['304 to a condition of the client is passed on and not stored (RFC 9111 3)', { raw: 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nCache-Control: max-age=60\r\n\r\n' }, [[0, 'uri-miss status', { send: ['If-None-Match: "1"'], has: /^HTTP\/1\.1 304/ }], [0, 'uri-miss status', { send: ['If-None-Match: "1"'] }]]]
  ])
})

t.test('the default profile does not share what sets a cookie (docs/conformance.md)', async t => {
  await checkRows(t, [
    ['Set-Cookie keeps a response out of the default profile\'s store', [lifetime, 'Set-Cookie: a=b'], never('set-cookie')],
    ['a cookie limited to one user by private="set-cookie" does not (RFC 9111 5.2.2.7)', ['Cache-Control: max-age=60, private="Set-Cookie"', 'Set-Cookie: a=b'], [[0, 'uri-miss', { has: /set-cookie: a=b/i }], [1, 'hit', { lacks: /\r\nset-cookie:/i }]]]
  ], {})
})
