/** Whether a response is stored: rows for what a proxy test cannot see, and properties over hostile fields (RFC 9111 section 3). */
import fc from 'fast-check'
import t from 'tap'
import { decideStoring, type StorableExchange } from '../../src/cache/storing.ts'
import { responseControl } from '../../src/cache/response-control.ts'
import { resolveConfig } from '../../src/config/load.ts'
import { formatHttpDate } from '../../src/http/date.ts'
import { absentControl } from '../../src/http/cache-control.ts'
import type { FieldMap } from '../../src/http/fields.ts'

const rulesOf = (cache: Record<string, unknown> = {}) => resolveConfig({ upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'default', upstream: 'default', cache }] }).routes[0]?.cache as StorableExchange['rules']
const rules = rulesOf({ setCookie: 'store', vary: 'meaning' })
const receivedAt = Date.UTC(2026, 5, 1)

function exchange (fields: FieldMap, over: Partial<StorableExchange> = {}): StorableExchange {
  const own = over.rules ?? rules
  const { control, source } = responseControl(fields, own.targetedFields)
  return {
    method: 'GET', requestFields: {}, requestControl: absentControl, authenticated: false, common: false, personal: false, hasContent: false, ranged: false, statusCode: 200, locatesTarget: false, receivedAt, rules: own, fields, control, targeted: source !== 'cache-control', ...over
  }
}

const reasonOf = (made: StorableExchange): string => {
  const decision = decideStoring(made)
  return decision.store ? 'stored' : decision.reason
}

const lasting = { 'cache-control': 'max-age=60' }
const rows: ReadonlyArray<readonly [title: string, made: StorableExchange, expected: string]> = [
  ['a route whose every request is authenticated, by whatever field (3.5)', exchange(lasting, { authenticated: true }), 'authorization'],
  ['and a response that says it may be shared (3.5)', exchange({ 'cache-control': 'public, max-age=60' }, { authenticated: true }), 'stored'],
  ['an interim status is not final (3)', exchange(lasting, { statusCode: 103 }), 'status'],
  ['a rule of the route is an explicit lifetime', exchange({}, { statusCode: 599, rules: rulesOf({ ttl: [{ status: [599], ttl: '1s' }] }) }), 'stored'],
  ['a rule of the route does not lift no-store', exchange({ 'cache-control': 'no-store' }, { rules: rulesOf({ ttl: [{ status: [200], ttl: '1s' }] }) }), 'no-store'],
  ['a rule of the route does not lift RFC 6585', exchange({}, { statusCode: 429, rules: rulesOf({ ttl: [{ status: [429], ttl: '1s' }] }) }), 'status'],
  ['an override does not lift private', exchange({ 'cache-control': 'private' }, { rules: rulesOf({ overrides: [{ ignoreOrigin: true, atLeast: '1m' }] }) }), 'private'],
  ['the no-store of a request is ignored where the route says so', exchange(lasting, { requestControl: { ...absentControl, noStore: true }, rules: rulesOf({ requestDirectives: 'ignore' }) }), 'stored'],
  ['Set-Cookie in the default profile', exchange({ ...lasting, 'set-cookie': 'a=b' }, { rules: rulesOf() }), 'set-cookie'],
  ['Set-Cookie that no-cache limits', exchange({ 'cache-control': 'max-age=60, no-cache="set-cookie"', 'set-cookie': 'a=b' }, { rules: rulesOf() }), 'stored'],
  ['Set-Cookie stripped for all', exchange({ ...lasting, 'set-cookie': 'a=b' }, { rules: rulesOf({ setCookie: 'strip' }) }), 'stored'],
  ['a response that varies by what the proxy writes for each request', exchange({ ...lasting, vary: 'Accept, X-Forwarded-For' }), 'vary-generated'],
  ['a stale response that may stand in for an error is worth its room', exchange({ 'cache-control': 'max-age=0, stale-if-error=60' }), 'stored'],
  ['a stale response that may not is not', exchange({ 'cache-control': 'max-age=0' }), 'no-lifetime'],
  ['412 without a condition is a response like any other', exchange(lasting, { statusCode: 412 }), 'stored'],
  ['416 without a range is a response like any other', exchange(lasting, { statusCode: 416 }), 'stored'],
  ['a method without stored responses', exchange(lasting, { method: 'SEARCH' }), 'method'],
  ['a method in another case is another method', exchange(lasting, { method: 'get' }), 'method']
]

for (const [title, made, expected] of rows) t.test(`storing: ${title} (RFC 9111 3)`, async t => { t.equal(reasonOf(made), expected) })

/** Anything that an origin server can send: words that matter, and octets. */
const words = fc.constantFrom('max-age=60', 's-maxage=9', 'public', 'must-revalidate', 'must-understand', 'immutable', 'no-cache', 'no-cache="x"', 'private="x"', 'stale-if-error=9', 'x', '=', '"', ';', ' ')
const octets = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map(code => String.fromCharCode(code)) })
const dates = fc.oneof(fc.integer({ min: -1e6, max: 1e6 }).map(seconds => formatHttpDate(receivedAt + seconds * 1000)), octets)
const someFields = fc.record({
  'last-modified': dates, expires: dates, date: dates, etag: fc.oneof(fc.constantFrom('"1"', 'W/"1"'), octets), vary: fc.oneof(fc.constantFrom('accept', ''), octets), age: fc.oneof(fc.nat().map(String), octets), pragma: octets, 'content-range': octets, 'content-length': fc.nat().map(String), 'set-cookie': fc.array(octets)
}, { requiredKeys: [] })
const statuses = fc.oneof(fc.constantFrom(200, 404, 500), fc.integer({ min: 200, max: 599 }))
const anyRules = fc.constantFrom(rules, rulesOf(), rulesOf({ ttl: [{ status: [200, 404, 500], ttl: '1m' }] }), rulesOf({ overrides: [{ ignoreOrigin: true, atLeast: '1m' }] }), rulesOf({ targetedFields: [] }))
const runs = { numRuns: 3000 }

t.test('no-store forbids storing whatever else is said, but for must-understand (property, RFC 9111 5.2.2.5)', async () => {
  const without = words.filter(word => word !== 'must-understand' && word !== '"')
  fc.assert(fc.property(fc.array(without), fc.array(without), fc.constantFrom('no-store', 'No-Store', 'no-store=1', 'no-store="a, b"'), someFields, statuses, anyRules, (before, after, forbids, fields, statusCode, own) =>
    !decideStoring(exchange({ ...fields, 'cache-control': [...before, forbids, ...after].join(',') }, { statusCode, rules: own })).store), runs)
})

t.test('private forbids storing whatever else is said (property, RFC 9111 5.2.2.7)', async () => {
  const before = words.filter(word => word !== '"')
  fc.assert(fc.property(fc.array(before), fc.array(words), fc.constantFrom('private', 'PRIVATE', 'private=""', 'private=","', 'private="a b"'), someFields, statuses, anyRules, (first, after, forbids, fields, statusCode, own) =>
    !decideStoring(exchange({ ...fields, 'cache-control': [first.join(','), forbids, after.join(',')] }, { statusCode, rules: own })).store), runs)
})

t.test('Authorization forbids storing without permission (property, RFC 9111 3.5)', async () => {
  const without = words.filter(word => !['public', 'must-revalidate', 's-maxage=9'].includes(word))
  fc.assert(fc.property(fc.array(without), someFields, statuses, anyRules, octets, (control, fields, statusCode, own, credentials) =>
    !decideStoring(exchange({ ...fields, 'cache-control': control.join(',') }, { statusCode, rules: own, requestFields: { authorization: credentials } })).store), runs)
})

t.test('Vary with a member * forbids storing whatever stands beside it (property, RFC 9111 4.1)', async () => {
  fc.assert(fc.property(fc.array(octets), fc.array(octets), someFields, (before, after, fields) => !decideStoring(exchange({ ...fields, ...lasting, vary: [...before, '*', ...after].join(',') })).store), runs)
})

t.test('a status that is neither heuristically cacheable nor explicit is not stored (property, RFC 9111 3)', async () => {
  const heuristic = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 451, 501]
  fc.assert(fc.property(statuses.filter(code => !heuristic.includes(code)), someFields, (statusCode, { expires: _expires, ...fields }) => !decideStoring(exchange(fields, { statusCode })).store), runs)
})

t.test('deciding never throws, and what is stored has a lifetime that is neither negative nor too large (property, RFC 9111 1.2.2)', async () => {
  const names = fc.constantFrom('cache-control', 'cdn-cache-control', 'holdfast-cache-control')
  fc.assert(fc.property(someFields, fc.dictionary(names, fc.oneof(octets, fc.array(words).map(list => list.join(',')))), statuses, anyRules, fc.boolean(), (fields, controls, statusCode, own, ranged) => {
    const decision = decideStoring(exchange({ ...fields, ...controls }, { statusCode, rules: own, ranged }))
    return !decision.store || (decision.lifetime.seconds >= 0 && decision.lifetime.seconds <= 2 ** 31)
  }), runs)
})
