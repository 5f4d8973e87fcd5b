import fc from 'fast-check'
import t from 'tap'
import { BodyRecorder } from '../../src/cache/body-recorder.ts'
import { createEntry, createHead, type EntryPlace } from '../../src/cache/entry.ts'
import { isExpiredForGood } from '../../src/cache/eviction/expired.ts'
import { policyNames } from '../../src/cache/eviction/policy.ts'
import { createHttpCache } from '../../src/cache/http-cache.ts'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import { policyBytes } from '../../src/cache/packed-entry.ts'
import type { StoredEntry } from '../../src/cache/store.ts'
import { parseCacheControl } from '../../src/http/cache-control.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { scarceMemory } from '../fixtures/scarce-memory.ts'

interface EntryOptions {
  readonly bytes?: number
  readonly fields?: FieldMap
  readonly lifetime?: number
  readonly scope?: string
  readonly language?: string
  readonly tags?: readonly string[]
  /** What the key has beside the URI. */
  readonly extra?: string
}

const receivedAt = 1_000_000

function entryOf (key: string, { bytes = 100, fields = {}, lifetime = 60, scope = 'all.00000000', language, tags = [], extra = '' }: EntryOptions = {}): StoredEntry {
  const place: EntryPlace = { key, uri: key.slice(0, key.length - extra.length), scope, groups: [], tags, moment: 0 }
  const head = createHead({
    statusCode: 200,
    fields,
    control: parseCacheControl(fields),
    vary: language === undefined ? [] : ['accept-language'],
    varyMode: 'exact',
    requestFields: language === undefined ? {} : { 'accept-language': language },
    requestedAt: receivedAt,
    receivedAt,
    freshnessLifetime: lifetime,
    override: null,
    stripSetCookie: false,
    consumed: []
  })
  return createEntry(place, head, Buffer.alloc(bytes))
}

const entryBytes = entryOf('key 00').sizeBytes

const operation = fc.oneof(
  { weight: 8, arbitrary: fc.record({ name: fc.constant('put' as const), key: fc.nat(12), variant: fc.nat(5), bytes: fc.nat(3000), replaces: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ name: fc.constant('again' as const), nth: fc.nat(200) }) },
  { weight: 4, arbitrary: fc.record({ name: fc.constant('touch' as const), key: fc.nat(12), variant: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('remove' as const), key: fc.nat(12), variant: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('removeKey' as const), key: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('quota' as const), share: fc.constantFrom(0.1, 0.5) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('clear' as const) }) }
)

for (const policy of policyNames) {
  t.test(`${policy}: no sequence of operations goes over bytes, entries or variants, and the index never names what is gone`, async (t) => {
    fc.assert(fc.property(fc.array(operation, { maxLength: 200 }), fc.integer({ min: 1000, max: 20_000 }), fc.integer({ min: 1, max: 12 }), (operations, maxBytes, maxEntries) => {
      let now = receivedAt
      const store = createMemoryStore({ policy, maxBytes, maxEntries, maxVariants: 3, now: () => now, seed: 1 })
      const keys = Array.from({ length: 13 }, (_, i) => `key ${i}${i % 3 === 0 ? ' extra' : ''}`)
      const tags = Array.from({ length: 6 }, (_, i) => `tag ${i}`)
      const past: StoredEntry[] = []
      for (const operation of operations) {
        now += 1000
        const key = 'key' in operation ? keys[operation.key] as string : ''
        const variants = store.variants(key)
        const chosen = 'variant' in operation ? variants[operation.variant % Math.max(1, variants.length)] : undefined
        if (operation.name === 'put') {
          const entry = entryOf(key, { bytes: operation.bytes, lifetime: operation.bytes % 100, scope: `route${operation.key % 3}.00000000`, language: String(operation.variant), tags: tags.slice(operation.variant), extra: operation.key % 3 === 0 ? ' extra' : '' })
          past.push(entry)
          const stored = store.put(entry, operation.replaces ? chosen ?? null : null, 5)
          if (stored !== store.variants(key).includes(entry)) throw new Error('what put says is not so')
          if (operation.replaces && chosen !== undefined && store.variants(key).includes(chosen)) throw new Error('not replaced')
        } else if (operation.name === 'again' && past.length > 0) {
          // As a snapshot brings back what was there, be it gone or not.
          const entry = past[operation.nth % past.length] as StoredEntry
          if (store.put(entry, null) !== store.variants(entry.key).includes(entry)) throw new Error('what put says is not so')
        } else if (operation.name === 'touch' && chosen !== undefined) store.touch(chosen)
        else if (operation.name === 'remove' && chosen !== undefined) store.remove(chosen)
        else if (operation.name === 'removeKey') store.removeKey(key)
        else if (operation.name === 'quota') store.setRouteRules({ quotas: new Map([['route1', operation.share]]), graceMs: 0 })
        else if (operation.name === 'clear') store.clear()

        const { bytes, entries } = store.statistics()
        const named = keys.flatMap(key => store.variants(key))
        if (bytes > maxBytes || entries > maxEntries) throw new Error('over a bound')
        if (keys.some(key => store.variants(key).length > 3)) throw new Error('too many variants')
        const isNamed = new Set(named)
        for (const [i, tag] of tags.entries()) {
          const tagged = [...store.tagged(tag)]
          if (tagged.some(entry => !isNamed.has(entry)) || tagged.length !== named.filter(entry => entry.tags.includes(tags[i] as string)).length) throw new Error('the tags name others')
        }
        for (const key of keys) {
          const uri = key.replace(' extra', '')
          const found = [...store.ofUri(uri)]
          if (found.length !== named.filter(entry => entry.uri === uri).length || found.some(entry => !isNamed.has(entry))) throw new Error('the URIs name others')
        }
        if ([...store.entries()].length !== entries || store.statistics().keys !== new Set(named.map(({ key }) => key)).size) throw new Error('keys do not add up')
        if (named.length !== entries || named.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) !== bytes) throw new Error('the index and the policy disagree')
      }
    }), { numRuns: 100 })
    t.pass()
  })

  t.test(`${policy}: what counting for a quota takes is taken from the room at once`, async (t) => {
    const entry = entryOf('key 1', { scope: 'route1.00000000' })
    const store = createMemoryStore({ policy, maxBytes: entry.sizeBytes + 100, maxEntries: 10, maxVariants: 3, now: () => receivedAt, seed: 1 })
    t.ok(store.put(entry, null))
    store.setRouteRules({ quotas: new Map([['route1', 0.1]]), graceMs: 0 })

    const { bytes, entries } = store.statistics()
    t.equal(bytes, entries === 0 ? 0 : entry.sizeBytes)
    t.equal(store.excessBytes, 0)
  })

  t.test(`${policy}: what is expired and cannot be validated leaves first`, async (t) => {
    let now = receivedAt
    // Of so few all are looked at.
    const store = createMemoryStore({ policy, maxBytes: 2 ** 20, maxEntries: 2, maxVariants: 8, now: () => now })
    store.put(entryOf('key 01', { lifetime: 600 }), null)
    store.put(entryOf('key 02', { lifetime: 1 }), null)
    for (let times = 0; times < 3; times++) store.touch(store.variants('key 02')[0] as StoredEntry)
    now += 10_000
    store.put(entryOf('key 03', { lifetime: 600 }), null)

    t.same(['key 01', 'key 02', 'key 03'].map(key => store.variants(key).length), [1, 0, 1])
  })
}

for (const policy of policyNames) {
  t.test(`${policy}: where the system has no memory for one of its places, a response is not stored, nothing is left of it, and all else can be removed`, async (t) => {
    const store = createMemoryStore({ policy, maxBytes: 2 ** 30, maxEntries: 1e6, maxVariants: 3, now: () => receivedAt, seed: 1 })
    const memory = scarceMemory(t)
    const kept: StoredEntry[] = []
    for (let i = 0; i < 1500; i++) {
      const key = `key ${i} extra`
      const place = { extra: ' extra', tags: [`tag ${i}`] }
      // Each time for one more of what it asks for, until it has all.
      for (let nth = 1; kept.length === i; nth++) {
        const entry = entryOf(key, place)
        memory.failAt(nth)
        try {
          store.put(entry, null)
        } catch {
          if (store.variants(key).length > 0 || [...store.tagged(`tag ${i}`), ...store.ofUri(`key ${i}`)].length > 0) throw new Error('something is left of it')
          continue
        } finally {
          memory.restore()
        }
        kept.push(entry)
      }
    }
    t.ok(memory.failures > 10)

    const { bytes, entries, keys, memory: counted } = store.statistics()
    t.strictSame([entries, keys], [1500, 1500])
    t.equal(bytes, kept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
    t.match(counted?.routes, { all: { entries, bytes } })
    t.ok(kept.every(entry => store.variants(entry.key)[0] === entry))
    for (const entry of kept) store.remove(entry)
    t.strictSame([...store.entries()], [])
    t.match(store.statistics(), { bytes: 0, entries: 0, keys: 0, tags: 0 })
  })

  t.test(`${policy}: nor does what it was to take the place of stay where the system has no memory for another key`, async (t) => {
    const store = createMemoryStore({ policy, maxBytes: 2 ** 30, maxEntries: 1e6, maxVariants: 3, now: () => receivedAt, seed: 1 })
    const memory = scarceMemory(t)
    let refused = 0
    for (let i = 0; i < 1000; i++) {
      const before = entryOf(`before ${i}`)
      store.put(before, null)
      if (memory.fails(1, () => { store.put(entryOf(`key ${i}`), before) })) refused++
    }
    t.ok(refused > 10)

    const { bytes, entries } = store.statistics()
    t.equal(entries, 1000 - refused)
    t.equal(bytes, [...store.entries()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
  })
}

for (const policy of policyNames) {
  t.test(`${policy}: where the system has no memory to begin anew, nothing is answered that cannot be removed, and what comes then is stored`, async (t) => {
    const store = createMemoryStore({ policy, maxBytes: 2 ** 30, maxEntries: 1e6, maxVariants: 3, now: () => receivedAt, seed: 1 })
    const memory = scarceMemory(t)
    let refused = 0
    for (let nth = 1; nth < 150; nth++) {
      for (let i = 0; i < 300; i++) if (!store.put(entryOf(`key ${nth} ${i}`), null)) throw new Error('not stored')
      if (memory.fails(nth, () => { store.clear() })) refused++
      for (const entry of [...store.entries()]) store.remove(entry)
      if ([...store.entries()].length > 0) throw new Error('not removed')
    }
    t.ok(refused > 30)

    store.clear()
    t.match(store.statistics(), { bytes: 0, entries: 0, keys: 0 })
  })
}

for (const policy of policyNames) {
  t.test(`${policy}: for one that is as large as thousands some leave at once and the rest in turns of the event loop, and meanwhile it does not count as stored`, async (t) => {
    const count = 4000
    const maxBytes = entryBytes * count
    const store = createMemoryStore({ policy, maxBytes, maxEntries: 1e6, maxVariants: 3, now: () => receivedAt, seed: 1 })
    for (let i = 0; store.statistics().evictions === 0; i++) store.put(entryOf(`key ${i}`), null)
    let held = store.statistics().entries + 1
    let steps = 0
    /** What has just happened was one step. */
    const check = (): void => {
      const { entries, bytes } = store.statistics()
      const excess = store.excessBytes as number
      t.ok(held - entries <= 500, `${held - entries} have left at once`)
      t.ok(bytes <= maxBytes)
      t.equal(bytes + excess, [...store.entries()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), 'everything is counted, here or there')
      held = entries
      steps++
    }

    const large = entryOf('large', { bytes: entryBytes * 1500 })
    t.equal(store.put(large, null), store.variants('large').includes(large), 'who asks now finds it, unless the policy refuses it')
    check()
    while (store.excessBytes !== 0) {
      await new Promise(resolve => { setImmediate(resolve) })
      check()
    }
    t.ok(!store.variants('large').includes(large) || steps > 2, `${steps} steps`)
  })
}

t.test('of many large ones in one turn of the event loop no more wait for room than recordings may hold', async (t) => {
  const maxBytes = entryBytes * 4000
  const store = createMemoryStore({ policy: 'lru', maxBytes, maxEntries: 1e6, maxVariants: 3, now: () => receivedAt, seed: 1 })
  for (let i = 0; store.statistics().evictions === 0; i++) store.put(entryOf(`key ${i}`), null)
  let most = 0
  for (let i = 0; i < 20; i++) {
    store.put(entryOf(`large ${i}`, { bytes: entryBytes * 1500 }), null)
    most = Math.max(most, store.excessBytes as number)
  }
  t.ok(most > maxBytes / 4 && most <= maxBytes / 2, `${most} of ${maxBytes}`)
})

t.test('what is stored and has no room yet is counted with the recordings, which may hold so much less', async (t) => {
  const maxBytes = entryBytes * 4000
  const store = createMemoryStore({ policy: 'lru', maxBytes, maxEntries: 1e6, maxVariants: 3, now: () => receivedAt, seed: 1 })
  const cache = createHttpCache({ store, onFailure (error) { throw error } })
  for (let i = 0; store.statistics().evictions === 0; i++) store.put(entryOf(`key ${i}`), null)
  store.put(entryOf('large', { bytes: entryBytes * 2000 }), null)
  const waiting = store.excessBytes as number
  t.ok(waiting > entryBytes * 1000)
  t.equal(cache.statistics().recordingBytes, waiting)

  const budget = { maxBytes: maxBytes / 2, usedBytes: 0, promisedBytes: 0, running: 0, get waitingBytes () { return store.excessBytes as number } }
  const record = () => {
    const recorder = new BodyRecorder(1e9, budget, undefined)
    recorder.write(Buffer.alloc(maxBytes / 2 - waiting + 1))
    return recorder.finish()
  }
  t.equal(record(), 'no-room')
  while (store.excessBytes !== 0) await new Promise(resolve => { setImmediate(resolve) })
  t.ok(Buffer.isBuffer(record()))
})

t.test('a stale response is expired for good when it can neither be validated nor used any more', async (t) => {
  const rows: ReadonlyArray<[string, EntryOptions, number, boolean]> = [
    ['fresh', { lifetime: 600 }, 0, false],
    ['stale', { lifetime: 1 }, 0, true],
    ['with an entity tag', { lifetime: 1, fields: { etag: '"a"' } }, 0, false],
    ['with a date', { lifetime: 1, fields: { 'last-modified': 'Mon, 01 Jun 1970 10:00:00 GMT' } }, 0, false],
    ['it says that it may be used stale', { lifetime: 1, fields: { 'cache-control': 'max-age=1, stale-if-error=600' } }, 0, false],
    ['not for so long', { lifetime: 1, fields: { 'cache-control': 'max-age=1, stale-while-revalidate=5' } }, 0, true],
    ['a route uses stale ones', { lifetime: 1 }, 60, false]
  ]
  for (const [title, options, graceSeconds, expected] of rows) t.equal(isExpiredForGood(entryOf('k', options), receivedAt + 10_000, graceSeconds), expected, title)
})

t.test('routes that use stale responses keep them from leaving first', async (t) => {
  let now = receivedAt
  // The list of lru-cache takes more than an entry has in its size for that: some for three entries.
  const store = createMemoryStore({ policy: 'lru', maxBytes: entryBytes * 3 + 300, maxEntries: 1000, maxVariants: 8, now: () => now })
  store.setRouteRules({ quotas: new Map(), graceMs: 60_000 })
  store.put(entryOf('key 01', { lifetime: 600 }), null)
  store.put(entryOf('key 02', { lifetime: 1 }), null)
  store.put(entryOf('key 03', { lifetime: 600 }), null)

  now += 10_000
  store.put(entryOf('key 04'), null)
  t.same(['key 01', 'key 02'].map(key => store.variants(key).length), [0, 1])

  now += 60_000
  store.put(entryOf('key 05', { lifetime: 600 }), null)
  t.equal(store.variants('key 02').length, 0)
})

t.test('a route above its quota gives its own, so that a crawler cannot empty another; a reload changes quotas', async (t) => {
  const store = createMemoryStore({ maxBytes: entryBytes * 40, maxEntries: 1000, maxVariants: 8, now: () => receivedAt })
  store.setRouteRules({ quotas: new Map([['crawled.often', 0.25]]), graceMs: 0 })
  const of = (route: string) => (i: number) => entryOf(`${route} ${String(i).padStart(3, '0')}`, { bytes: 1, scope: `${route}.abcdefgh` })
  const held = (route: string) => Array.from({ length: 300 }, (_, i) => store.variants(of(route)(i).key).length).filter(count => count > 0).length

  for (let i = 0; i < 20; i++) store.put(of('site')(i), null)
  for (let i = 0; i < 300; i++) store.put(of('crawled.often')(i), null)
  t.equal(held('site'), 20)

  store.setRouteRules({ quotas: new Map(), graceMs: 0 })
  for (let i = 0; i < 300; i++) store.put(of('crawled.often')(i), null)
  t.ok(held('site') < 20, 'without a quota they are equal')
})

t.test('a quota that a reload brings counts what was stored before it, however much that is', async (t) => {
  const store = createMemoryStore({ maxBytes: entryBytes * 10_000, maxEntries: 100_000, maxVariants: 8, now: () => receivedAt })
  const of = (route: string) => (i: number) => entryOf(`${route} ${i}`, { bytes: 1, scope: `${route}.abcdefgh` })
  const held = (route: string) => [...store.entries()].filter(({ scope }) => scope.startsWith(route)).length
  for (let i = 0; i < 2000; i++) store.put(of('site')(i), null)
  for (let i = 0; i < 5000; i++) store.put(of('crawled')(i), null)

  await store.setRouteRules({ quotas: new Map([['crawled', 0.1]]), graceMs: 0 })
  for (let i = 5000; i < 5100; i++) store.put(of('crawled')(i), null)
  // Others need room: all of it comes from the route that has more than its share.
  for (let i = 2000; store.statistics().evictions < 1000; i++) store.put(of('site')(i), null)
  const [before, crawled] = [held('site'), held('crawled')]
  for (let i = 100_000; i < 100_500; i++) store.put(of('site')(i), null)

  t.equal(held('site'), before + 500)
  t.equal(held('crawled') < crawled, true)
})

t.test('what a policy takes beyond the share in each size leaves less room, and clearing gives it back', async (t) => {
  const store = createMemoryStore({ policy: 's3-fifo', maxBytes: entryBytes * 4000, maxEntries: 100_000, maxVariants: 8, now: () => receivedAt })
  for (let i = 0; i < 5000; i++) store.put(entryOf(`key ${i}`), null)
  const small = store.statistics()
  const overheadBytes = (): number => store.statistics().memory?.eviction.overheadBytes ?? NaN
  const taken = overheadBytes()
  t.ok(small.bytes > entryBytes * 3900, `${small.bytes} of ${entryBytes * 4000}`)

  // A few large ones in their place: the arrays are as long as before.
  for (let i = 0; i < 200; i++) store.put(entryOf(`large ${i}`, { bytes: 15_000 }), null)
  t.ok(store.statistics().bytes + taken - 200 * policyBytes < entryBytes * 4000 + 20_000, `${store.statistics().bytes} and ${taken}`)

  store.clear()
  t.ok(overheadBytes() < taken / 10)
})

t.test('a new version takes the place of the old one and keeps its standing', async (t) => {
  const store = createMemoryStore({ policy: 's3-fifo', maxBytes: entryBytes * 10, maxEntries: 1000, maxVariants: 8, now: () => receivedAt })
  let current = entryOf('key 00')
  store.put(current, null)
  for (let i = 10; i < 99; i++) {
    const next = entryOf('key 00')
    t.ok(store.put(next, current))
    current = next
    store.put(entryOf(`key ${i}`), null)
  }

  t.same(store.variants('key 00'), [current])
})

t.test('a response larger than the whole store is refused and takes nothing with it but what it replaces', async (t) => {
  const store = createMemoryStore({ maxBytes: 5000, maxEntries: 10, maxVariants: 8, now: () => receivedAt })
  const [kept, replaced] = [entryOf('key 01'), entryOf('key 02')]
  store.put(kept, null)
  store.put(replaced, null)

  t.notOk(store.put(entryOf('key 02', { bytes: 6000 }), replaced))
  t.same([store.variants('key 01').length, store.variants('key 02').length], [1, 0])
})

t.test('gdsf keeps what the origin server was slow to make', async (t) => {
  const store = createMemoryStore({ policy: 'gdsf', maxBytes: entryBytes * 10, maxEntries: 1000, maxVariants: 8, now: () => receivedAt })
  for (let i = 10; i < 20; i++) store.put(entryOf(`key ${i}`), null, i % 2 === 0 ? 900 : 1)
  for (let i = 20; i < 25; i++) store.put(entryOf(`key ${i}`), null, 1)

  t.same([10, 12, 14, 16, 18].map(i => store.variants(`key ${i}`).length), [1, 1, 1, 1, 1])
})

t.test('a collection begins whenever much has left that is not freed by leaving: evicted, replaced, purged or dropped as a whole', async (t) => {
  const maxBytes = 160 * 2 ** 20
  let collections = 0
  const store = createMemoryStore({ maxBytes, maxEntries: 1e6, maxVariants: 3, policy: 's3-fifo', collect: () => { collections++ } })
  // Each an eighth of a collection's worth, as text.
  const large = 20 * 2 ** 20 / 8
  const found: StoredEntry[] = []
  for (let i = 0; i < 64; i++) {
    const entry = entryOf(`key ${i}`, { bytes: large })
    store.put(entry, null)
    found.push(entry)
    // Handed out, so that it is left to the collector.
    t.equal(entry.body.length, large)
  }
  const left = 64 - store.statistics().entries
  t.equal(collections, Math.floor(left * found[0]!.sizeBytes / (maxBytes / 8)), 'by evictions')
  const before = collections
  store.clear()
  t.equal(collections, before + 1, 'by a purge of everything')
  store.put(entryOf('another', { bytes: large }), null)
  store.removeKey('another')
  t.equal(collections, before + 1, 'a little is not worth it')
})
