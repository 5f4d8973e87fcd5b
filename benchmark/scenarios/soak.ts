/**
 * Whether a proxy that works for long holds more than in the beginning: requests of all kinds (wrk.lua says which) and
 * clients that leave, until there were `REQUESTS` (10 million), after a tenth as many that fill the cache. Between loads of
 * some seconds the process collects and says what it holds; its resident memory is read all the time.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { waitingConnections } from '../lib/accept-queue.ts'
import type { Bench, Server } from '../lib/bench.ts'
import { startLeavers } from '../lib/leavers.ts'
import { load, loadGenerator } from '../lib/load.ts'
import { hasProcessorTime, resident } from '../lib/processor-time.ts'
import { usualConnections, type OwnScenario } from '../lib/scenario.ts'
import { median } from '../lib/statistics.ts'
import type { Table } from '../lib/table.ts'
import { told } from '../lib/telling.ts'
import type { Held } from '../servers/memory.ts'
import { measurable, type Subject } from '../subjects/subject.ts'

const wanted = Number(process.env['REQUESTS'] ?? 10_000_000)
const warmUp = wanted / 10
/** Full after some seconds. */
const cacheMiB = 32
const seconds = 5
const sampleMs = 500
const leaveEveryMs = 10
const leftBytes = 500_000

interface Sample {
  readonly requests: number
  readonly heapBytes: number
  readonly bufferBytes: number
  readonly residentBytes: number
  readonly files: number
}

interface Soaked {
  readonly samples: readonly Sample[]
  readonly requests: number
  readonly refused: number
  readonly errors: number
  readonly left: number
  /** Connections before the server accepted them, at most. */
  readonly waited: number
}

/** What is told of each load. */
type Loaded = Pick<Soaked, 'refused' | 'errors' | 'waited'>

/** Requests so far are in `done`, so that URLs are new. */
async function soakFor (server: Server, file: string, done: number): Promise<Sample & Loaded> {
  const { spawned, url } = server
  const residents: number[] = []
  const port = Number(new URL(url).port)
  let waited = 0
  const sampling = setInterval(() => {
    residents.push(resident(spawned.pid).now)
    waited = Math.max(waited, waitingConnections(port) ?? 0)
  }, sampleMs)
  try {
    const { requests, refused, errors } = await load({ url, connections: usualConnections, seconds, paths: { kind: 'mix', prefix: `${done}-` } })
    const held = await told<Held>(spawned, file)
    return { requests, refused, errors, waited, ...held, residentBytes: median(residents), files: readdirSync(`/proc/${spawned.pid}/fd`).length }
  } finally {
    clearInterval(sampling)
  }
}

async function soak (subject: Subject, bench: Bench): Promise<Soaked> {
  const file = join(bench.folder, 'held.json')
  const server = await bench.start(subject, { cacheMiB, extensions: [{ file: join(import.meta.dirname, '../servers/memory.ts'), options: { file } }] })
  const leavers = startLeavers(server.url, number => `/stored/${leftBytes}/left-${number}`, leaveEveryMs)
  const samples: Sample[] = []
  let [requests, refused, errors, waited] = [0, 0, 0, 0]
  try {
    for (let done = 0; done < warmUp + wanted;) {
      const sample = await soakFor(server, file, done)
      done += sample.requests
      if (done <= warmUp) continue
      samples.push(sample)
      requests += sample.requests
      refused += sample.refused
      errors += sample.errors
      waited = Math.max(waited, sample.waited)
    }
    return { samples, requests, refused, errors, waited, left: await leavers.stop() }
  } finally {
    await leavers.stop()
    await server.spawned.stop()
  }
}

const columns = ['', 'first third', 'last third', 'growth', 'for each million requests']
const figures = [
  ['heap after a collection, MB', 'heapBytes', 1e6],
  ['buffers after a collection, MB', 'bufferBytes', 1e6],
  ['resident memory, MB', 'residentBytes', 1e6],
  ['open files without load', 'files', 1]
] as const

function rowsOf ({ samples, requests }: Soaked, title: string): string[][] {
  const third = Math.ceil(samples.length / 3)
  // From the middle of the first third to that of the last one.
  const millions = requests * 2 / 3 / 1e6
  return figures.map(([name, key, unit]) => {
    const of = (some: readonly Sample[]): number => median(some.map(sample => sample[key])) / unit
    const [first, last] = [of(samples.slice(0, third)), of(samples.slice(-third))]
    return [`${title}: ${name}`, first.toFixed(1), last.toFixed(1), (last - first).toFixed(1), ((last - first) / millions).toFixed(2)]
  })
}

async function run (bench: Bench): Promise<Table> {
  if (loadGenerator === 'autocannon' || !hasProcessorTime) return { columns, rows: [], notes: ['This needs wrk and /proc'] }
  const rows: string[][] = []
  const notes: string[] = []
  for (const subject of measurable(bench.subjects, ['holdfast'])) {
    const soaked = await soak(subject, bench)
    rows.push(...rowsOf(soaked, subject.title))
    const percent = (count: number): string => `${(100 * count / soaked.requests).toFixed(2)} %`
    notes.push(`${subject.title}: ${soaked.requests} requests in ${soaked.samples.length} loads of ${seconds} s, ${percent(soaked.refused)} answered with an error as they should be (4 % are meant to), ${soaked.errors} connections failed; ${soaked.left} clients left; at most ${soaked.waited} connections waited to be accepted`)
  }
  return { columns, rows, notes }
}

export const soakScenario: OwnScenario = { name: 'soak', title: `Growth of memory over ${wanted} mixed requests, ${cacheMiB} MiB of room`, isLong: true, run }
