/**
 * What an operation of a policy costs, in nanoseconds of processor time (items chosen at random, so that memory is part of it), with 10, 10^4 and 10^6 items held, and bytes of memory for each item at 10^6: beside
 * an `lru-cache` by number, which is what the items' own places are measured against.
 *
 * `node --expose-gc benchmark/eviction/operations.ts`
 */
import { LRUCache } from 'lru-cache'
import { createPolicy } from '../../src/cache/eviction/create-policy.ts'
import { policyNames } from '../../src/cache/eviction/policy.ts'
import { mix } from './random.ts'

interface Item { readonly key: number }
interface Subject { insert (item: Item): void, touch (item: Item): void }

const counts = [10, 10_000, 1_000_000]
const rounds = 1_000_000
const collect = globalThis.gc ?? (() => {})

function subjectOf (name: string, maxEntries: number): Subject {
  if (name === 'lru-cache by key') {
    const cache = new LRUCache<number, Item>({ maxSize: maxEntries })
    return { insert: item => { cache.set(item.key, item, { size: 1 }) }, touch: item => { cache.get(item.key) } }
  }
  const policy = createPolicy<Item>(name as (typeof policyNames)[number], { maxBytes: maxEntries * 1000, maxEntries })
  return {
    insert (item) {
      policy.insert(item, mix(item.key), 1000, 1)
      while (policy.count > maxEntries) policy.evict()
    },
    touch: item => { policy.touch(item) }
  }
}

function nanoseconds (operations: number, act: (i: number) => void): string {
  // Time of this process, not of the clock on the wall: others may be at work on the same core.
  const start = process.cpuUsage()
  for (let i = 0; i < operations; i++) act(i)
  return String(Math.round(process.cpuUsage(start).user * 1000 / operations))
}

function usedBytes (): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

process.stdout.write(`Node ${process.version}\n\n| policy | items | touch, ns | insert and evict, ns | bytes an item |\n|---|---|---|---|---|\n`)
for (const name of [...policyNames, 'lru-cache by key']) {
  for (const count of counts) {
    const items: Item[] = Array.from({ length: count }, (_, key) => ({ key }))
    const before = usedBytes()
    const subject = subjectOf(name, count)
    for (const item of items) subject.insert(item)
    const bytes = (usedBytes() - before) / count
    const touch = nanoseconds(rounds, i => { subject.touch(items[(mix(i) >>> 1) % count] as Item) })
    const insert = nanoseconds(rounds, i => { subject.insert({ key: count + i }) })
    process.stdout.write(`| ${name} | ${count} | ${touch} | ${insert} | ${count < 1000 ? '' : Math.round(bytes)} |\n`)
  }
}
