/** What is stored comes back bit for bit, and nothing that a client or an origin server can send makes the core throw. */
import fc from 'fast-check'
import t from 'tap'
import { headOf, placeOfEntry, withHead } from '../../src/cache/entry.ts'
import { createHttpCache, type CacheForward, type CacheRequest, type HttpCache } from '../../src/cache/http-cache.ts'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import { accepts, normaliseChoices, preferredChoices } from '../../src/cache/preferences.ts'
import { selectingFields, selects, varyNames } from '../../src/cache/vary.ts'
import { resolveConfig } from '../../src/config/load.ts'
import { linesOf } from '../../src/forward/response-fields.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { isNotModified } from '../../src/http/preconditions.ts'
import { ifRangeHolds, parseContentRange, parseRange, resolveRanges } from '../../src/http/range.ts'
import { parseDictionary, parseList } from '../../src/http/structured.ts'
import { entryOf } from '../fixtures/entries.ts'

const rules = resolveConfig({ upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'default', upstream: 'default', cache: { setCookie: 'store', vary: 'meaning' } }] }).routes[0]?.cache as CacheRequest['rules']
const receivedAt = Date.UTC(2026, 5, 1)
const none: FieldMap = Object.create(null)

const octets = fc.string({ unit: fc.integer({ min: 0, max: 0xff }).map(code => String.fromCharCode(code)) })
/** Octets that a field value can have on the wire. */
const value = fc.string({ unit: fc.constantFrom('\t', ...Array.from({ length: 0x5f }, (_, i) => String.fromCharCode(0x20 + i)), '\x80', '\xe9', '\xff') }).map(text => text.trim())
const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ minLength: 1, maxLength: 64 }).chain(piece => fc.constantFrom(1, 300, 2000).map(times => Buffer.concat(Array.from({ length: times }, () => piece))))).map(content => Buffer.from(content))

function newCache (): HttpCache {
  return createHttpCache({
    store: createMemoryStore({ maxBytes: 10_000_000, maxEntries: 100, maxVariants: 10 }),
    onFailure (error) { throw error }
  })
}

function requestOf (path: string, fields: FieldMap = none, method = 'GET'): CacheRequest {
  return { scope: 's', scheme: 'http', authority: 'a.test', path, query: '', extra: '', method, fields, rules, enabled: true, hasContent: false, authenticated: false, common: false, personal: false, showKey: false }
}

/** Stores a response that comes in pieces of this size. */
function store (cache: HttpCache, request: CacheRequest, fields: FieldMap, content: Buffer, piece: number): unknown {
  const lookup = cache.lookup(request, receivedAt) as CacheForward
  const { recording } = cache.record(lookup, { statusCode: 200, fields, requestedAt: receivedAt, receivedAt, locatesTarget: false }, 10_000_000)
  for (let at = 0; at < content.length; at += piece) recording?.write(content.subarray(at, at + piece))
  return recording === null ? 'not stored' : recording.complete()
}

const contentOf = (body: Buffer | string): Buffer => typeof body === 'string' ? Buffer.from(body, 'latin1') : body

/** Fields with a meaning here are left out: each of them is tested where it has it. */
const fieldNames = fc.stringMatching(/^x-[a-z0-9!#$%&'*+.^_`|~-]{1,12}$/)
const plainFields = fc.dictionary(fieldNames, fc.oneof(value, fc.array(value, { minLength: 2, maxLength: 4 })), { maxKeys: 8 })

t.test('content and fields come back bit for bit, in their order and number (property, RFC 9111 3.1)', async () => {
  fc.assert(fc.property(bytes, plainFields, fc.integer({ min: 1, max: 5000 }), (content, plain, piece) => {
    const cache = newCache()
    const fields: FieldMap = Object.assign(Object.create(null), { 'cache-control': 'max-age=60', date: 'Mon, 01 Jun 2026 00:00:00 GMT' }, plain)
    if (store(cache, requestOf('/'), fields, content, piece) !== null) return false
    // The pieces were views that their owner uses again.
    const copy = Buffer.from(content)
    content.fill(0)

    const hit = cache.lookup(requestOf('/'), receivedAt + 1000)
    if (hit.action !== 'hit') return false
    const lines = [...hit.entry.lines]
    return contentOf(hit.entry.body).equals(copy) && JSON.stringify(lines) === JSON.stringify([...linesOf(fields), 'content-length', String(copy.length)])
  }), { numRuns: 500 })
})

t.test('request fields that Vary names count against the bound: a client may write much into them', async t => {
  const sizeOf = (value: string): number => entryOf({ vary: 'x-a' }, Buffer.from('content'), { requestFields: { 'x-a': value } }).sizeBytes
  t.equal(sizeOf('y'.repeat(8000)) - sizeOf(''), 8000)
  t.equal(sizeOf('y,'.repeat(4000)) - sizeOf(''), 8000 + 7999, 'and as they are compared, where that is another text')
})

t.test('an entry put together again from its head is the same entry, however often', async t => {
  let entry = entryOf({ 'cache-control': 'max-age=60', 'cache-status': 'inner; hit', 'content-type': 'a/b' }, Buffer.from('content'))
  const { fields, lines, sizeBytes } = { fields: entry.response.fields, lines: entry.lines, sizeBytes: entry.sizeBytes }
  for (let times = 0; times < 3; times++) entry = withHead(entry, placeOfEntry(entry, 0), headOf(entry))
  t.same(entry.response.fields, fields)
  t.same(entry.lines, lines)
  t.equal(entry.sizeBytes, sizeBytes)
})

t.test('what a hit sends is not what a later request can change (property)', async () => {
  fc.assert(fc.property(bytes, bytes, (first, second) => {
    const cache = newCache()
    const fields = Object.assign(Object.create(null), { 'cache-control': 'max-age=60' })
    store(cache, requestOf('/1'), fields, first, 7)
    const hit = cache.lookup(requestOf('/1'), receivedAt)
    store(cache, requestOf('/2'), fields, second, 7)
    const again = cache.lookup(requestOf('/1'), receivedAt)
    return hit.action === 'hit' && again.action === 'hit' && contentOf(hit.entry.body).equals(first) && contentOf(again.entry.body).equals(first)
  }), { numRuns: 200 })
})

t.test('a range is that range of the bytes (property, RFC 9110 14.1.2)', async () => {
  fc.assert(fc.property(bytes, fc.nat({ max: 400 }), fc.nat({ max: 400 }), (content, start, length) => {
    const cache = newCache()
    store(cache, requestOf('/'), Object.assign(Object.create(null), { 'cache-control': 'max-age=60', etag: '"1"' }), content, 100)
    const hit = cache.lookup(requestOf('/', { range: `bytes=${start}-${start + length}` }), receivedAt)
    if (hit.action !== 'hit') return false
    // Of no bytes there is no part: the whole is the answer.
    if (content.length === 0) return hit.range === null
    if (hit.range === null) return false
    if (start >= content.length) return hit.range.statusCode === 416
    return hit.range.statusCode === 206 && contentOf(hit.range.body).equals(content.subarray(start, start + length + 1))
  }), { numRuns: 500 })
})

t.test('a request is never answered with a response stored for another one (property, RFC 9111 4, 4.1)', async () => {
  const paths = fc.constantFrom('/', '/a', '/a ', '/a/', '/a\xff')
  const languages = fc.constantFrom(undefined, '', 'en', 'EN', 'de', 'de, en', 'en;q=0', '*', '\xff')
  const asks = fc.array(fc.tuple(paths, languages, fc.nat({ max: 100 })), { minLength: 1, maxLength: 30 })
  fc.assert(fc.property(asks, list => {
    const cache = newCache()
    let now = receivedAt
    return list.every(([path, language, seconds]) => {
      now += seconds * 1000
      const request = requestOf(path, language === undefined ? none : { 'accept-language': language })
      const found = cache.lookup(request, now)
      // The response says in its content whom it was made for.
      if (found.action === 'hit') {
        const [forPath, forLanguage] = JSON.parse(contentOf(found.entry.body).toString('latin1')) as [string, string | null]
        return forPath === path && selects(request.fields, selectingFields(forLanguage === null ? none : { 'accept-language': forLanguage }, ['accept-language'], 'meaning'), 'meaning')
      }
      const { recording } = cache.record(found as CacheForward, { statusCode: 200, fields: Object.assign(Object.create(null), { vary: 'accept-language', 'cache-control': 'max-age=150' }), requestedAt: now, receivedAt: now, locatesTarget: false }, 10_000)
      recording?.write(Buffer.from(JSON.stringify([path, language ?? null]), 'latin1'))
      recording?.complete()
      return true
    })
  }), { numRuns: 500 })
})

t.test('no field of request or response makes the cache throw (property)', async () => {
  const requestNames = fc.constantFrom('cache-control', 'pragma', 'range', 'if-range', 'if-none-match', 'if-modified-since', 'if-match', 'accept-language', 'accept-encoding', 'authorization', 'cookie', '__proto__')
  const responseNames = fc.constantFrom('cache-control', 'cdn-cache-control', 'holdfast-cache-control', 'expires', 'date', 'age', 'etag', 'last-modified', 'vary', 'content-range', 'content-length', 'set-cookie', 'cache-groups', 'no-vary-search', 'content-language', 'content-encoding', 'constructor')
  const lines = fc.oneof(octets, fc.array(octets, { maxLength: 3 }), fc.constantFrom('max-age=60', 'bytes=0-1', 'bytes 0-1/5', '"1"', 'accept-language'))
  const dictionary = (names: typeof requestNames) => fc.array(fc.tuple(names, lines), { maxLength: 8 }).map(pairs => pairs.reduce<Record<string, string | string[]>>((map, [name, line]) => { map[name] = line; return map }, Object.create(null) as Record<string, string | string[]>))
  const exchanges = fc.array(fc.tuple(fc.constantFrom('GET', 'HEAD', 'POST', 'PUT'), dictionary(requestNames), dictionary(responseNames as never), fc.constantFrom(200, 204, 206, 304, 404, 412, 416, 500, 503), fc.nat({ max: 100_000 })), { maxLength: 8 })
  fc.assert(fc.property(exchanges, list => {
    const cache = newCache()
    let now = receivedAt
    for (const [method, fields, received, statusCode, passed] of list) {
      now += passed
      const found = cache.lookup(requestOf('/', fields, method), now)
      if (found.action !== 'forward') continue
      const response = { statusCode, fields: received, requestedAt: now, receivedAt: now + 5, locatesTarget: true }
      if (statusCode === 304 && found.conditional !== null) {
        cache.freshen(found, response)
        continue
      }
      cache.onUpstreamFailure(found, now, statusCode)
      cache.updateFromHead(found, response)
      const { recording } = cache.record(found, response, 1000)
      recording?.write(Buffer.from('ab'))
      recording?.complete()
    }
  }), { numRuns: 2000 })
})

t.test('parsing never throws on any octets: ranges, preconditions, preferences, Vary, Structured Fields (property)', async () => {
  const hostile = fc.oneof(octets, fc.array(fc.constantFrom('bytes', '=', '-', ',', ' ', '0', '9'.repeat(30), '*', '/', '"', 'W/', ';', 'q=', '0.5', 'en', '\xff', '(', ')', ':', '?1', '\0'), { maxLength: 20 }).map(parts => parts.join('')))
  const validators = { etag: { weak: false, opaque: '"1"' }, lastModifiedAt: receivedAt, dateAt: receivedAt, fields: { 'last-modified': 'Mon, 01 Jun 2026 00:00:00 GMT' } }
  fc.assert(fc.property(hostile, hostile, (text, other) => {
    const specs = parseRange(text)
    if (specs !== null) {
      for (const total of [0, 1, 100, Number.MAX_SAFE_INTEGER]) {
        for (const { start, end } of resolveRanges(specs, total)) if (!(start >= 0 && start <= end && end < total)) return false
      }
    }
    const contentRange = parseContentRange(text)
    if (contentRange !== null && !(contentRange.start <= contentRange.end)) return false
    ifRangeHolds(text, validators, receivedAt)
    isNotModified({ 'if-none-match': text }, validators, receivedAt)
    isNotModified({ 'if-modified-since': text }, validators, receivedAt)
    for (const field of ['accept', 'accept-language', 'accept-encoding', 'accept-charset', 'x']) normaliseChoices(field, text, true)
    preferredChoices(text)
    accepts(text, other)
    const names = varyNames({ vary: text })
    if (names !== '*') selects({ accept: text }, selectingFields({ accept: other }, names, 'meaning'), 'meaning')
    parseDictionary(text)
    parseList(text)
    return true
  }), { numRuns: 5000 })
})

t.test('one spelling for preferences: writing it again changes nothing (property, RFC 9110 12.5)', async () => {
  const choice = fc.tuple(fc.constantFrom('en', 'EN', 'de', 'fr-CH', '*', 'text/html', 'gzip'), fc.constantFrom('', ';q=1', '; q=0.5', ';Q=0.50', ';q=0', ' ; q=0.001')).map(pair => pair.join(''))
  fc.assert(fc.property(fc.constantFrom('accept', 'accept-language', 'accept-encoding'), fc.array(choice, { maxLength: 5 }), fc.boolean(), (field, choices, anyOrder) => {
    const once = normaliseChoices(field, choices.join(' , '), anyOrder)
    return once === null || normaliseChoices(field, once, anyOrder) === once
  }), { numRuns: 3000 })
})
