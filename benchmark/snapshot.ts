/**
 * `npm run bench:snapshot`: how long a snapshot takes to write and to load, how large it is, and how long the event loop
 * stands still meanwhile.
 *
 * `ENTRIES` (200000) of 1 KiB of content each, with the fields of an ordinary response; `FOLDER` is where the file is (the
 * system's temporary folder). The delay is measured at rest first, for what the machine itself adds.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createHttpCache, type HttpCache } from '../src/cache/http-cache.ts'
import { createMemoryStore, type MemoryStore } from '../src/cache/memory-store.ts'
import { createSnapshots, type Snapshots } from '../src/snapshot/snapshots.ts'
import { makeEntry, placeOf, scope } from '../test/fixtures/entries.ts'

const entries = Number(process.env['ENTRIES'] ?? 200_000)
const contentBytes = 1024
const now = Date.now()
const folder = mkdtempSync(join(process.env['FOLDER'] ?? tmpdir(), 'holdfast-bench-'))

function createCache (): { readonly store: MemoryStore, readonly cache: HttpCache, readonly snapshots: Snapshots } {
  const store = createMemoryStore({ maxBytes: 2 ** 36, maxEntries: entries, maxVariants: 32 })
  const cache = createHttpCache({ store, onFailure: error => { throw error }, onRemoval: key => { snapshots.noteRemoval(key) } })
  const log = { info () {}, warn (details: object) { throw new Error(JSON.stringify(details)) } }
  const snapshots = createSnapshots({ file: join(folder, 'snapshot'), intervalMs: 0, cache, log, now: () => now, scopes: () => new Map([[scope, { noVarySearch: true }]]) })
  return { store, cache, snapshots }
}

function fill (store: MemoryStore): void {
  for (let i = 0; i < entries; i++) {
    store.put(makeEntry({
      fields: { date: new Date(now).toUTCString(), 'content-type': 'application/json; charset=utf-8', etag: `"${i}"`, 'cache-control': 'max-age=3600', vary: 'accept-encoding' },
      content: Buffer.alloc(contentBytes, `${i} `),
      head: { requestFields: { 'accept-encoding': 'gzip, br' }, requestedAt: now, receivedAt: now, freshnessLifetime: 3600 },
      place: placeOf({ path: `/articles/${i}` })
    }), null)
  }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => { setTimeout(resolve, ms) })

async function measure (title: string, act: () => Promise<unknown>): Promise<void> {
  globalThis.gc?.()
  await pause(100)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await pause(20)
  delay.reset()
  const stopCounting = countTurns()
  const startedAt = performance.now()
  await act()
  const took = performance.now() - startedAt
  const longestTurn = stopCounting()
  await pause(20)
  delay.disable()
  process.stdout.write(`| ${title} | ${took.toFixed(0)} | ${(delay.percentile(50) / 1e6).toFixed(1)} | ${(delay.percentile(99) / 1e6).toFixed(1)} | ${(delay.max / 1e6).toFixed(1)} | ${longestTurn.toFixed(1)} |\n`)
}

/** The most CPU that one round of the event loop took: where the machine is busy with other things the clock says little. */
function countTurns (): () => number {
  let longest = 0
  let before = process.threadCpuUsage()
  let isOver = false
  setImmediate(function turn () {
    const { user, system } = process.threadCpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.threadCpuUsage()
    if (!isOver) setImmediate(turn)
  })
  return () => {
    isOver = true
    return longest
  }
}

try {
  process.stdout.write(`Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB; ${entries} responses of ${contentBytes} bytes\n\n`)
  process.stdout.write('| | ms | event loop delay, ms: median | 99 % | longest | longest turn, ms of CPU |\n|---|---|---|---|---|---|\n')
  const first = createCache()
  await first.snapshots.load()
  fill(first.store)
  await measure('at rest', () => pause(1000))
  await measure('write', () => first.snapshots.close())
  const { bytes } = first.snapshots.statistics()
  first.cache.clear()
  const second = createCache()
  await measure('load', () => second.snapshots.load())
  process.stdout.write(`\nLoaded ${second.snapshots.statistics().loaded} of ${entries}; the file has ${(bytes / 2 ** 20).toFixed(0)} MiB, ${(bytes / entries).toFixed(0)} bytes for each.\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
