/**
 * What a request allocates in the heap of V8, by V8's own sampling of allocations (servers/allocation.ts): unlike times, it
 * is the same in each run. Content of responses that is kept in buffers is not in it.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ask } from '../lib/ask.ts'
import type { Bench } from '../lib/bench.ts'
import { load, type Paths } from '../lib/load.ts'
import { usualConnections, type OwnScenario } from '../lib/scenario.ts'
import type { Table } from '../lib/table.ts'
import { told } from '../lib/telling.ts'
import type { Allocated } from '../servers/allocation.ts'
import { measurable, type Subject } from '../subjects/subject.ts'

/** Code is compiled by then. */
const warmSeconds = 4
const mostFunctions = 12

interface Kind {
  readonly title: string
  readonly path: string
  readonly subjects: readonly string[]
  readonly paths?: Paths
}

const kinds: readonly Kind[] = [
  { title: 'hit', path: '/stored/1024/page', subjects: ['hello', 'raw', 'holdfast', 'holdfast-bare'] },
  { title: 'miss', path: '/passing/1024/page', subjects: ['reply-from', 'holdfast', 'holdfast-bare'] },
  { title: 'storing miss', path: '/stored/1024/first', subjects: ['reply-from', 'holdfast', 'holdfast-bare'], paths: { kind: 'counter', prefix: '/stored/1024/' } }
]

async function measure (subject: Subject, { path, paths }: Kind, bench: Bench): Promise<{ readonly allocated: Allocated, readonly requests: number }> {
  const file = join(bench.folder, 'allocated.json')
  const { url, spawned } = await bench.start(subject, {
    cacheMiB: 64,
    env: { NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, '../servers/allocation.ts')).href}`, ALLOCATION_FILE: file }
  })
  const loaded = (seconds: number, prefix: string): ReturnType<typeof load> =>
    load({ url: `${url}${path}`, connections: usualConnections, seconds, ...paths !== undefined && { paths: { ...paths, prefix: `${paths.prefix}${prefix}` } } })
  try {
    await ask(`${url}${path}`)
    await loaded(warmSeconds, 'warm-')
    await told<Allocated>(spawned, file)
    const { requests } = await loaded(bench.timing.seconds, '')
    return { allocated: await told<Allocated>(spawned, file), requests }
  } finally {
    await spawned.stop()
  }
}

const sum = (allocated: Allocated): number => Object.values(allocated).reduce((total, bytes) => total + bytes, 0)

async function run (bench: Bench): Promise<Table> {
  const rows: string[][] = []
  const notes: string[] = []
  for (const kind of kinds) {
    for (const subject of measurable(bench.subjects, kind.subjects)) {
      const { allocated, requests } = await measure(subject, kind, bench)
      rows.push([kind.title, subject.title, (sum(allocated) / requests).toFixed(0)])
      if (!subject.name.startsWith('holdfast')) continue
      const largest = Object.entries(allocated).sort(([, one], [, other]) => other - one).slice(0, mostFunctions)
      notes.push(`${subject.title}, ${kind.title}, most of it: ${largest.map(([name, bytes]) => `${(bytes / requests).toFixed(0)} ${name}`).join('; ')}`)
    }
  }
  return { columns: ['', '', 'bytes per request'], rows, notes }
}

export const allocation: OwnScenario = { name: 'allocation', title: 'What a request of 1 KiB allocates', run }
