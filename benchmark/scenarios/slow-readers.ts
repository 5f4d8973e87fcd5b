/**
 * The memory of a proxy whose clients read large responses slowly: what one of them costs, at most. Clients take a little
 * at a time, until each has all of it. `READERS` (50), `MEGABYTES` (40) and `PAUSE_MS` (10) say how many, much and slow.
 *
 * Before that the proxy has had ordinary load: a young heap and Node's own pages grow once, whoever comes.
 */
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { ask } from '../lib/ask.ts'
import type { Bench } from '../lib/bench.ts'
import { hasProcessorTime, resident } from '../lib/processor-time.ts'
import { load } from '../lib/load.ts'
import { usualConnections, type OwnScenario } from '../lib/scenario.ts'
import type { Table } from '../lib/table.ts'
import { measurable, type Subject } from '../subjects/subject.ts'

const readers = Number(process.env['READERS'] ?? 50)
const bytes = Number(process.env['MEGABYTES'] ?? 40) * 1_000_000
const pauseMs = Number(process.env['PAUSE_MS'] ?? 10)
const sampleMs = 200
const warmUpSeconds = 3
const megabytes = (count: number, digits = 0): string => (count / 1_000_000).toFixed(digits)

/** Bytes that came, head and content. */
function readSlowly (url: string): Promise<number> {
  const { protocol, hostname, port, host, pathname } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = protocol === 'https:' ? connectTls({ port: Number(port), host: hostname, rejectUnauthorized: false }) : connect(Number(port), hostname)
    let seen = 0
    socket.on('data', chunk => {
      seen += chunk.length
      socket.pause()
      setTimeout(() => { socket.resume() }, pauseMs)
    })
    socket.once('error', reject)
    socket.once('close', () => { resolve(seen) })
    // The host is in the cache key: as `ask` has it.
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
  })
}

async function measure (subject: Subject, kind: Kind, tls: boolean, bench: Bench): Promise<{ readonly cells: string[], readonly whole: number }> {
  const { url, spawned } = await bench.start(subject, { tls, cache: { maxResponseBytes: bytes } })
  const { first, path, sharedBytes } = kinds[kind]
  try {
    // What is allocated once does not count.
    await load({ url: `${url}/passing/1024/warm-up`, connections: usualConnections, seconds: warmUpSeconds })
    for (let times = 0; times < 3; times++) await ask(url + first)
    const { now: before } = resident(spawned.pid)
    let sum = 0
    let samples = 0
    const sampling = setInterval(() => {
      sum += resident(spawned.pid).now
      samples++
    }, sampleMs)
    const seen = await Promise.all(Array.from({ length: readers }, (_, i) => readSlowly(`${url}${path}${kind === 'passing' ? i : ''}`)))
    clearInterval(sampling)
    const { most } = resident(spawned.pid)
    return {
      cells: [megabytes(before), megabytes(sum / samples), megabytes(most), megabytes((most - before - sharedBytes) / readers, 2)],
      whole: seen.filter(count => count > bytes).length
    }
  } finally {
    await spawned.stop()
  }
}

type Kind = 'passing' | 'stored' | 'coming'

/** What is asked for first, and what all read then: each a response of his own, or all the same one. */
const kinds = {
  passing: { title: 'misses', first: `/passing/${bytes}/`, path: `/passing/${bytes}/`, sharedBytes: 0 },
  stored: { title: 'hits', first: `/stored/${bytes}/here`, path: `/stored/${bytes}/here`, sharedBytes: 0 },
  // What is stored of it is not the readers'.
  coming: { title: 'one response on its way into the store', first: `/passing/${bytes}/`, path: `/stored/${bytes}/coming`, sharedBytes: bytes }
}
const measured: ReadonlyArray<readonly [string, Kind, 'TLS'?]> = [
  ['reply-from', 'passing'],
  ['holdfast', 'passing'], ['holdfast', 'stored'], ['holdfast', 'coming'],
  ['holdfast', 'passing', 'TLS'], ['holdfast', 'stored', 'TLS'],
  ['haproxy', 'passing'], ['haproxy', 'passing', 'TLS']
]

async function run (bench: Bench): Promise<Table> {
  const columns = ['', 'before, MB', 'on average', 'at most', 'for each reader, at most']
  if (!hasProcessorTime) return { columns, rows: [], notes: ['There is no /proc here to read memory from'] }
  const rows: string[][] = []
  const notes: string[] = []
  for (const [name, kind, tls] of measured) {
    for (const subject of measurable(bench.subjects, [name])) {
      const { cells, whole } = await measure(subject, kind, tls === 'TLS', bench)
      const title = `${subject.title}, ${kinds[kind].title}${tls === undefined ? '' : ', TLS'}`
      rows.push([title, ...cells])
      if (whole < readers) notes.push(`${title}: only ${whole} of ${readers} readers got all of it`)
    }
  }
  return { columns, rows, notes }
}

export const slowReaders: OwnScenario = { name: 'slow-readers', title: `Resident memory while ${readers} clients read ${megabytes(bytes)} MB each, slowly`, run }
