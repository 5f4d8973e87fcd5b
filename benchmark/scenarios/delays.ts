/**
 * How long the event loop of Holdfast stands still while it does something large, as the process itself sees it
 * (servers/watch.ts). Once each: a single process, whose longest turn in processor time says more than the clock.
 */
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from '../lib/ask.ts'
import type { Bench, Server } from '../lib/bench.ts'
import { preloaded } from '../lib/compare.ts'
import { load, type Load } from '../lib/load.ts'
import type { OwnScenario } from '../lib/scenario.ts'
import { figure, type Table } from '../lib/table.ts'
import { told, until } from '../lib/telling.ts'
import type { Watched } from '../servers/watch.ts'
import { configurationOf } from '../subjects/holdfast.ts'
import { measurable, type Settings, type Subject } from '../subjects/subject.ts'

const restMs = 2000
const snapshotSeconds = 10
const pause = (ms: number): Promise<void> => new Promise(resolve => { setTimeout(resolve, ms) })

interface Case {
  readonly title: string
  readonly settings?: Settings
  readonly act: (server: Server, subject: Settings, bench: Bench) => Promise<unknown>
}

async function post (server: Server, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${server.adminUrl}${path}`, { method: 'POST', ...body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) } })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`)
  return JSON.parse(text)
}

let stores = 0
const store = (server: Server, bytes: number, connections: number): Promise<Load> =>
  load({ url: `${server.url}/stored/${bytes}/0`, paths: { kind: 'counter', prefix: `/stored/${bytes}/new-${stores++}-` }, connections, seconds: 4 })

/** Stores as many bytes as there is room for. */
async function storeAll (server: Server, room: number, bytes: number, connections: number): Promise<void> {
  for (let left = room; left > 0;) left -= (await store(server, bytes, connections)).requests * bytes
}

const cases: readonly Case[] = [
  { title: 'at rest, 100,000 stored', settings: { preload: 100_000 }, act: () => pause(restMs) },
  { title: 'responses of 100 MB are recorded', settings: { cacheMiB: 2048, cache: { maxResponseBytes: 100_000_000 } }, act: server => store(server, 100_000_000, 4) },
  { title: '1 GB of responses of 1 KiB gives way to ones of 100 KiB', settings: { preload: 600_000, cacheMiB: 1024 }, act: server => storeAll(server, 2 ** 30, 102_400, 64) },
  // What of that is storing, as fast as it goes, with nothing evicted.
  { title: '1 GB of responses of 100 KiB comes beside them', settings: { preload: 600_000, cacheMiB: 4096 }, act: server => storeAll(server, 2 ** 30, 102_400, 64) },
  { title: '1 GB of responses of 1 KiB gives way to ones of 100 MB', settings: { preload: 600_000, cacheMiB: 1024, cache: { maxResponseBytes: 100_000_000 } }, act: server => storeAll(server, 2 ** 30, 100_000_000, 4) },
  {
    title: '100,000 responses are purged by a prefix',
    settings: { preload: 100_000 },
    async act (server) {
      const { responses } = await post(server, '/cache/purge', { prefix: '/stored/1024/', host: new URL(server.url).host }) as { responses: number }
      if (responses < 100_000) throw new Error(`only ${responses} were purged`)
    }
  },
  {
    title: 'a snapshot of 200,000 is written',
    settings: { preload: 200_000, cacheMiB: 512, cache: { snapshot: { file: 'snapshot', interval: `${snapshotSeconds}s` } } },
    async act ({ folder }) {
      const file = join(folder, 'snapshot')
      // One that was begun before is not of all of them.
      await until(() => existsSync(file) && statSync(file).size > 200_000 * 1024, 'the snapshot')
    }
  },
  {
    title: '1,000 routes are reloaded',
    settings: { routes: 1000 },
    async act (server, settings, { origin }) {
      const file = join(server.folder, 'holdfast.json')
      const port = (url: string): number => Number(new URL(url).port)
      const configuration = configurationOf({ origin, settings: { ...settings, routes: 999 }, certificate: null }, true, port(server.url), port(server.adminUrl as string))
      writeFileSync(file, JSON.stringify(configuration))
      await post(server, '/reload')
    }
  }
]

async function measure (subject: Subject, { title, settings = {}, act }: Case, bench: Bench): Promise<string[]> {
  const file = join(bench.folder, 'watched.json')
  const all = { ...settings, extensions: [{ file: join(import.meta.dirname, '../servers/watch.ts'), options: { file } }] }
  const server = await bench.start(subject, all)
  try {
    await ask(`${server.url}/stored/1024/first`)
    await preloaded(server.url, settings.preload ?? 0)
    await pause(500)
    await told<Watched>(server.spawned, file)
    const startedAt = performance.now()
    await act(server, all, bench)
    const took = performance.now() - startedAt
    const { median, p99, longest, longestTurn } = await told<Watched>(server.spawned, file)
    return [[subject.title, title].join(': '), figure(took), figure(median), figure(p99), figure(longest), figure(longestTurn)]
  } finally {
    await server.spawned.stop()
  }
}

async function run (bench: Bench): Promise<Table> {
  const rows: string[][] = []
  const notes: string[] = []
  for (const one of cases) {
    for (const subject of measurable(bench.subjects, ['holdfast'])) {
      try {
        rows.push(await measure(subject, one, bench))
      } catch (error) {
        notes.push(`${subject.title}: ${one.title}: ${(error as Error).message}`)
      }
    }
  }
  return { columns: ['', 'took ms', 'delay ms: median', '99 %', 'longest', 'longest turn, ms of CPU'], rows, notes }
}

export const delays: OwnScenario = { name: 'delays', title: 'Delays of the event loop', run, isLong: true }
