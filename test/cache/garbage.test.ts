import { PerformanceObserver, constants } from 'node:perf_hooks'
import t from 'tap'
import { beginCollection, Garbage } from '../../src/cache/garbage.ts'

t.test('asked to begin a collection, V8 does so, of everything and not of the young objects alone', async t => {
  let collections = 0
  const observer = new PerformanceObserver(list => {
    for (const { detail } of list.getEntries() as unknown as Array<{ detail: { kind: number } }>) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) collections++
  })
  observer.observe({ entryTypes: ['gc'] })
  t.teardown(() => { observer.disconnect() })
  // What was begun before is not this one's.
  for (let quiet = 0; quiet < 5; quiet++) await new Promise(resolve => { setTimeout(resolve, 20) })
  collections = 0

  beginCollection()
  for (let turns = 0; turns < 2000; turns++) {
    if (collections > 0) break
    await new Promise(resolve => { setTimeout(resolve, 1) })
  }
  t.ok(collections > 0)
})

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
