import { PerformanceObserver, constants } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import t, { type Test } from 'tap'
import { beginCollection, collectByLimit, Garbage } from '../../src/cache/garbage.ts'

/** Counts collections of everything, not of the young objects alone. */
function countCollections (t: Test): { readonly count: number } {
  const counted = { count: 0 }
  const observer = new PerformanceObserver(list => {
    for (const { detail } of list.getEntries() as unknown as Array<{ detail: { kind: number } }>) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) counted.count++
  })
  observer.observe({ entryTypes: ['gc'] })
  t.teardown(() => { observer.disconnect() })
  return counted
}

const pause = async (ms: number): Promise<void> => { await new Promise(resolve => { setTimeout(resolve, ms) }) }

async function testBegin (t: Test): Promise<void> {
  const collections = countCollections(t)
  // What was begun before is not this one's.
  for (let quiet = 0; quiet < 5; quiet++) await pause(20)
  const before = collections.count

  beginCollection()
  for (let turns = 0; turns < 2000 && collections.count === before; turns++) await pause(1)

  t.ok(collections.count > before)
}

t.test('asked to begin a collection, V8 does so, of everything and not of the young objects alone', testBegin)

t.test('a small bound does not make it collect for every few megabytes', async t => {
  let collections = 0
  const garbage = new Garbage(1000, () => { collections++ })
  for (let i = 0; i < 16; i++) garbage.add(2 ** 20 - 1)
  t.equal(collections, 0)
  garbage.add(16)
  t.equal(collections, 1)
  garbage.add(16)
  t.equal(collections, 1)
})

/** How often V8 collects while a gigabyte of content comes, of which nothing leaves; never touched, so that the system has none of it to give. */
async function collectionsWhileFilling (t: Test): Promise<number> {
  await pause(100)
  const collections = countCollections(t)
  const kept: Buffer[] = []
  for (let i = 0; i < 256; i++) {
    kept.push(Buffer.allocUnsafeSlow(4 * 2 ** 20))
    await pause(1)
  }
  await pause(100)
  t.equal(kept.length, 256)
  for (const { buffer } of kept) (buffer as ArrayBuffer).transfer(0)
  return collections.count
}

t.test('where V8 collects by one limit for all memory', { skip: !process.versions.v8.startsWith('13.6.') && 'another V8' }, async t => {
  // As in a store of small responses: the limit is by what there is.
  const heap = Array.from({ length: 100 }, () => new Array<number>(200_000).fill(1))
  const byGrowth = await collectionsWhileFilling(t)
  t.notOk(collectByLimit(2 ** 28), 'not beside a small store')
  t.notOk(collectByLimit(getHeapStatistics().heap_size_limit + 1), 'nor where content may come above the highest limit that there is')
  t.ok(collectByLimit(2 ** 30))
  const byLimit = await collectionsWhileFilling(t)

  t.equal(heap.length, 100)
  t.ok(byLimit < byGrowth, `it does so less often (${byLimit} times, ${byGrowth} by growth)`)
  await t.test('and a collection can be begun all the same', testBegin)
  await t.test('and another one', testBegin)
})
