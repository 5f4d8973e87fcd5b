/** A map in pieces: it does what a Map does, and its pieces stay small. */
import fc from 'fast-check'
import t from 'tap'
import { pieceOf, ShardedMap } from '../../src/cache/sharded-map.ts'

t.test('property: it holds what a Map holds after the same operations', async t => {
  const key = fc.oneof(fc.constantFrom('a', 'b', '', 'x'.repeat(1000)), fc.string({ maxLength: 200 }))
  const operation = fc.oneof(
    { weight: 8, arbitrary: fc.record({ name: fc.constantFrom('set' as const, 'delete' as const), key, value: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant({ name: 'clear' as const }) }
  )
  fc.assert(fc.property(fc.array(operation, { maxLength: 60 }), operations => {
    const [map, sharded] = [new Map<string, number>(), new ShardedMap<number>()]
    for (const operation of operations) {
      if (operation.name === 'clear') for (const one of [map, sharded]) one.clear()
      else if (operation.name === 'set') for (const one of [map, sharded]) one.set(operation.key, operation.value)
      else if (map.delete(operation.key) !== sharded.delete(operation.key)) return false
    }
    return map.size === sharded.size && [...map].every(([key, value]) => sharded.get(key) === value) &&
      [...map.values()].sort().join() === [...sharded.values()].sort().join()
  }))
  t.pass()
})

t.test('keys as the cache makes them are spread over the pieces, wherever they differ', async t => {
  const rows: ReadonlyArray<[string, (i: number) => string]> = [
    ['at the end', i => `7,4,6,14,0 route.1 http://a.test/articles/${i}`],
    ['in the middle', i => `7,4,6,14,0 route.1 http://a.test/articles/${i}/and/more?color=red ["gold","de",""]`],
    ['at the beginning of a long one', i => `7,4,6,14,0 route.1 http://host-${i}.test/${'long/'.repeat(200)}`],
    ['behind what is long', i => `7,4,6,14,0 route.1 http://a.test/${'long/'.repeat(200)}${i * 7919}`],
    ['in letters', i => `tag ${i.toString(36)}`]
  ]
  for (const [title, keyOf] of rows) {
    const counts = new Map<number, number>()
    for (let i = 0; i < 10_000; i++) counts.set(pieceOf(keyOf(i)), (counts.get(pieceOf(keyOf(i))) ?? 0) + 1)
    t.ok(counts.size > 32 && Math.max(...counts.values()) < 400, `${title}: ${counts.size} pieces, at most ${Math.max(...counts.values())} keys in one`)
  }
})
