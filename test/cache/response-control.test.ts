/** Which field governs a response, and what its members mean (RFC 9213 2.1, 2.2). */
import fc from 'fast-check'
import t from 'tap'
import type { CacheControl } from '../../src/http/cache-control.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { responseControl } from '../../src/cache/response-control.ts'

const list = ['holdfast-cache-control', 'cdn-cache-control']
const targeted = (value: string): CacheControl => responseControl({ 'cdn-cache-control': value }, list).control

t.test('the first field of the target list that is valid and not empty governs (RFC 9213 2.2)', async t => {
  const rows: ReadonlyArray<readonly [string, FieldMap, string, number | undefined]> = [
    ['none is there', { 'cache-control': 'max-age=1' }, 'cache-control', 1],
    ['one is there', { 'cache-control': 'max-age=1', 'cdn-cache-control': 'max-age=2' }, 'cdn-cache-control', 2],
    ['both are there', { 'cdn-cache-control': 'max-age=2', 'holdfast-cache-control': 'max-age=3' }, 'holdfast-cache-control', 3],
    ['the first is empty', { 'cdn-cache-control': 'max-age=2', 'holdfast-cache-control': '' }, 'cdn-cache-control', 2],
    ['the first is white space', { 'cdn-cache-control': 'max-age=2', 'holdfast-cache-control': '  ' }, 'cdn-cache-control', 2],
    ['the first cannot be parsed', { 'cdn-cache-control': 'max-age=2', 'holdfast-cache-control': 'max-age=3,' }, 'cdn-cache-control', 2],
    ['upper case is no key of a dictionary', { 'cdn-cache-control': 'Max-Age=2', 'cache-control': 'max-age=1' }, 'cache-control', 1],
    ['white space around = is no dictionary', { 'cdn-cache-control': 'max-age = 2', 'cache-control': 'max-age=1' }, 'cache-control', 1],
    ['an extension alone is not empty', { 'cdn-cache-control': 'none', 'cache-control': 'no-store' }, 'cdn-cache-control', undefined],
    ['a field that is not on the list changes nothing', { 'other-cache-control': 'max-age=9', 'cache-control': 'max-age=1' }, 'cache-control', 1],
    ['several lines are one field', { 'cdn-cache-control': ['max-age=2', 'public'] }, 'cdn-cache-control', 2]
  ]
  for (const [title, fields, source, maxAge] of rows) {
    const found = responseControl(fields, list)
    t.equal(found.source, source, title)
    t.equal(found.control.maxAge, maxAge, title)
  }
  t.equal(responseControl({ 'cdn-cache-control': 'max-age=2' }, []).source, 'cache-control', 'with an empty list')
})

t.test('names on the list may be written in any case', async t => {
  t.equal(responseControl({ 'cdn-cache-control': 'max-age=2' }, ['CDN-Cache-Control']).control.maxAge, 2)
  t.equal(responseControl({ 'cdn-cache-control': 'max-age=2' }, ['CDN-Cache-Control']).source, 'cdn-cache-control')
})

t.test('directives keep their meaning; members of a type that they cannot have are not consumed (RFC 9213 2.1)', async t => {
  const rows: ReadonlyArray<readonly [string, Partial<CacheControl>]> = [
    ['max-age=60, must-revalidate, no-store, no-cache, private', { maxAge: 60, mustRevalidate: true, noStore: true, noCache: true, private: true }],
    ['s-maxage=5, public, proxy-revalidate, must-understand, no-transform, immutable', { sMaxage: 5, public: true, proxyRevalidate: true, mustUnderstand: true, noTransform: true, immutable: true }],
    ['stale-while-revalidate=7, stale-if-error=8', { staleWhileRevalidate: 7, staleIfError: 8 }],
    ['max-age=60;x=1, no-store;why="z"', { maxAge: 60, noStore: true }],
    ['max-age=60.0', { maxAge: undefined }],
    ['max-age=60.5, public', { maxAge: undefined, public: true }],
    ['max-age="60"', { maxAge: undefined }],
    ['max-age=sixty', { maxAge: undefined }],
    ['max-age', { maxAge: undefined }],
    ['max-age=-1', { maxAge: undefined }],
    ['max-age=(1)', { maxAge: undefined }],
    ['max-age=@60', { maxAge: undefined }],
    ['max-age=?1', { maxAge: undefined }],
    ['max-age=0', { maxAge: 0 }],
    ['max-age=999999999999999', { maxAge: 2 ** 31 }],
    ['max-age=10, max-age=20', { maxAge: 20 }],
    ['max-age=1.5, max-age=20', { maxAge: 20 }],
    ['max-age=20, max-age=1.5', { maxAge: undefined }],
    ['x="a, max-age=1.5", max-age=20', { maxAge: 20 }],
    ['x;max-age=1.5, max-age=20', { maxAge: 20 }],
    ['x="\\", max-age=1.5", max-age=20', { maxAge: 20 }],
    ['max-age=20;y="max-age=1.5"', { maxAge: 20 }],
    ['no-store=?0', { noStore: false }],
    ['no-store=1', { noStore: false }],
    ['no-cache="set-cookie, x-a"', { noCache: ['set-cookie', 'x-a'] }],
    ['private="x-a"', { private: ['x-a'] }],
    ['private=x-a', { private: false }],
    ['private=""', { private: true }],
    ['max-stale, only-if-cached, min-fresh=5', { maxStale: undefined, onlyIfCached: false, minFresh: undefined }],
    ['unknown=("a" "b"), other=:YQ==:', { malformed: false, maxAge: undefined }]
  ]
  for (const [value, expected] of rows) {
    const control = targeted(value)
    for (const [name, is] of Object.entries(expected)) t.same(control[name as keyof CacheControl], is, `${value}: ${name}`)
  }
})

t.test('property: any octets give directives, never an exception', async t => {
  fc.assert(fc.property(fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('max-age=', '60', ',', '"', ';', '=', 'no-store', '(', '1.5', '\\'))).map(pieces => pieces.join('')), value => {
    const { maxAge } = targeted(value)
    return maxAge === undefined || (Number.isInteger(maxAge) && maxAge >= 0)
  }))
  t.pass()
})
