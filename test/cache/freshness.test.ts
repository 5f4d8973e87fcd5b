/** Freshness, age and reuse over time (RFC 9111 sections 4 and 4.2): properties. */
import fc from 'fast-check'
import t from 'tap'
import { createHead } from '../../src/cache/entry.ts'
import { currentAge, freshnessLifetime, initialAge } from '../../src/cache/freshness.ts'
import { decideReuse, mayServeStaleOnError } from '../../src/cache/reuse.ts'
import type { StoredResponse } from '../../src/cache/stored-response.ts'
import { formatHttpDate } from '../../src/http/date.ts'
import { absentControl, parseCacheControl, type CacheControl } from '../../src/http/cache-control.ts'
import type { FieldMap } from '../../src/http/fields.ts'

const receivedAt = Date.UTC(2026, 5, 1)
const noRules = { ttl: [], overrides: [], heuristic: true, heuristicMax: 86_400_000 }
const noStaleness = { staleWhileRevalidate: 0, staleIfError: 0 }
const runs = { numRuns: 3000 }

const octets = fc.string({ unit: fc.integer({ min: 0, max: 0xff }).map(code => String.fromCharCode(code)) })
const instants = fc.oneof(fc.integer({ min: -1e9, max: 1e9 }).map(seconds => formatHttpDate(receivedAt + seconds * 1000)), octets, fc.array(octets))
const numbers = fc.oneof(fc.nat(), fc.bigInt({ min: 0n, max: 10n ** 40n }), fc.integer(), fc.double()).map(String)
const directives = fc.array(fc.oneof(
  fc.tuple(fc.constantFrom('max-age', 's-maxage', 'stale-while-revalidate', 'stale-if-error'), numbers).map(pair => pair.join('=')),
  fc.constantFrom('no-cache', 'no-cache="x"', 'must-revalidate', 'proxy-revalidate', 'public', 'immutable')
), { maxLength: 4 }).map(list => list.join(', '))
const responses = fc.record({ date: instants, expires: instants, 'last-modified': instants, age: fc.oneof(numbers, octets), 'cache-control': directives }, { requiredKeys: [] })
const requests = fc.array(fc.oneof(fc.tuple(fc.constantFrom('max-age', 'max-stale', 'min-fresh', 'stale-if-error'), numbers).map(pair => pair.join('=')), fc.constantFrom('max-stale', 'no-cache', 'no-store')), { maxLength: 3 }).map(list => parseCacheControl({ 'cache-control': list.join(', ') }))
/** Milliseconds after receipt. */
const later = fc.oneof(fc.nat({ max: 200_000 }), fc.nat({ max: 2 ** 42 }))

function stored (fields: FieldMap, delayMs = 0): StoredResponse {
  const control = parseCacheControl(fields)
  const { seconds } = freshnessLifetime({ statusCode: 200, fields, control, targeted: false, rules: noRules, receivedAt })
  return createHead({
    statusCode: 200, fields, control, vary: [], varyMode: 'exact', requestFields: {}, requestedAt: receivedAt - delayMs, receivedAt, freshnessLifetime: seconds, override: null, stripSetCookie: false, consumed: []
  }).response
}

const isFresh = (response: StoredResponse, now: number): boolean => response.freshnessLifetime > currentAge(response, now)

t.test('a lifetime is never negative, not a number, or above 2^31, whatever the fields say (property, RFC 9111 1.2.2, 4.2.1)', async () => {
  fc.assert(fc.property(responses, fields => {
    const { freshnessLifetime: seconds } = stored(fields)
    return seconds >= 0 && seconds <= 2 ** 31
  }), runs)
})

t.test('an age is never negative or not a number, whatever the fields and the clock say (property, RFC 9111 4.2.3)', async () => {
  fc.assert(fc.property(responses, fc.integer({ min: -1e9, max: 1e9 }), fc.integer(), (fields, delay, shift) => {
    const age = initialAge(fields, receivedAt - delay, receivedAt)
    return age >= 0 && Number.isFinite(age) && currentAge({ initialAge: age, receivedAt }, receivedAt + shift) >= age
  }), runs)
})

t.test('an age is at least what Age says and what the request took (property, RFC 9111 4.2.3)', async () => {
  fc.assert(fc.property(fc.nat(), fc.nat({ max: 1e6 }), instants, (age, delay, date) => initialAge({ age: String(age), date }, receivedAt - delay, receivedAt) >= age + delay / 1000), runs)
})

t.test('what has become stale does not become fresh again (property, RFC 9111 4.2)', async () => {
  fc.assert(fc.property(responses, later, later, (fields, first, more) => {
    const response = stored(fields)
    return isFresh(response, receivedAt + first) || !isFresh(response, receivedAt + first + more)
  }), runs)
})

t.test('an older Age never makes a response fresh for longer (property, RFC 9111 4.2.3)', async () => {
  fc.assert(fc.property(responses, fc.nat({ max: 1e6 }), fc.nat({ max: 1e6 }), later, (fields, age, more, after) => {
    const [younger, older] = [age, age + more].map(seconds => stored({ ...fields, age: String(seconds) })) as [StoredResponse, StoredResponse]
    return !isFresh(older, receivedAt + after) || isFresh(younger, receivedAt + after)
  }), runs)
})

t.test('a restriction added never makes a response usable (property, RFC 9111 4.2.1)', async () => {
  const restrictions = fc.constantFrom('no-cache', 'must-revalidate', 'proxy-revalidate', 'max-age=0', 'max-age=x', 's-maxage=0')
  fc.assert(fc.property(responses, restrictions, requests, later, (fields, restriction, control, after) => {
    const said = fields['cache-control'] ?? ''
    // A lifetime takes the place of Expires and heuristics, in either direction: only beside another one is it a restriction.
    fc.pre(!/age/.test(restriction) || said.includes(restriction.split('=')[0] as string))
    const now = receivedAt + after
    const free = decideReuse(stored(fields), control, noStaleness, now)
    const bound = decideReuse(stored({ ...fields, 'cache-control': `${said}, ${restriction}` }), control, noStaleness, now)
    return !bound.reuse || free.reuse
  }), runs)
})

t.test('without permission nothing stale is used, and nothing that prohibits it (property, RFC 9111 4.2.4)', async () => {
  fc.assert(fc.property(responses, requests, later, (fields, control, after) => {
    const response = stored(fields)
    const now = receivedAt + after
    const decision = decideReuse(response, control, noStaleness, now)
    if (!decision.reuse || isFresh(response, now)) return true
    const { mustRevalidate, proxyRevalidate, sMaxage, noCache, staleWhileRevalidate } = response.control
    return (control.maxStale !== undefined || staleWhileRevalidate !== undefined) && !mustRevalidate && !proxyRevalidate && sMaxage === undefined && noCache === false
  }), runs)
})

t.test('no-cache of response or request is never answered without validation, nor on an error (property, RFC 9111 5.2.1.4, 5.2.2.4)', async () => {
  fc.assert(fc.property(responses, requests, later, (fields, control, after) => {
    const now = receivedAt + after
    const never = stored({ ...fields, 'cache-control': `${fields['cache-control'] ?? ''}, no-cache` })
    const asked: CacheControl = { ...control, noCache: true }
    return !decideReuse(never, control, noStaleness, now).reuse && !decideReuse(stored(fields), asked, noStaleness, now).reuse && !mayServeStaleOnError(never, control, { ...noStaleness, staleIfError: 1e9 }, now)
  }), runs)
})

t.test('the time to live and the reuse agree: whole seconds, negative where stale (property, RFC 9211 2.5)', async () => {
  fc.assert(fc.property(responses, later, (fields, after) => {
    const response = stored(fields)
    const { ttl, age } = decideReuse(response, absentControl, noStaleness, receivedAt + after)
    return Number.isInteger(ttl) && Number.isInteger(age) && age >= 0 && (isFresh(response, receivedAt + after) ? ttl >= 0 : ttl <= 0)
  }), runs)
})
