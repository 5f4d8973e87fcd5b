/** Content is freed when it leaves the store, and never while somebody may still read it: small one in memory that others use next, large one in a Buffer. */
import { Readable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { BodyRecorder, type RecordingBudget } from '../../src/cache/body-recorder.ts'
import { createEntry, placeOfEntry, headOf, withHead } from '../../src/cache/entry.ts'
import { createHttpCache, type CacheForward, type CacheHit, type CacheRequest, type HttpCache } from '../../src/cache/http-cache.ts'
import type { PolicyName } from '../../src/cache/eviction/policy.ts'
import { createMemoryStore, type MemoryStore } from '../../src/cache/memory-store.ts'
import { PackedEntry } from '../../src/cache/packed-entry.ts'
import type { Recording } from '../../src/cache/recording.ts'
import type { StoredEntry } from '../../src/cache/store.ts'
import type { TextArena } from '../../src/cache/text-arena.ts'
import { shareBody } from '../../src/cache/shared-body.ts'
import { resolveConfig } from '../../src/config/load.ts'
import { bodyOf } from '../../src/http/body.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { encodeRecord } from '../../src/snapshot/format.ts'

const rules = resolveConfig({ upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'default', upstream: 'default' }] }).routes[0]?.cache as CacheRequest['rules']
const receivedAt = Date.UTC(2026, 5, 1)
const sizes = [1000, 40_000]

interface Caching { readonly store: MemoryStore, readonly cache: HttpCache }

/** Room for about five of them. */
function caching (contentBytes = 40_000, maxBytes = 5.5 * (contentBytes + 1000), policy: PolicyName = 's3-fifo'): Caching {
  const store = createMemoryStore({ maxBytes, maxEntries: 100, maxVariants: 10, policy })
  return { store, cache: createHttpCache({ store, onFailure (error) { throw error } }) }
}

function requestOf (path: string, fields: FieldMap = {}): CacheRequest {
  return { scope: 's', scheme: 'http', authority: 'a.test', path, query: '', extra: '', method: 'GET', fields, rules, enabled: true, hasContent: false, authenticated: false, common: false, personal: false, showKey: false }
}

/** Stores content made of one octet, and gives back its entry. */
function put ({ store, cache }: Caching, contentBytes: number, path: string, octet: number, now = receivedAt): PackedEntry {
  // `no-cache`: what is stored is asked for again each time.
  const lookup = cache.lookup(requestOf(path, { 'cache-control': 'no-cache' }), now) as CacheForward
  const { recording } = cache.record(lookup, { statusCode: 200, fields: { 'cache-control': 'max-age=60', etag: `"${octet}"`, 'content-length': String(contentBytes) }, requestedAt: now, receivedAt: now, locatesTarget: false }, 1e6)
  for (let at = 0; at < contentBytes; at += 16_384) recording?.write(Buffer.alloc(Math.min(16_384, contentBytes - at), octet))
  if (recording?.complete() !== null) throw new Error('not stored')
  return store.variants(lookup.key).at(-1) as PackedEntry
}

/** A copy of small content, and large content itself. */
function bytesOf (entry: StoredEntry | null): Buffer {
  const body = entry?.body ?? ''
  return typeof body === 'string' ? Buffer.from(body, 'latin1') : body
}

const step = fc.oneof(
  fc.record({ do: fc.constant('store' as const), path: fc.nat(8), octet: fc.integer({ min: 1, max: 250 }) }),
  fc.record({ do: fc.constant('find' as const), path: fc.nat(8), later: fc.boolean() }),
  fc.record({ do: fc.constant('freshen' as const), path: fc.nat(8) }),
  fc.record({ do: fc.constant('purge' as const), path: fc.nat(8) }),
  fc.record({ do: fc.constant('save' as const) })
)

for (const contentBytes of sizes) {
  t.test(`${contentBytes} bytes: content that nobody was given is freed at once when its response leaves: evicted, purged or replaced`, async t => {
    const all = caching(contentBytes)
    const first = put(all, contentBytes, '/0', 1)
    for (let i = 1; i < 10; i++) put(all, contentBytes, `/${i}`, 1)
    t.ok(first.isReleased, 'evicted')
    t.throws(() => first.body, /has left the store/, 'who asks all the same gets an error, never wrong bytes')
    t.equal(first.bodyBytes, contentBytes, 'its size is what it was')

    const last = put(all, contentBytes, '/purged', 2)
    all.store.removeKey(last.key)
    t.ok(last.isReleased, 'purged')
  })

  t.test(`${contentBytes} bytes: what a request has found stays as it was, however soon it is evicted`, async t => {
    const all = caching(contentBytes)
    put(all, contentBytes, '/found', 7)
    const { entry } = all.cache.lookup(requestOf('/found'), receivedAt) as CacheHit
    all.store.removeKey(entry.key)
    t.strictSame(bytesOf(entry), Buffer.alloc(contentBytes, 7))
  })

  t.test(`${contentBytes} bytes: what is being validated stays for the 304 that may confirm it`, async t => {
    const all = caching(contentBytes)
    put(all, contentBytes, '/validated', 7)
    const { stored } = all.cache.lookup(requestOf('/validated'), receivedAt + 100_000) as CacheForward
    all.store.removeKey((stored as PackedEntry).key)
    t.strictSame(bytesOf(stored), Buffer.alloc(contentBytes, 7))
  })

  t.test(`${contentBytes} bytes: a request whose 304 freshens a response gets it, also where the store lets go of it the moment it is renewed`, async t => {
    const all = caching(contentBytes)
    put(all, contentBytes, '/renewed', 7)
    const { store } = all
    const refusing = { ...store, put: (...given: Parameters<typeof store.put>) => { store.put(...given); store.remove(given[0]); return false } }
    const cache = createHttpCache({ store: refusing, onFailure (error) { throw error } })
    const later = receivedAt + 100_000
    const lookup = cache.lookup(requestOf('/renewed'), later) as CacheForward
    const hit = cache.freshen(lookup, { statusCode: 304, fields: { etag: '"7"' }, requestedAt: later, receivedAt: later, locatesTarget: false })
    t.equal(store.statistics().entries, 0)
    t.strictSame(bytesOf(hit?.entry ?? null), Buffer.alloc(contentBytes, 7))
  })

  t.test(`${contentBytes} bytes: two heads of one content: the one that leaves takes nothing from the other`, async t => {
    const all = caching(contentBytes)
    const before = put(all, contentBytes, '/freshened', 7)
    before.lend()
    const after = withHead(before, placeOfEntry(before, before.moment), headOf(before))
    all.store.put(after, before)
    t.strictSame(bytesOf(after), Buffer.alloc(contentBytes, 7))
    all.store.remove(after)
    t.strictSame(bytesOf(before), Buffer.alloc(contentBytes, 7))
  })

  t.test(`${contentBytes} bytes: where everything leaves at once, each is freed by and by, whoever still has some of them`, async t => {
    const all = caching(contentBytes, 20 * (contentBytes + 1000))
    const entries = Array.from({ length: 10 }, (_, i) => put(all, contentBytes, `/${i}`, i + 1))
    const { entry: found } = all.cache.lookup(requestOf('/3'), receivedAt) as CacheHit
    all.cache.clear()
    // Stored anew before its turn came.
    all.store.put(entries[5] as PackedEntry, null)
    for (let turns = 0; turns < 100 && entries[9]?.isReleased === false; turns++) await new Promise(resolve => { setImmediate(resolve) })

    t.strictSame(entries.filter(entry => !entry.isReleased), [found, entries[5]])
    t.strictSame(bytesOf(found), Buffer.alloc(contentBytes, 4))
    t.notOk((found as PackedEntry).copyText(new Int32Array(16_384), 0), 'it has left the memory of the others')
    t.strictSame(bytesOf(entries[5] as PackedEntry), Buffer.alloc(contentBytes, 6))
    t.equal(all.store.statistics().entries, 1)
  })

  t.test(`${contentBytes} bytes: property: in whatever order things happen, content that was handed out is what was stored, and what is stored can be read`, async () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const all = caching(contentBytes)
      const stored = new Map<string, number>()
      const handedOut: Array<readonly [() => Buffer, number]> = []
      let now = receivedAt
      for (const step of steps) {
        now += 10
        const path = 'path' in step ? `/${step.path}` : ''
        const current = stored.get(path)
        if (step.do === 'store') {
          put(all, contentBytes, path, step.octet, now)
          stored.set(path, step.octet)
        } else if (step.do === 'find') {
          const found = all.cache.lookup(requestOf(path), now)
          if (found.action !== 'hit') continue
          const { entry } = found
          // Read at once, or after everything else has happened.
          const body = step.later ? null : bytesOf(entry)
          handedOut.push([() => body ?? bytesOf(entry), current as number])
        } else if (step.do === 'freshen') {
          const lookup = all.cache.lookup(requestOf(path), now + 100_000)
          if (lookup.action === 'forward' && lookup.stored !== null) all.cache.freshen(lookup, { statusCode: 304, fields: { etag: `"${current}"` }, requestedAt: now, receivedAt: now, locatesTarget: false })
        } else if (step.do === 'purge') {
          for (const entry of [...all.store.entries()]) if (entry.uri.endsWith(path)) all.store.remove(entry)
        } else {
          for (const entry of all.store.entries()) {
            const content = (encodeRecord(entry as PackedEntry).at(-1) as Buffer).subarray(-contentBytes)
            handedOut.push([() => content, stored.get(`/${entry.uri.at(-1)}`) as number])
          }
        }
      }
      const isWhole = (bytes: Buffer, octet: number): boolean => bytes.equals(Buffer.alloc(contentBytes, octet))
      return handedOut.every(([given, octet]) => isWhole(given(), octet)) &&
        [...all.store.entries()].every(entry => isWhole(bytesOf(entry), stored.get(`/${entry.uri.at(-1)}`) as number))
    }), { numRuns: 150 })
  })
}

t.test('of several responses that a HEAD says something of, those that left for lack of room meanwhile are passed by, and the store has not failed', async t => {
  const all = caching(1000, 12_000, 'lru')
  const { store, cache } = all
  const record = (vary: string): void => {
    const lookup = cache.lookup(requestOf('/several', { 'cache-control': 'no-cache' }), receivedAt) as CacheForward
    const { recording } = cache.record(lookup, { statusCode: 200, fields: { 'cache-control': 'max-age=60', etag: '"1"', vary }, requestedAt: receivedAt, receivedAt, locatesTarget: false }, 1e6)
    recording?.write(Buffer.alloc(1000, 1))
    t.equal(recording?.complete(), null)
  }
  for (const vary of ['a', 'b', 'c', 'd', 'e']) record(vary)
  const later = receivedAt + 1000
  const lookup = cache.lookup(requestOf('/several', { 'cache-control': 'no-cache' }), later) as CacheForward
  // None was found by a request before.
  const before = [...store.variants(lookup.key)].map(entry => withHead(entry, placeOfEntry(entry, entry.moment), headOf(entry)))
  store.clear()
  for (const entry of before) store.put(entry, null)

  const head = { ...lookup, request: { ...lookup.request, method: 'HEAD' } }
  cache.updateFromHead(head, { statusCode: 200, fields: { 'cache-control': 'max-age=60', etag: '"1"', 'x-more': 'x'.repeat(4000) }, requestedAt: later, receivedAt: later, locatesTarget: false })
  t.ok(store.statistics().entries < 5)
  t.equal(cache.statistics().failures, 0)
})

t.test('who looks at the responses of a URI does not see those that leave meanwhile', async t => {
  const all = caching(1000, 1e6)
  const { store } = all
  put(all, 1000, '/stays', 1)
  const leaves = put(all, 1000, '/leaves', 2)
  const changing = {
    ...store,
    // What it walks through is a copy, of which some are looked at in each turn.
    * ofUri () {
      const entries = [...store.entries()]
      store.remove(leaves)
      yield * entries
    }
  }
  const found = await createHttpCache({ store: changing, onFailure (error) { throw error } }).find([requestOf('/any')])
  t.strictSame(found.map(({ response }) => response.etag?.opaque), ['"1"'])
})

t.test('where many leave at once, what is left of their memory is given back, whether others leave later or not', async t => {
  const entry = put(caching(16_000), 16_000, '/any', 1)
  const store = createMemoryStore({ maxBytes: 64e6, maxEntries: 1e6, maxVariants: 1 })
  for (let i = 0; i < 3000; i++) store.put(withHead(entry, { ...placeOfEntry(entry, 0), key: `/${i}`, uri: `/${i}` }, headOf(entry)), null)
  // Nobody else needs to know it.
  const arena = (store.variants('/0')[0] as unknown as { readonly held: TextArena }).held
  await store.removeWhere(({ key }) => !key.endsWith('0'))
  for (let turns = 0; turns < 1000 && arena.slackBytes > 64e6 / 8; turns++) await new Promise(resolve => { setImmediate(resolve) })
  t.ok(arena.slackBytes <= 64e6 / 8, String(arena.slackBytes))
  t.equal(store.statistics().entries, 300)
  t.ok([...store.entries()].every(entry => bytesOf(entry).equals(Buffer.alloc(16_000, 1))))
})

t.test('of a response that is too long for that memory the text alone is kept, too, and not what it was put together from', async t => {
  const { store } = caching(1000, 1e6)
  const given = put(caching(1000), 1000, '/any', 1)
  const content = Buffer.alloc(16_000, 1)
  const head = headOf(given)
  const entry = createEntry({ ...placeOfEntry(given, 0) }, { ...head, commonLines: [...head.commonLines, 'long', 'x'.repeat(20_000)] }, content)
  store.put(entry, null)
  content.fill(2)
  t.strictSame(bytesOf(entry), Buffer.alloc(16_000, 1))
})

const newBudget = (maxBytes = 1e8): RecordingBudget => ({ maxBytes, usedBytes: 0, promisedBytes: 0, running: 0, waitingBytes: 0 })

t.test('content of a known length is recorded in one piece of memory, and what is announced but does not come takes little of the budget', async t => {
  const budget = newBudget()
  const small = new BodyRecorder(1e8, budget, 1000)
  const [a, b] = [small.write(Buffer.alloc(400, 1)), small.write(Buffer.alloc(600, 2))]
  t.equal(a.buffer, b.buffer)
  t.equal((small.finish() as Buffer).buffer, a.buffer)
  t.equal(budget.usedBytes, 0)

  const large = new BodyRecorder(1e8, budget, 8e6)
  large.write(Buffer.alloc(999_999))
  t.equal(budget.usedBytes, 999_999, 'less than an eighth has come')
  large.write(Buffer.alloc(1))
  t.equal(budget.usedBytes, 8e6)
  large.abandon()
  t.same(budget, newBudget())
})

t.test('what came before there was one piece of memory for all is in it in the end, in order, however the rest comes', async t => {
  const content = Buffer.from(Uint32Array.from({ length: 2e6 }, (_, i) => i).buffer)
  for (const [firstBytes, laterBytes] of [[1000, 1000], [70_000, 70_000], [5e6, 5e6], [999_999, 1000], [10_000, 7e6], [999_999, 8e6]] as const) {
    const recorder = new BodyRecorder(1e8, newBudget(), content.length)
    for (let at = 0; at < content.length;) {
      const piece = content.subarray(at, at + (at < 900_000 ? firstBytes : laterBytes))
      t.ok(recorder.write(piece).equals(piece))
      at += piece.length
    }
    t.ok((recorder.finish() as Buffer).equals(content), `in pieces of ${firstBytes}, then of ${laterBytes}`)
  }
})

t.test('what broken origin servers announce and never send takes no more than half of the budget, however many there are', async t => {
  const budget = newBudget()
  const broken = Array.from({ length: 20 }, () => new BodyRecorder(1e8, budget, 8e6))
  for (const recorder of broken) recorder.write(Buffer.alloc(1e6))
  const sent = 20 * 1e6
  t.ok(budget.usedBytes <= 1e8 / 2 + sent, `${budget.usedBytes} for ${sent} that have come`)

  const good = new BodyRecorder(1e8, budget, 20e6)
  for (let i = 0; i < 20; i++) good.write(Buffer.alloc(1e6, i))
  t.equal((good.finish() as Buffer).length, 20e6)

  broken.forEach(recorder => { recorder.abandon() })
  t.same(budget, newBudget())
  const [first, second] = [new BodyRecorder(1e8, budget, 40e6), new BodyRecorder(1e8, budget, 40e6)]
  for (let i = 0; i < 40; i++) first.write(Buffer.alloc(1e6))
  second.write(Buffer.alloc(5e6))
  t.equal(budget.usedBytes, 80e6, 'what has come is not announced any more')
  first.abandon()
  second.abandon()
  t.same(budget, newBudget())
})

t.test('who has sent half of what it announced gets memory for the rest, whatever others are still to send', async t => {
  const budget = newBudget()
  const others = Array.from({ length: 2 }, () => new BodyRecorder(1e8, budget, 30e6))
  for (const recorder of others) recorder.write(Buffer.alloc(3e6))
  t.equal(budget.usedBytes, 30e6 + 3e6, 'the second would be more than half of the budget')

  const recorder = new BodyRecorder(1e8, budget, 48e6)
  recorder.write(Buffer.alloc(24e6 - 1))
  t.equal(budget.usedBytes, 33e6 + 24e6 - 1)
  recorder.write(Buffer.alloc(1))
  t.equal(budget.usedBytes, 33e6 + 48e6)
  recorder.abandon()
  for (const other of others) other.abandon()
  t.same(budget, newBudget())
})

t.test('where there is no room for all of it at once, it is recorded piece by piece as far as there is', async t => {
  const budget = newBudget(1000)
  const recorder = new BodyRecorder(1e8, budget, 1200)
  recorder.write(Buffer.alloc(900))
  t.ok(recorder.isRunning())
  t.equal(budget.usedBytes, 900)
  recorder.write(Buffer.alloc(300))
  t.equal(recorder.finish(), 'no-room')
  t.same(budget, newBudget(1000))
})

t.test('more than was announced is not stored', async t => {
  const recorder = new BodyRecorder(1e8, newBudget(), 10)
  recorder.write(Buffer.alloc(6))
  recorder.write(Buffer.alloc(6))
  t.equal(recorder.finish(), 'incomplete')
})

t.test('who is still reading a response that the policy lets go of the moment it comes has all of it', async t => {
  const contentBytes = 40_000
  const { store } = caching()
  const refusing = { ...store, put: (...given: Parameters<typeof store.put>) => { store.put(...given); store.remove(given[0]); return false } }
  const cache = createHttpCache({ store: refusing, onFailure (error) { throw error } })
  const lookup = cache.lookup(requestOf('/refused'), receivedAt) as CacheForward
  const { recording } = cache.record(lookup, { statusCode: 200, fields: { 'cache-control': 'max-age=60', 'content-length': String(contentBytes) }, requestedAt: receivedAt, receivedAt, locatesTarget: false }, 1e6)
  const source = new Readable({ read () {} })
  const ends: unknown[] = []
  const shared = shareBody({ source: bodyOf(source), recording: recording as Recording, onEnd: failure => { ends.push(failure) }, onCutShort () {}, onUnreadable () {}, finishAlone: true })
  const [fast, slow] = [shared.reader()?.stream(), shared.reader()?.stream()] as [Readable, Readable]
  fast.resume()
  shared.start()
  for (let i = 0; i < 4; i++) source.push(Buffer.alloc(contentBytes / 4, i + 1))
  source.push(null)
  for (let turns = 0; ends.length === 0 && turns < 100; turns++) await new Promise(resolve => { setImmediate(resolve) })
  t.strictSame(ends, ['no-room'])
  t.strictSame(Buffer.concat(await slow.toArray() as Buffer[]), Buffer.concat([1, 2, 3, 4].map(octet => Buffer.alloc(contentBytes / 4, octet))))
})
