/** Purges and pages without a server: what is selected, what becomes of it, and that the work is done in small pieces. */
import fc from 'fast-check'
import t from 'tap'
import { createHttpCache, type HttpCache } from '../../src/cache/http-cache.ts'
import { locateUriParts, parseUriKey, uriKey, type KeyParts } from '../../src/cache/key.ts'
import { policyNames, type PolicyName } from '../../src/cache/eviction/policy.ts'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import type { Selection } from '../../src/cache/selection.ts'
import type { CacheStore, StoredEntry } from '../../src/cache/store.ts'
import { createTurns } from '../../src/cache/turns.ts'
import { originalPath, rewrittenPrefixes, rewritePath } from '../../src/forward/rewrite.ts'
import { makeEntry, placeOf } from '../fixtures/entries.ts'

const everything: Selection = { kind: 'all', targets: null, tags: null, places: null }

function entryAt (parts: Partial<KeyParts>, tags: readonly string[] = []): StoredEntry {
  return makeEntry({ head: { requestedAt: 0, receivedAt: 0 }, place: { ...placeOf({ scope: 's.1', ...parts }), tags } })
}

const uriOf = (path: string): string => placeOf({ scope: 's.1', path }).uri

function cacheOf (entries: readonly StoredEntry[], change: (store: CacheStore) => CacheStore = store => store, policy: PolicyName = 'adaptive'): { cache: HttpCache, store: CacheStore, failures: unknown[] } {
  const store = createMemoryStore({ policy, maxBytes: 2 ** 30, maxEntries: 1_000_000, maxVariants: 32 })
  for (const entry of entries) store.put(entry, null)
  const failures: unknown[] = []
  return { cache: createHttpCache({ store: change(store), onFailure: error => failures.push(error) }), store, failures }
}

const text = fc.string({ unit: fc.constantFrom('/', 'a', 'B', '1', ',', ' ', '?', '%', ':'), maxLength: 8 })

t.test('a key is taken apart into what it was made of, whatever that contains', async t => {
  fc.assert(fc.property(fc.record({ scope: text, scheme: fc.constantFrom('http', 'https'), authority: text, path: text, query: text }), parts => {
    const key = uriKey({ ...parts, extra: '' })
    const at = locateUriParts(key, { authority: 0, path: 0, query: 0 })
    const located = [key.slice(at.authority, at.path), key.slice(at.path, at.query), key.slice(at.query)]
    return JSON.stringify(parseUriKey(key)) === JSON.stringify(parts) && located.join('\n') === [parts.authority, parts.path, parts.query].join('\n')
  }))
  for (const other of ['', 'x', '1,2,3,4 s', '1,1,1,1,1 s h://ap', '1,1,1,1,1 s h://apqx', '1,1,1,1 s h://ap', 'group 1 http://a b']) {
    t.equal(parseUriKey(other), null, other)
    t.same(locateUriParts(other, { authority: 0, path: 0, query: 0 }), { authority: -1, path: -1, query: -1 }, other)
  }
})

t.test('whatever begins with a prefix for clients begins with one of its rewritten prefixes upstream', async t => {
  const path = fc.array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 4 }).map(segments => `/${segments.join('/')}`)
  const base = fc.option(fc.array(fc.constantFrom('a', 'b', 'ab'), { minLength: 1, maxLength: 2 }).map(segments => `/${segments.join('/')}`), { nil: undefined })
  fc.assert(fc.property(path, fc.nat(8), base, base, (path, cut, stripPrefix, addPrefix) => {
    const rules = { ...stripPrefix !== undefined && { stripPrefix }, ...addPrefix !== undefined && { addPrefix } }
    const prefix = path.slice(0, Math.max(1, cut))
    const stored = rewritePath(path, rules)
    return rewrittenPrefixes(prefix, rules).some(one => stored.startsWith(one)) && rewritePath(originalPath(stored, rules), rules) === stored
  }), { numRuns: 1000 })
  t.same(rewrittenPrefixes('/shop/x', { stripPrefix: '/shop', addPrefix: '/v1' }), ['/v1/x'])
  t.same(rewrittenPrefixes('/other', { stripPrefix: '/shop' }), ['/other'])
})

t.test('by places: scope, then host, then path', async t => {
  const entries = [
    entryAt({ path: '/news/1' }), entryAt({ path: '/news' }), entryAt({ authority: 'b.test', path: '/news/1' }), entryAt({ scope: 's.2', path: '/news/1' }),
    entryAt({ path: '/', query: '?/news/' }), entryAt({ authority: 'a.test:81', path: '/news/1' })
  ]
  const { cache } = cacheOf(entries)
  const count = async (places: ReadonlyArray<readonly [string, { authority: string | null, prefixes: string[] | null }]>): Promise<number> => (await cache.purge({ ...everything, kind: 'prefix', places: new Map(places) }, { dryRun: true }, 0)).responses
  t.equal(await count([['s.1', { authority: null, prefixes: null }]]), 5)
  t.equal(await count([['s.1', { authority: 'a.test', prefixes: null }]]), 3)
  t.equal(await count([['s.1', { authority: 'a.test', prefixes: ['/news/'] }]]), 1)
  t.equal(await count([['s.1', { authority: null, prefixes: ['/news', '/x'] }], ['s.2', { authority: null, prefixes: ['/'] }]]), 5)
  t.equal(await count([]), 0)
})

t.test('one that has several of the tags is purged and counted once', async t => {
  for (const mode of ['hard', 'soft'] as const) {
    const entries = [entryAt({ path: '/1' }, ['a', 'b']), entryAt({ path: '/2' }, ['b', 'c']), entryAt({ path: '/3' }, ['c']), entryAt({ path: '/4' })]
    const { cache, store } = cacheOf(entries)
    const selection: Selection = { ...everything, kind: 'tag', tags: ['a', 'b', 'nobody', 'b'] }
    const bytes = (entries[0]?.sizeBytes as number) + (entries[1]?.sizeBytes as number)

    t.same(await cache.purge(selection, { dryRun: true }, 0), { responses: 2, bytes })
    t.same(await cache.purge(selection, { mode }, 10_000), { responses: 2, bytes })

    t.equal([...store.entries()].length, mode === 'hard' ? 2 : 4)
    t.same(entries.map(({ response }) => response.freshnessLifetime), mode === 'hard' ? [60, 60, 60, 60] : [10, 10, 60, 60])
  }
})

t.test('a soft purge ends a lifetime and never prolongs one', async t => {
  const entry = entryAt({})
  const { cache } = cacheOf([entry])
  await cache.purge(everything, { mode: 'soft' }, 20_000)
  t.equal(entry.response.freshnessLifetime, 20)
  await cache.purge(everything, { mode: 'soft' }, 30_000)
  t.equal(entry.response.freshnessLifetime, 20, 'stale for 10 s already: what may be done with it counts from then')
})

t.test('a store that throws makes a purge fail, not look done', async t => {
  const broken = (): never => { throw new Error('broken') }
  for (const selection of [everything, { ...everything, kind: 'tag', tags: ['a'] } as const]) {
    const { cache, store } = cacheOf([entryAt({}, ['a'])], store => ({ ...store, remove: broken, clear: broken }))
    await t.rejects(cache.purge(selection, {}, 0), { message: 'broken' })
    t.equal([...store.entries()].length, 1)
  }
})

const anywhere: Selection['places'] = new Map([['s.1', { authority: null, prefixes: ['/'] }]])

t.test('timers and requests get their turn while a large purge runs', async t => {
  const { cache, store } = cacheOf(Array.from({ length: 60_000 }, (_, i) => entryAt({ path: `/${i}` })))
  let turns = 0
  let isOver = false
  const count = (): void => {
    turns++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const { responses } = await cache.purge({ ...everything, kind: 'prefix', places: new Map([['s.1', { authority: 'nobody', prefixes: null }]]) }, {}, 0)
  t.equal(responses, 0)
  const afterScan = turns
  t.match(await cache.purge({ ...everything, kind: 'prefix', places: anywhere }, {}, 0), { responses: 60_000 })
  isOver = true

  t.ok(afterScan > 1, 'also while it passes over what is not meant')
  t.ok(turns - afterScan > 3)
  t.same([...store.entries()], [])
})

for (const policy of policyNames) {
  t.test(`${policy}: a purge of everything is over at once, visits nothing, and counts what there was`, async t => {
    const entries = Array.from({ length: 50 }, (_, i) => entryAt({ path: `/${i % 40}`, extra: i < 40 ? '' : 'x' }, ['all', `tag-${i}`]))
    const { cache, store } = cacheOf(entries, store => ({ ...store, remove () { throw new Error('visited') } }), policy)
    const there = { responses: 50, bytes: entries.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0) }

    t.same(await cache.purge(everything, { dryRun: true }, 0), there)
    t.match(store.statistics(), { entries: 50, bytes: there.bytes })
    const purged = cache.purge(everything, {}, 0)

    t.match(store.statistics(), { entries: 0, bytes: 0, keys: 0, tags: 0 }, 'without another turn')
    t.same([...store.entries(), ...store.tagged('all'), ...store.ofUri(uriOf('/0'))], [])
    t.same(await purged, there)
    t.same(await cache.purge(everything, {}, 0), { responses: 0, bytes: 0 })
    t.same(cache.statistics().purges, { all: { hard: { purges: 2, ...there } } })

    for (const entry of entries) store.put(entry, null)
    t.match(store.statistics(), { entries: 50, bytes: there.bytes, tags: 51 }, 'and the store is as good as new')
  })
}

t.test('what is dropped as a whole is neither purged nor counted by a purge that was walking through it', async t => {
  for (const selection of [{ ...everything, kind: 'tag', tags: ['a'] }, { ...everything, kind: 'prefix', places: anywhere }] as const) {
    const entries = Array.from({ length: 1000 }, (_, i) => entryAt({ path: `/${i % 500}`, extra: i < 500 ? '' : 'x' }, ['a']))
    const { cache, store } = cacheOf(entries)
    const removed: StoredEntry[] = []
    const other = cacheOf(entries, store => ({ ...store, remove (entry) { removed.push(entry); store.remove(entry); if (removed.length === 10) other.cache.purge(everything, {}, 0).catch(t.fail) } }))

    t.match(await cache.purge(selection, {}, 0), { responses: 1000 })
    t.match(await other.cache.purge(selection, {}, 0), { responses: 10 })
    t.match(other.cache.statistics().purges, { all: { hard: { responses: 990 } } })
    t.same([...store.entries(), ...other.store.entries()], [])
  }
})

t.test('pieces of work take turns, so that a small one does not wait for a large one', async t => {
  const turns = createTurns()
  const order: string[] = []
  const endless = (function * () { for (;;) yield 1 })()
  let stop = false
  const large = turns.run(endless, () => !stop).then(() => order.push('large'))
  await turns.run([1, 2, 3], () => {}).then(() => order.push('small'))
  stop = true
  await large
  t.same(order, ['small', 'large'])

  await t.rejects(turns.run([1], () => { throw new Error('visit') }), { message: 'visit' })
  let isOff = false
  const waiting = Array.from({ length: 1000 }, () => turns.run(endless, () => !isOff))
  await t.rejects(turns.run([1], () => {}), { code: 'too_busy' })
  isOff = true
  await Promise.all(waiting)
})

t.test('pages: each response once and in order, for any sizes of store and page, also where many are alike', async t => {
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(3), { maxLength: 40 }), fc.integer({ min: 1, max: 7 }), fc.constantFrom('hits', 'bytes', 'age') as fc.Arbitrary<'hits'>, async (hits, limit, order) => {
    const entries = hits.map((count, i) => Object.assign(entryAt({ path: `/${i}` }), { hits: count }))
    const { cache } = cacheOf(entries)
    const seen: StoredEntry[] = []
    let after: { value: number, mark: number } | null = null
    for (;;) {
      const page: Awaited<ReturnType<HttpCache['list']>> = await cache.list(everything, { order, limit, after, seed: 1 })
      seen.push(...page.listed.map(({ entry }) => entry))
      if (page.listed.length < limit) break
      after = page.listed.at(-1)?.place ?? null
    }
    const sorted = seen.every((entry, i) => i === 0 || order !== 'hits' || (seen[i - 1] as StoredEntry).hits >= entry.hits)
    return sorted && seen.length === entries.length && new Set(seen).size === entries.length
  }), { numRuns: 60 })
  t.pass()
})
