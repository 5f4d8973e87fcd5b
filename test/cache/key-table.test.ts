/** The hash table behind the key index: it does what a Map does, also while it is walked. */
import fc from 'fast-check'
import t from 'tap'
import { KeyTable } from '../../src/cache/key-table.ts'
import { keyedHash } from '../../src/cache/keyed-hash.ts'
import { scarceMemory } from '../fixtures/scarce-memory.ts'

interface Value { readonly key: string, readonly number: number }

const keyOf = ({ key }: Value): string => key

t.test('property: it holds what a Map holds after the same operations', async t => {
  const key = fc.oneof(fc.constantFrom('a', 'b', '', 'x'.repeat(1000)), fc.string({ maxLength: 20, unit: 'binary' }), fc.nat(50).map(String))
  const operation = fc.oneof(
    { weight: 8, arbitrary: fc.record({ name: fc.constantFrom('set' as const, 'delete' as const), key, number: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant({ name: 'clear' as const }) }
  )
  fc.assert(fc.property(fc.array(operation, { maxLength: 100 }), operations => {
    const [map, table] = [new Map<string, Value>(), new KeyTable<Value>(keyOf)]
    for (const operation of operations) {
      if (operation.name === 'clear') {
        map.clear()
        table.clear()
      } else if (operation.name === 'set') {
        map.set(operation.key, operation)
        table.set(operation)
      } else if (map.delete(operation.key) !== table.delete(operation.key)) {
        return false
      }
    }
    const values = [...table.values()]
    return map.size === table.size && values.length === map.size && values.every(value => map.get(value.key) === value) &&
      operations.every(operation => !('key' in operation) || table.get(operation.key) === map.get(operation.key))
  }))
  t.pass()
})

t.test('property: pieces that are nearly full lose nothing when some go and others come', async t => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(3000)), { minLength: 2000, maxLength: 6000 }), fc.integer(), fc.integer(), (steps, first, second) => {
    const [map, table] = [new Map<string, Value>(), new KeyTable<Value>(keyOf, undefined, [first, second])]
    for (const [isSet, number] of steps) {
      const key = `/articles/${number}`
      if (isSet) {
        const value = { key, number }
        map.set(key, value)
        table.set(value)
      } else if (map.delete(key) !== table.delete(key)) {
        return false
      }
    }
    for (let number = 0; number <= 3000; number++) if (table.get(`/articles/${number}`) !== map.get(`/articles/${number}`)) return false
    return table.size === map.size
  }), { numRuns: 20 })
  t.pass()
})

t.test('property: a walk comes by once at each value that is there from its beginning to its end, whatever comes and goes meanwhile', async t => {
  fc.assert(fc.property(fc.array(fc.nat(9000), { minLength: 1, maxLength: 300 }), fc.array(fc.nat(9000), { maxLength: 300 }), fc.nat(4), (doomed, added, pace) => {
    const table = new KeyTable<Value>(keyOf)
    for (let number = 0; number < 9000; number++) table.set({ key: `/${number}`, number })
    const seen = new Map<string, number>()
    let step = 0
    for (const { key } of table.values()) {
      seen.set(key, (seen.get(key) ?? 0) + 1)
      if (step++ % (pace + 1) !== 0) continue
      const [out, more] = [doomed[step % doomed.length], added[step % Math.max(1, added.length)]]
      if (out !== undefined) table.delete(`/${out}`)
      if (more !== undefined) table.set({ key: `/new/${more}`, number: more })
    }
    const gone = new Set(doomed)
    for (let number = 0; number < 9000; number++) if (!gone.has(number) && seen.get(`/${number}`) !== 1) return false
    return true
  }), { numRuns: 30 })
  t.pass()
})

t.test('a walk ends when all is dropped', async t => {
  const table = new KeyTable<Value>(keyOf)
  for (let number = 0; number < 10; number++) table.set({ key: `/${number}`, number })
  let steps = 0
  for (const { key } of table.values()) {
    steps++
    if (key === '/3') table.clear()
  }
  t.equal(steps, 4)
})

t.test('the last value of a table is not passed by when another takes its place while it is walked', async t => {
  const table = new KeyTable<Value>(keyOf)
  for (let number = 0; number < 10; number++) table.set({ key: `/${number}`, number })
  const walked: number[] = []
  for (const { key, number } of table.values()) {
    walked.push(number)
    if (number < 9) table.delete(key)
    if (number !== 8) continue
    table.delete('/9')
    table.set({ key: '/9', number: 99 })
  }
  t.same(walked, [0, 1, 2, 3, 4, 5, 6, 7, 8, 99])
})

t.test('hashes are those of HalfSipHash-1-3: the vectors of Linux (lib/tests/siphash_kunit.c)', async t => {
  const vectors = [0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6, 0x577999b1, 0xc839caed]
  vectors.forEach((expected, length) => {
    const text = String.fromCharCode(...Array.from({ length }, (_, i) => i))
    t.equal(keyedHash(text, [0x03020100, 0x07060504]) >>> 0, expected, `of ${length} octets`)
  })
})

t.test('keys as the cache makes them are spread, wherever they differ', async t => {
  const rows: ReadonlyArray<[string, (i: number) => string]> = [
    ['at the end', i => `7,4,6,14,0 route.1 http://a.test/articles/${i}`],
    ['in the middle', i => `7,4,6,14,0 route.1 http://a.test/articles/${i}/and/more?color=red ["gold","de",""]`],
    ['in one octet', i => `${'x'.repeat(i % 100)}${String.fromCharCode(128 + i / 100)}${'x'.repeat(100 - i % 100)}`]
  ]
  for (const [title, textOf] of rows) {
    const hashes = new Set<number>()
    const pieces = new Map<number, number>()
    for (let i = 0; i < 10_000; i++) {
      const hash = keyedHash(textOf(i), [1, 2])
      hashes.add(hash)
      pieces.set(hash & 63, (pieces.get(hash & 63) ?? 0) + 1)
    }
    // Of 10,000 of 32 bits that are drawn, some 0.01 pairs are the same.
    t.ok(hashes.size > 9990 && pieces.size === 64 && Math.max(...pieces.values()) < 250, `${title}: ${hashes.size} hashes, at most ${Math.max(...pieces.values())} of 10,000 in one of 64 pieces`)
  }
})

t.test('the last one goes, and others come, where there is no memory to begin anew', async t => {
  const table = new KeyTable<Value>(keyOf)
  const memory = scarceMemory(t)
  for (let times = 0; times < 3; times++) {
    for (let number = 0; number < 5000; number++) table.set({ key: `/${number}`, number })
    memory.failAt(1)
    for (let number = 0; number < 5000; number++) if (!table.delete(`/${number}`)) throw new Error('not deleted')
    memory.restore()
    t.equal(table.size, 0)
    t.strictSame([...table.values()], [])
  }
  t.equal(memory.failures, 3)
})
