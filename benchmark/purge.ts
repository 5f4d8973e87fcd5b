/**
 * `npm run bench:purge`: how long purges of a cache of a million responses take, and how long the event loop stands still.
 *
 * `ENTRIES` (1000000) says how many. Each has a tag that a hundredth shares and one of its own; the store is filled with
 * entries as the cache makes them, of which only what is the same in all is shared. Where some are gone
 * it is filled up again.
 */
import { cpus, totalmem } from 'node:os'
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'
import { createHttpCache } from '../src/cache/http-cache.ts'
import { createMemoryStore } from '../src/cache/memory-store.ts'
import type { PurgeOptions } from '../src/cache/purging.ts'
import type { Selection } from '../src/cache/selection.ts'
import { makeEntry, placeOf, receivedAt, scope } from '../test/fixtures/entries.ts'

const entries = Number(process.env['ENTRIES'] ?? 1_000_000)
const hosts = 10
const groups = 100

const store = createMemoryStore({ maxBytes: Number.MAX_SAFE_INTEGER, maxEntries: entries, maxVariants: 32 })
const cache = createHttpCache({ store, onFailure: error => { throw error } })
const fields = { 'content-type': 'text/plain', etag: '"1"', 'cache-control': 'max-age=60' }

function fill (): void {
  store.clear()
  for (let i = 0; i < entries; i++) {
    const folder = i % 20 === 0 ? 'news' : 'shop'
    const place = placeOf({ authority: `host-${Math.floor(i * hosts / entries)}.test`, path: `/${folder}/articles/${i}` })
    store.put(makeEntry({ fields, content: 'small', place: { ...place, tags: [`group-${i % groups}`, `page-${i}`] } }), null)
  }
}

const everything: Selection = { kind: 'all', targets: null, tags: null, places: null }
const at = (authority: string | null, prefixes: string[] | null): Selection['places'] => new Map([[scope, { authority, prefixes }]])
const purges: ReadonlyArray<readonly [string, Selection, PurgeOptions]> = [
  [`tag of ${entries / groups}`, { ...everything, kind: 'tag', tags: ['group-7'] }, {}],
  [`tag of ${entries / groups}, soft`, { ...everything, kind: 'tag', tags: ['group-8'] }, { mode: 'soft' }],
  ['100 tags of 1 each', { ...everything, kind: 'tag', tags: Array.from({ length: 100 }, (_, i) => `page-${i}`) }, {}],
  ['path prefix, 5 %', { ...everything, kind: 'prefix', places: at(null, ['/news/']) }, {}],
  ['host, 10 %', { ...everything, kind: 'host', places: at('host-3.test', null) }, {}],
  ['route, all of it', { ...everything, kind: 'route', places: at(null, null) }, {}],
  ['everything, dry run', everything, { dryRun: true }],
  ['everything, soft', everything, { mode: 'soft' }],
  ['everything', everything, {}]
]

const before = process.memoryUsage().heapUsed
fill()
globalThis.gc?.()
const held = process.memoryUsage().heapUsed - before
process.stdout.write(`Node ${process.version}, ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB; ${entries} responses, ${(store.statistics().bytes / 2 ** 20).toFixed(0)} MiB by our count, ${(held / 2 ** 20).toFixed(0)} MiB of heap\n\n`)
process.stdout.write('| purge | responses | ms | ms of CPU | longest turn, ms of CPU | longest stop of the event loop, ms | the same while idle, ms | longest garbage collection, ms |\n|---|---|---|---|---|---|---|---|\n')

/** Where the machine is busy with other things the clock says little: this is what turns of the event loop cost in themselves. */
let longestTurn = 0
const { setImmediate: setTurn } = globalThis
globalThis.setImmediate = ((callback: () => void) => setTurn(() => {
  const before = process.threadCpuUsage()
  callback()
  const { user, system } = process.threadCpuUsage(before)
  longestTurn = Math.max(longestTurn, (user + system) / 1000)
})) as typeof setImmediate

let longestCollection = 0
new PerformanceObserver(list => {
  for (const { duration } of list.getEntries()) longestCollection = Math.max(longestCollection, duration)
}).observe({ entryTypes: ['gc'] })

for (const [title, selection, options] of purges) {
  if (store.statistics().entries < entries) fill()
  globalThis.gc?.()
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  // What the machine itself makes of it, for as long as a purge may take.
  await new Promise(resolve => { setTimeout(resolve, 500) })
  const idle = delay.max
  delay.reset()
  longestCollection = longestTurn = 0
  const cpuBefore = process.threadCpuUsage()
  const startedAt = performance.now()
  const { responses } = await cache.purge(selection, options, receivedAt + 1000)
  const took = performance.now() - startedAt
  const { user, system } = process.threadCpuUsage(cpuBefore)
  await new Promise(resolve => { setTimeout(resolve, 20) })
  delay.disable()
  process.stdout.write(`| ${title} | ${responses} | ${took.toFixed(1)} | ${((user + system) / 1000).toFixed(1)} | ${longestTurn.toFixed(1)} | ${(delay.max / 1e6).toFixed(1)} | ${(idle / 1e6).toFixed(1)} | ${longestCollection.toFixed(1)} |\n`)
}
