import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { createPolicy } from '../../src/cache/eviction/create-policy.ts'
import { createEviction, type Eviction, type EvictionCause } from '../../src/cache/eviction/eviction.ts'
import { GhostKeys } from '../../src/cache/eviction/ghost.ts'
import { KeySimulation } from '../../src/cache/eviction/key-simulation.ts'
import { placeOf, putPlace } from '../../src/cache/eviction/place.ts'
import { policyNames, type PolicyName } from '../../src/cache/eviction/policy.ts'
import { QueuePolicy } from '../../src/cache/eviction/queue-policy.ts'
import { Queues, type Rule } from '../../src/cache/eviction/queues.ts'
import { RuleChooser } from '../../src/cache/eviction/rule-chooser.ts'
import { FrequencySketch } from '../../src/cache/eviction/sketch.ts'
import { lru } from '../../src/cache/eviction/rules/lru.ts'
import { s3Fifo, s3FifoEager } from '../../src/cache/eviction/rules/s3-fifo.ts'
import { sieve } from '../../src/cache/eviction/rules/sieve.ts'
import { wTinyLfu } from '../../src/cache/eviction/rules/w-tiny-lfu.ts'
import { readTrace } from '../../benchmark/eviction/recorded.ts'
import { createZipf, createRandom, mix } from '../../benchmark/eviction/random.ts'
import { scarceMemory } from '../fixtures/scarce-memory.ts'
import { createLru, createS3Fifo, createSieve, createWTinyLfu } from '../../benchmark/eviction/reference.ts'

interface Item { readonly key: number, readonly size: number, readonly group: number }

const rules: readonly Rule[] = [lru, sieve, s3Fifo, s3FifoEager, wTinyLfu]

/** A cache of numbered keys over a policy, as a store has it. */
function createCache (policy: PolicyName, maxBytes: number, maxEntries = Infinity) {
  const items = new Map<number, Item>()
  const evicted: number[] = []
  const causes: EvictionCause[] = []
  const dead = new Set<number>()
  const eviction: Eviction<Item> = createEviction<Item>({
    policy,
    maxBytes,
    maxEntries,
    quotas: { groupOf: item => item.group, sizeOf: item => item.size },
    findDead: () => [...items.values()].find(({ key }) => dead.has(key)) ?? null,
    onEvict (item, cause) {
      evicted.push(item.key)
      causes.push(cause)
      items.delete(item.key)
    }
  })
  /** @returns whether it was a hit */
  function request (key: number, size = 1, group = 0, costMs = 0): boolean {
    const there = items.get(key)
    if (there !== undefined) {
      eviction.policy.touch(there)
      return true
    }
    const item = { key, size, group }
    items.set(key, item)
    eviction.insert(item, mix(key + 1), size, costMs)
    return false
  }
  return { items, evicted, causes, dead, eviction, request }
}

/** A cache of keys alone that follows a rule, or by `queues.follow` another one. */
function createKeys (rule: Rule, maxBytes: number) {
  const queues = new Queues(rule, { maxBytes, maxEntries: Infinity })
  queues.keepGhost = queues.keepSketch = true
  const held = new Map<number, number>()
  const keys = new Map<number, number>()
  function request (key: number, size = 1): boolean {
    const slot = held.get(key)
    if (slot !== undefined) {
      queues.touch(slot)
      return true
    }
    const taken = queues.insert(mix(key + 1), size)
    held.set(key, taken)
    keys.set(taken, key)
    while (queues.isOver()) held.delete(keys.get(queues.evict()) as number)
    return false
  }
  return { queues, held, request }
}

const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ name: fc.constant('request' as const), key: fc.nat(60), size: fc.integer({ min: 1, max: 30 }), group: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constantFrom('remove' as const, 'cool' as const), key: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('replace' as const), key: fc.nat(60), size: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ name: fc.constant('quota' as const), quota: fc.nat(100) }) }
)

for (const policy of policyNames) {
  t.test(`${policy}: no sequence of operations goes over a bound, loses an item or names one that is gone`, async (t) => {
    fc.assert(fc.property(fc.array(operation, { maxLength: 300 }), fc.integer({ min: 30, max: 200 }), fc.integer({ min: 1, max: 20 }), (operations, maxBytes, maxEntries) => {
      const { items, eviction, request } = createCache(policy, maxBytes, maxEntries)
      for (const operation of operations) {
        const item = 'key' in operation ? items.get(operation.key) : undefined
        if (operation.name === 'request') request(operation.key, operation.size, operation.group)
        else if (operation.name === 'quota') eviction.setQuotas(new Map([[1, operation.quota]]))
        else if (item === undefined) continue
        else if (operation.name === 'cool') eviction.policy.cool(item)
        else if (operation.name === 'remove') {
          eviction.remove(item)
          items.delete(item.key)
        } else if (operation.name === 'replace') {
          const next = { ...item, size: operation.size }
          items.set(item.key, next)
          eviction.replace(item, next, next.size, 0)
        }
        const held = [...items.values()]
        if (eviction.policy.bytes > maxBytes || eviction.policy.count > maxEntries) throw new Error('over a bound')
        if (held.length !== eviction.policy.count) throw new Error(`${held.length} items, the policy has ${eviction.policy.count}`)
        if (held.reduce((sum, { size }) => sum + size, 0) !== eviction.policy.bytes) throw new Error('bytes do not add up')
        if (!held.every(item => eviction.policy.has(item))) throw new Error('an item is lost')
      }
      eviction.clear()
      return eviction.policy.count === 0 && eviction.policy.bytes === 0 && eviction.policy.evict() === null
    }), { numRuns: 150 })
    t.pass()
  })

  t.test(`${policy}: what is dead leaves first, whatever it was worth`, async (t) => {
    const { evicted, causes, dead, request } = createCache(policy, 10)
    for (let key = 0; key < 10; key++) request(key)
    for (let times = 0; times < 5; times++) for (const key of [3, 4]) request(key)
    for (const key of [3, 4]) dead.add(key)

    for (const key of [100, 101, 102]) request(key)

    t.same(evicted.slice(0, 2), [3, 4])
    t.same(causes, ['expired', 'expired', 'room'])
  })

  t.test(`${policy}: a group above its quota gives first, so that a crawler cannot empty another`, async (t) => {
    const { items, causes, eviction, request } = createCache(policy, 100)
    eviction.setQuotas(new Map([[1, 20]]))
    for (let key = 0; key < 50; key++) request(key, 1, 0)
    for (let key = 1000; key < 3000; key++) request(key, 1, 1)

    const groups = [...items.values()].map(({ group }) => group)
    t.equal(groups.filter(group => group === 0).length, 50, 'nothing of the other group has left')
    t.equal(groups.filter(group => group === 1).length, 50, 'while there is room the quota does not bind')
    t.same([...new Set(causes)], ['quota'])

    for (let key = 50; key < 90; key++) request(key, 1, 0)
    t.equal([...items.values()].filter(({ group }) => group === 1).length, 20, 'down to its quota, not below')
  })
}

t.test('for one that takes the place of many, what is dead is not looked for each time in vain, and all of it leaves first', async (t) => {
  const held = new Set<number>()
  let looks = 0
  let dead = 0
  const eviction = createEviction<Item>({
    policy: 'lru',
    maxBytes: 10_000,
    maxEntries: Infinity,
    findDead () {
      looks++
      return dead-- > 0 ? items[5000 + dead] as Item : null
    },
    onEvict: ({ key }) => { held.delete(key) }
  })
  const items = Array.from({ length: 10_000 }, (_, key): Item => ({ key, size: 1, group: 0 }))
  const insert = (item: Item): void => {
    held.add(item.key)
    eviction.insert(item, mix(item.key + 1), item.size, 0)
  }
  items.forEach(insert)

  insert({ key: 20_000, size: 1000, group: 0 })
  t.equal(held.size, 9001)
  t.ok(looks < 50, `${looks} looks for 1000 that left`)

  dead = 900
  insert({ key: 20_001, size: 1000, group: 0 })
  t.equal(items.slice(5000, 5900).filter(({ key }) => held.has(key)).length, 0)
})

t.test('what is hit stays before what is not, within a group above its quota', async (t) => {
  const { items, eviction, request } = createCache('s3-fifo', 20)
  eviction.setQuotas(new Map([[1, 5]]))
  for (let key = 0; key < 5; key++) request(key, 1, 1)
  for (let key = 1000; key < 1200; key++) {
    request(key, 1, 1)
    for (let popular = 0; popular < 5; popular++) request(popular, 1, 1)
  }

  t.ok([0, 1, 2, 3, 4].every(key => items.has(key)))
})

for (const policy of ['s3-fifo', 'adaptive'] as const) {
  t.test(`${policy}: a scan, and keys that are asked for once, do not push out what is popular`, async (t) => {
    const { items, request } = createCache(policy, 100)
    for (let times = 0; times < 5; times++) for (let key = 0; key < 60; key++) request(key)
    for (let key = 1000; key < 6000; key++) {
      request(key)
      if (key % 20 === 0) for (let popular = 0; popular < 60; popular++) request(popular)
    }
    for (let key = 10_000; key < 11_000; key++) request(key)

    t.ok([...items.keys()].filter(key => key < 60).length >= 55)
  })
}

t.test('gdsf keeps what is small and what was costly, and lets old fame fade', async (t) => {
  const sizes = createCache('gdsf', 1000)
  for (let key = 0; key < 50; key++) sizes.request(key, key % 2 === 0 ? 10 : 60, 0, 10)
  t.ok([...sizes.items.values()].filter(({ size }) => size === 10).length >= 24)

  const costs = createCache('gdsf', 100)
  for (let key = 0; key < 200; key++) costs.request(key, 2, 0, key % 4 === 0 ? 500 : 1)
  t.ok([...costs.items.keys()].filter(key => key % 4 === 0).length >= 45)

  const fame = createCache('gdsf', 10)
  for (let times = 0; times < 50; times++) fame.request(1)
  for (let key = 100; key < 1000; key++) fame.request(key)
  t.notOk(fame.items.has(1))
})

t.test('each rule does what its paper says: as many hits as the plain implementation, with items of one size', async (t) => {
  const maxBytes = 200
  const plain = new Map([[lru, createLru(maxBytes)], [sieve, createSieve(maxBytes)], [s3Fifo, createS3Fifo(maxBytes)], [s3FifoEager, createS3Fifo(maxBytes, 1)], [wTinyLfu, createWTinyLfu(maxBytes)]])
  for (const [rule, reference] of plain) {
    const ours = new KeySimulation(rule, { maxBytes, maxEntries: Infinity })
    const popular = createZipf(createRandom(7), 3000, 0.9)
    let [hits, expected] = [0, 0]
    const requests = 30_000
    for (let i = 0; i < requests; i++) {
      const key = popular()
      if (ours.request(mix(key + 1), 1)) hits++
      if (reference.request(key, 1)) expected++
    }
    // The ghost is a table of buckets, frequencies are a sketch: about the same is what they promise.
    t.ok(Math.abs(hits - expected) < requests * (rule === lru || rule === sieve ? 1e-9 : 0.01), `${rule.name}: ${hits}, plain ${expected}`)
  }
})

t.test('one rule follows another on the same items, whichever they are', async (t) => {
  for (const before of rules) {
    for (const after of rules) {
      const queues = new Queues(before, { maxBytes: 100, maxEntries: Infinity })
      const held = new Map<number, number>()
      const popular = createZipf(createRandom(3), 400, 0.8)
      for (let i = 0; i < 4000; i++) {
        if (i % 1000 === 500) queues.follow(i % 2000 === 500 ? after : before)
        const key = popular()
        const slot = held.get(key)
        if (slot !== undefined) {
          queues.touch(slot)
          continue
        }
        held.set(key, queues.insert(key, 1))
        while (queues.isOver()) held.delete(queues.hash[queues.evict()] as number)
      }
      t.equal(queues.count, 100, `${before.name}, then ${after.name}`)
      t.equal(queues.queues.reduce((sum, { count }) => sum + count, 0), 100)
      t.same([...held.values()].filter(slot => !queues.isHeld(slot)), [])
    }
  }
})

t.test('the adaptive policy follows the rule that the requests are for', async (t) => {
  const { eviction, request } = createCache('adaptive', 300)
  // Young keys are asked for a few times, none twice after it has aged: LRU's own ground, where frequency misleads.
  const recent = createRandom(5)
  for (let time = 0; time < 60_000; time++) request(Math.floor(time / 3) - recent.below(250))
  t.match(eviction.policy.statistics().rules, { lru: { inForce: 1 }, 'w-tiny-lfu': { inForce: 0 } })

  // A loop longer than the cache: LRU has no hit at all, who keeps some of it has.
  let hits = 0
  for (let round = 0; round < 100; round++) for (let key = 0; key < 600; key++) if (request(1_000_000 + key) && round >= 50) hits++
  t.match(eviction.policy.statistics().rules, { lru: { inForce: 0 }, 'w-tiny-lfu': { inForce: 1 } })
  t.ok(hits > 50 * 600 * 0.4, `${hits} of ${50 * 600}`)
})

t.test('equal rules are no reason to change', async (t) => {
  const { eviction, request } = createCache('adaptive', 1000)
  const random = createRandom(9)
  for (let i = 0; i < 50_000; i++) request(random.below(900))

  t.equal(eviction.policy.statistics().switches, 0)
})

t.test('with few keys a rule is changed as well, but not for a handful of hits', async (t) => {
  for (const most of [5, 30, 99]) {
    const [own, fixed] = [createCache('adaptive', most), createCache('s3-fifo', most)]
    const popular = createZipf(createRandom(most), 20 * most, 1)
    let [hits, expected] = [0, 0]
    for (let i = 0; i < 50_000; i++) {
      const key = popular()
      if (own.request(key)) hits++
      if (fixed.request(key)) expected++
    }
    t.ok(own.eviction.policy.statistics().switches < 10, `${most} keys, changes: ${own.eviction.policy.statistics().switches}`)
    t.ok(hits > expected - 500, `${most} keys, hits: ${hits} and ${expected}`)

    const loop = createCache('adaptive', most)
    for (let time = 0; time < 50_000; time++) loop.request(time % (2 * most))
    t.match(loop.eviction.policy.statistics().rules, { 'w-tiny-lfu': { inForce: 1 } }, `${most} keys, a loop`)
  }
})

t.test('S3-FIFO keeps nothing for good that another rule had in its main queue', async (t) => {
  for (const before of [lru, sieve, s3FifoEager, wTinyLfu]) {
    const [followed, fresh] = [createKeys(before, 500), createKeys(s3Fifo, 500)]
    // Each key twice, up to 600 requests apart: what has been hit will not be again.
    const random = createRandom(11)
    const due = new Map<number, number>()
    const next = (time: number): number => {
      const again = due.get(time)
      if (again === undefined) due.set(time + 1 + random.below(600), time)
      return again ?? time
    }
    let [hits, expected] = [0, 0]
    for (let time = 0; time < 30_000; time++) {
      if (time === 10_000) followed.queues.follow(s3Fifo)
      const key = next(time)
      const [isHit, isExpected] = [followed.request(key), fresh.request(key)]
      if (time < 15_000) continue
      if (isHit) hits++
      if (isExpected) expected++
    }
    t.ok(hits > expected * 0.9, `${before.name}: ${hits}, fresh ${expected}`)
  }
})

t.test('W-TinyLFU: a large item has to win against each that it would drive out', async (t) => {
  const { request, held } = createKeys(wTinyLfu, 40)
  // The first ones to go are hardly wanted, all behind them are.
  for (let key = 0; key < 40; key++) for (let times = 0; times < (key < 4 ? 1 : 8); times++) request(key)
  for (let round = 0; round < 4; round++) request(1000, 20)
  const left = Array.from({ length: 36 }, (_, i) => i + 4).filter(key => held.has(key)).length
  t.ok(left >= 35, `${left} of 36`)
})

t.test('W-TinyLFU: an item larger than the window drives out nothing that waits there', async (t) => {
  const { queues, request, held } = createKeys(wTinyLfu, 2000)
  for (let key = 0; key < 2000; key++) for (let times = 0; times < 4; times++) request(key)
  const waiting = Array.from({ length: 20 }, (_, i) => 10_000 + i)
  for (const key of waiting) request(key)
  t.ok(waiting.every(key => held.has(key)), 'the window is full of what is new')

  for (let key = 20_000; key < 20_100; key++) {
    request(key, 30)
    t.notOk(held.has(key))
  }

  t.ok(waiting.every(key => held.has(key)))
  t.equal(queues.bytes, 2000)
})

t.test('W-TinyLFU: a sample of the keys judges items larger than the window as the store does', async (t) => {
  const maxBytes = 50_000
  const sizeOf = (key: number): number => key % 25 === 0 ? 700 : 5
  const ratioOf = (keysForOne: number): number => {
    const simulation = new KeySimulation(wTinyLfu, { maxBytes: maxBytes / keysForOne, maxEntries: Infinity, keysForOne })
    const random = createRandom(21)
    const zipf = createZipf(random, 12_000, 0.7)
    let [hits, requests] = [0, 0]
    for (let i = 0; i < 200_000; i++) {
      // Rows of keys as well, so that many keys are new to the window.
      const start = random.below(12_000)
      for (const key of i % 50 === 0 ? Array.from({ length: 60 }, (_, j) => (start + j) % 12_000) : [zipf()]) {
        if (mix(key) >>> 0 >= 2 ** 32 / keysForOne) continue
        requests++
        if (simulation.request(mix(key), sizeOf(key))) hits++
      }
    }
    return hits / requests
  }

  const [store, sample] = [ratioOf(1), ratioOf(8)]
  t.ok(Math.abs(store - sample) < 0.05, `${store.toFixed(3)} of the store, ${sample.toFixed(3)} of the sample`)
})

t.test('a store that falls short of the simulation of its own rule begins with it anew', async (t) => {
  for (const fallsShort of [true, false]) {
    const chooser = new RuleChooser({ candidates: rules, bounds: { maxBytes: 1000, maxEntries: Infinity }, initial: s3Fifo })
    const random = createRandom(13)
    let renewals = 0
    const seen = new Set<number>()
    for (let i = 0; i < 20_000; i++) {
      const key = random.below(900)
      if (chooser.request(mix(key), 1, seen.has(key) && !(fallsShort && i % 5 === 0))) renewals++
      seen.add(key)
    }
    t.equal(renewals > 0, fallsShort)
    t.equal(chooser.switches, 0)
  }
})

t.test('a chooser looks at a thinner sample as the store grows, and its memory stays bounded', async (t) => {
  const chooser = new RuleChooser({ candidates: rules, bounds: { maxBytes: 1e9, maxEntries: Infinity }, initial: s3Fifo, mostSampledKeys: 500 })
  let [overhead, most] = [0, 0]
  for (let key = 0; key < 200_000; key++) {
    chooser.request(mix(key), 1000, false)
    most = Math.max(most, chooser.sampledKeys)
    if (key === 100_000) overhead = chooser.overheadBytes
  }

  t.ok(most <= 500 * rules.length)
  t.equal(chooser.overheadBytes, overhead)
})

t.test('ghosts are bounded in count by their table and in bytes by their reach', async (t) => {
  const ghost = new GhostKeys(64)
  for (let key = 0; key < 10_000; key++) ghost.add(mix(key), 10)
  t.equal(ghost.count, 64)

  t.ok(ghost.take(mix(9_999), 100))
  t.notOk(ghost.take(mix(9_999), 100), 'forgotten by being asked for')
  t.notOk(ghost.take(mix(9_980), 100), 'too many bytes ago')

  const known = [9_998, 9_997, 9_996].filter(key => ghost.take(mix(key), 1e9)).length
  ghost.reserve(1000)
  t.ok(known >= 2)
  t.equal(ghost.capacity, 1000)
})

t.test('ghosts stay where their table grows, while others come', async (t) => {
  const ghost = new GhostKeys(4096)
  for (let key = 0; key < 1000; key++) ghost.add(mix(key), 1)
  ghost.reserve(8192)
  t.equal(ghost.capacity, 8192)
  t.ok(ghost.take(mix(999), 1e9), 'not moved yet')
  t.notOk(ghost.take(mix(999), 1e9), 'nor found a second time')

  for (let key = 1000; key < 1100; key++) ghost.add(mix(key), 1)
  // Once more, with the old moment of one that left again meanwhile still to be moved.
  ghost.add(mix(998), 1)
  ghost.reserve(16_384)
  for (let key = 1100; key < 1200; key++) ghost.add(mix(key), 1)
  t.ok(ghost.take(mix(998), 101), 'by the moment that it left last')
  t.ok(ghost.take(mix(5), 1e9))
  t.notOk(ghost.take(mix(6), 100), 'too many bytes ago')

  const found = Array.from({ length: 1200 }, (_, key) => key).filter(key => ghost.take(mix(key), 1e9)).length
  t.ok(found >= 1180, `${found} of 1,197`)
  for (let key = 2000; key < 3000; key++) ghost.add(mix(key), 1)
  t.equal(ghost.overheadBytes, 16_384 * 12)
})

t.test('ghosts are moved as well while items come and none leaves, so that the next wider table finds nothing to be moved', async (t) => {
  const policy = createPolicy<Item>('s3-fifo', { maxBytes: 1e9, maxEntries: Infinity })
  let tables = 0
  let before = 0
  for (let key = 0; key < 60_000; key++) {
    policy.insert({ key, size: 1, group: 0 }, mix(key), 1, 1)
    // It takes less only when one of two tables has nothing more in it.
    if (policy.overheadBytes < before) tables++
    before = policy.overheadBytes
    if (key === 20_000) policy.evict()
  }
  // A quarter wider each time.
  t.ok(tables >= 4, `${tables} tables`)
})

t.test('ghosts stay where there is no memory for a wider table', async (t) => {
  const ghost = new GhostKeys(1024)
  for (let key = 0; key < 500; key++) ghost.add(mix(key), 1)
  const memory = scarceMemory(t)
  for (const nth of [1, 2]) {
    memory.failAt(nth)
    t.throws(() => { ghost.reserve(4096) }, /allocation failed/)
    memory.restore()
  }
  t.equal(ghost.capacity, 1024)
  t.equal(ghost.overheadBytes, 1024 * 12)
  for (let key = 500; key < 510; key++) ghost.add(mix(key), 1)

  const found = Array.from({ length: 510 }, (_, key) => key).filter(key => ghost.take(mix(key), 1e9)).length
  t.ok(found >= 500, `${found} of 510`)
})

t.test('a simulation that has no memory for one more key goes on without it', async (t) => {
  const memory = scarceMemory(t)
  for (const rule of [lru, s3Fifo, wTinyLfu]) {
    const simulation = new KeySimulation(rule, { maxBytes: 1e9, maxEntries: Infinity })
    const failures = memory.failures
    for (let key = 0; key < 2000; key++) {
      memory.failAt(1 + key % 3)
      t.notOk(simulation.request(mix(key), 1))
      memory.restore()
    }
    const missing = 2000 - simulation.count
    t.ok(missing > 5 && missing <= memory.failures - failures, `${missing} of 2,000`)
    const hits = Array.from({ length: 2000 }, (_, key) => simulation.request(mix(key), 1)).filter(isHit => isHit).length
    t.equal(hits, 2000 - missing)
    t.equal(simulation.count, 2000)
  }
})

t.test('gdsf: emptied, it is no larger than at the start', async (t) => {
  const policy = createPolicy<Item>('gdsf', { maxBytes: 1e9, maxEntries: Infinity })
  const fill = (): void => { for (let key = 0; key < 1000; key++) policy.insert({ key, size: 1, group: 0 }, mix(key), 1, 1) }
  const memory = scarceMemory(t)
  fill()
  const before = policy.overheadBytes
  policy.clear()
  memory.failAt(1)
  t.throws(fill, /allocation failed/, 'it has to grow again')
  memory.restore()
  policy.clear()
  fill()
  t.equal(policy.overheadBytes, before)
  t.equal(policy.count, 1000)
})

for (const name of policyNames) {
  t.test(`${name}: where there is no memory to empty it, it goes on as it was or empty`, async (t) => {
    const policy = createPolicy<Item>(name, { maxBytes: 1e9, maxEntries: Infinity })
    const memory = scarceMemory(t)
    let refused = 0
    for (let nth = 1; nth < 50; nth++) {
      for (let key = 0; key < 300; key++) policy.insert({ key, size: 1, group: 0 }, mix(key), 1, 1)
      if (memory.fails(nth, () => { policy.clear() })) refused++
      t.equal(policy.count, policy.bytes)
      for (let key = 0; key < 300; key++) policy.insert({ key, size: 1, group: 0 }, mix(key), 1, 1)
      const held = policy.count
      const left = new Set<Item | null>()
      while (policy.count > 0) left.add(policy.evict())
      if (left.size !== held || left.has(null)) throw new Error('lost')
    }
    t.ok(name === 'lru' || refused > 5)
  })
}

for (const name of ['adaptive', 's3-fifo', 'gdsf'] as const) {
  t.test(`${name}: more items than are copied when there is no more room come, stay and leave once each`, async (t) => {
    const items = Array.from({ length: 70_000 }, (_, key): Item => ({ key, size: 1, group: 0 }))
    const policy = createPolicy<Item>(name, { maxBytes: 1e9, maxEntries: Infinity })
    for (const item of items) policy.insert(item, mix(item.key), 1, 1)
    t.equal(policy.count, 70_000)
    t.ok(items.every(item => policy.has(item)))
    t.ok(policy.remove(items[65_600] as Item))
    policy.insert(items[65_600] as Item, mix(65_600), 1, 1)

    const left = new Set<Item | null>()
    while (policy.count > 0) left.add(policy.evict())
    t.equal(left.size, 70_000)
    t.notOk(left.has(null))
    t.equal(policy.bytes, 0)
  })
}

t.test('a policy remembers of keys that have left no more than it holds, about', async (t) => {
  const policy = createPolicy<Item>('s3-fifo', { maxBytes: 100, maxEntries: Infinity })
  for (let key = 0; key < 20_000; key++) {
    policy.insert({ key, size: 1, group: 0 }, mix(key), 1, 0)
    while (policy.bytes > 100) policy.evict()
  }

  t.ok(policy.statistics().ghosts <= 256, String(policy.statistics().ghosts))
})

t.test('the sketch counts up to 15, forgets by halves, and grows with its counts', async (t) => {
  const sketch = new FrequencySketch(64)
  for (let i = 0; i < 40; i++) sketch.count(1)
  t.equal(sketch.estimate(1), 15)
  t.equal(sketch.estimate(2), 0)

  sketch.reserve(5000)
  t.equal(sketch.estimate(1), 15)

  for (let key = 100; key < 400_000; key++) sketch.count(mix(key))
  t.ok(sketch.estimate(1) < 12)
})

t.test('an item carries its place unseen', async (t) => {
  const item = Object.freeze({ key: 'a' })
  putPlace(item, 7)

  t.equal(placeOf(item), 7)
  t.same(Reflect.ownKeys(item), ['key'])
  t.equal(placeOf({ ...item }), -1, 'a copy has none')
})

t.test('a copy, or an item of another policy, is not taken for one that is held', async (t) => {
  const bounds = { maxBytes: 10, maxEntries: 10 }
  const [a, b] = [new QueuePolicy<Item>(lru, bounds), new QueuePolicy<Item>(lru, bounds)]
  const [one, other] = [{ key: 1, size: 1, group: 0 }, { key: 2, size: 1, group: 0 }]
  a.insert(one, 1, 1)
  b.insert(other, 2, 1)

  t.notOk(a.has(other))
  t.notOk(a.remove({ ...one }))
  t.ok(a.remove(one))
  t.notOk(a.remove(one))
})

t.test('with every item hit, one eviction still takes bounded time', async (t) => {
  for (const rule of [sieve, s3Fifo, s3FifoEager]) {
    const queues = new Queues(rule, { maxBytes: 40_000, maxEntries: Infinity })
    let looks = 0
    const slots = Array.from({ length: 40_000 }, (_, key) => queues.insert(mix(key), 1))
    for (let times = 0; times < 3; times++) for (const slot of slots) queues.touch(slot)
    queues.hits = new Proxy(queues.hits, {
      get (hits, name) {
        looks++
        return Reflect.get(hits, name)
      }
    })
    queues.evict()
    t.ok(looks < 20_000, `${rule.name}: ${looks}`)
  }
})

t.test('recorded traces are read as text, as CSV with and without names, and compressed', async (t) => {
  const folder = t.testdir({
    'plain.txt': '# a comment\n1 /a 100\n2 /b 20\n\n3 /a 100\n',
    'named.csv': 'timestamp,obj_id,obj_size\n1,7,100\n2,8,20\n3,7,100\n',
    'twitter.csv': '1,k,1,99,5,get,0\n2,l,1,19,5,get,0\n3,k,1,99,5,get,0\n',
    'text.gz': gzipSync('1 a 100\n2 b 20\n3 a 100\n'),
    'wrong.txt': '1 a 100\n2 b many\n'
  })
  for (const name of ['plain.txt', 'named.csv', 'twitter.csv', 'text.gz']) {
    const { keys, sizes } = await readTrace(join(folder, name))
    t.same([[...keys], [...sizes]], [[0, 1, 0], [100, 20]], name)
  }
  await t.rejects(readTrace(join(folder, 'wrong.txt')), /wrong\.txt:2/)
  await t.rejects(readTrace(join(folder, 'absent.txt')), { code: 'ENOENT' })
})
