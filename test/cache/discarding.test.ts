/** What can never be used again leaves without being asked for. */
import t from 'tap'
import { createContext } from '../../src/cache/context.ts'
import { discardHidden } from '../../src/cache/discarding.ts'
import { groupKey } from '../../src/cache/groups.ts'
import { createHttpCache, type HttpCacheOptions } from '../../src/cache/http-cache.ts'
import type { HeadInput } from '../../src/cache/entry.ts'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import type { PackedEntry } from '../../src/cache/packed-entry.ts'
import { covers, type VaryMode } from '../../src/cache/vary.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { makeEntry, partsOf, placeOf, receivedAt } from '../fixtures/entries.ts'

function cacheOf (entries: readonly PackedEntry[], options: Partial<HttpCacheOptions> = {}) {
  const store = createMemoryStore({ maxBytes: 2 ** 30, maxEntries: 100_000, maxVariants: 32 })
  for (const entry of entries) store.put(entry, null)
  const failures: unknown[] = []
  return { store, failures, cache: createHttpCache({ store, onFailure: error => failures.push(error), ...options }) }
}

const everything = { kind: 'all', targets: null, tags: null, places: null } as const
const [group, other] = [groupKey('http', 'a.test', 'g'), groupKey('http', 'a.test', 'h')]
const member = (path: string, groups: readonly string[], moment = 0): PackedEntry => makeEntry({ place: { ...placeOf({ path }), groups, moment } })

t.test('members of an invalidated group leave the store, thousands of them in several turns, and nothing else does (RFC 9875 3)', async t => {
  const members = Array.from({ length: 5000 }, (_, i) => member(`/${i}`, i % 2 === 0 ? [group] : [other, group]))
  const { cache, store } = cacheOf([...members, member('/other', [other]), member('/none', [])])

  cache.invalidateGroups([groupKey('http', 'a.test', 'g')])
  const later = member('/later', [group], cache.moment())
  store.put(later, null)

  // It waits for its turn behind the removals.
  await cache.list(everything, { order: 'hits', limit: 10, after: null, seed: 1 })
  for (let turns = 0; turns < 10_000 && store.statistics().entries > 3; turns++) await new Promise(resolve => { setImmediate(resolve) })

  t.same([...store.entries()].map(({ uri }) => uri.slice(uri.lastIndexOf('/'))).sort(), ['/later', '/none', '/other'])
  t.same([...store.grouped(group)], [later])
  t.equal(store.statistics().evictions, 0, 'they were not evicted')
})

t.test('an invalidation of a URI takes what is stored for it under other keys (RFC 9111 4.4)', async t => {
  const gold = makeEntry({ place: placeOf({ path: '/p', extra: '["gold"]' }) })
  const kept = makeEntry({ place: placeOf({ path: '/q', extra: '["gold"]' }) })
  const { cache, store } = cacheOf([])
  // As requests would say: keys have more in them than the URI.
  for (const entry of [gold, kept]) t.ok(cache.restore(entry, receivedAt, new Map([[entry.scope, { noVarySearch: true }]])))

  cache.invalidate([partsOf({ path: '/p' })])
  await cache.list(everything, { order: 'hits', limit: 10, after: null, seed: 1 })

  t.same([...store.entries()], [kept])
})

t.test('a store that throws meanwhile is told of and does no harm', async t => {
  const store = createMemoryStore({ maxBytes: 2 ** 30, maxEntries: 100, maxVariants: 32 })
  store.put(member('/a', [group]), null)
  const { cache, failures } = cacheOf([], { store: { ...store, remove () { throw new Error('broken') } } })
  cache.invalidateGroups([groupKey('http', 'a.test', 'g')])
  await cache.list(everything, { order: 'hits', limit: 10, after: null, seed: 1 })
  t.match(failures, [{ message: 'broken' }])
  t.equal(cache.statistics().failures, 1)
})

t.test('a variant is covered by one that every request selecting it also selects (RFC 9111 4.1)', async t => {
  const of = (values: Readonly<Record<string, string | undefined>>) => Object.entries(values).map(([name, value]) => ({ name, raw: value, value }))
  const rows: ReadonlyArray<[string, Record<string, string | undefined>, Record<string, string | undefined>, boolean]> = [
    ['fewer fields, the same values', { a: '1' }, { a: '1', b: '2' }, true],
    ['the same', { a: '1' }, { a: '1' }, true],
    ['absent in both', { a: undefined }, { a: undefined, b: '1' }, true],
    ['another value', { a: '2' }, { a: '1', b: '2' }, false],
    ['more fields', { a: '1', b: '2' }, { a: '1' }, false],
    ['other fields', { b: '1' }, { a: '1' }, false],
    ['absent is not empty', { a: undefined }, { a: '' }, false]
  ]
  for (const [title, wide, narrow, expected] of rows) t.equal(covers(of(wide), of(narrow)), expected, title)
})

t.test('a variant that is chosen for no request any more leaves when the one that is chosen in its place comes (RFC 9111 4)', async t => {
  const variant = (vary: string, requestFields: FieldMap, more: Partial<HeadInput> = {}) => makeEntry({ fields: { vary }, head: { requestFields, ...more }, place: placeOf() })
  const later = { receivedAt: receivedAt + 1000, requestedAt: receivedAt + 1000 }
  const rows: ReadonlyArray<[string, PackedEntry, boolean, VaryMode?]> = [
    ['it varies by less', variant('a', { a: '1' }, later), false],
    ['of the same second', variant('a', { a: '1' }), false],
    ['for another value', variant('a', { a: '2' }, later), true],
    ['by another field', variant('c', {}, later), true],
    ['the origin server made it earlier', variant('a', { a: '1' }, { ...later, fields: { vary: 'a', date: 'Mon, 01 Jun 2026 11:00:00 GMT' } }), true],
    ['it does not vary, so that those which do come first', variant('', {}, later), true],
    ['only a part of it is here', makeEntry({ fields: { vary: 'a', etag: '"1"' }, content: { totalBytes: 10, segments: [{ start: 0, bytes: Buffer.from('x') }] }, head: { requestFields: { a: '1' }, ...later }, place: placeOf() }), true],
    ['by meaning the older one may fit where it does not', variant('a', { a: '1' }, later), true, 'meaning']
  ]
  for (const [title, younger, stays, mode = 'normalise'] of rows) {
    const older = variant('a, b', { a: '1', b: '2' })
    const { store } = cacheOf([older, younger])
    discardHidden(createContext(store, () => {}), younger, mode)
    t.same(store.variants(older.key), stays ? [older, younger] : [younger], title)
  }
})
