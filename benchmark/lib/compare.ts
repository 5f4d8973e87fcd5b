/**
 * Measures the rows of a scenario in turns, so that what else happens on the machine happens to all of them. Processes of the same
 * program differ by up to a fifth, as their memory happens to lie: each server is started several times, and rounds go around.
 */
import type { Subject } from '../subjects/subject.ts'
import { ask, originCount } from './ask.ts'
import type { Bench, Server } from './bench.ts'
import { load } from './load.ts'
import { processorTime } from './processor-time.ts'
import { usualConnections, type LoadScenario, type Row } from './scenario.ts'
import { median } from './statistics.ts'
import { figure, ratio, type Table } from './table.ts'

interface Measured {
  readonly row: Row
  readonly title: string
  /** The same server, started several times. */
  readonly servers: readonly Server[]
  readonly isNode: boolean
  readonly perSecond: number[]
  /** Microseconds of processor time of the server for a request. */
  readonly costs: number[]
  readonly p50Us: number[]
  readonly p99Us: number[]
  /** Requests, and those of them that the origin server got. */
  requests: number
  forwarded: number
  failed: number
  readonly aloneUs: number[]
}

/** What one load asks of a server in a row: URLs of a counter are new in each. */
let loads = 0
/** Of requests that may reach the origin server although they should not, or the other way: those at the edges of a round. */
const tolerance = 0.01
const patienceMs = 60_000
/** V8 compiles what is used much, in time, on the core that answers: so many requests before the first that counts, or so many seconds. */
const warmUpRequests = 200_000
const warmUpSeconds = 12
/** Of each measurement: what a server needs to be as fast again as before it had nothing to do. */
const wakeUpSeconds = 3
const fillSeconds = 5
/** With more of them, starting takes longer than measuring, and memory for several may be missing. */
const mostPreloaded = 100_000

export async function compare (scenario: LoadScenario, bench: Bench): Promise<Table> {
  const timing = { ...bench.timing, seconds: Math.max(bench.timing.seconds, scenario.leastSeconds ?? 0) }
  return await compareRows(scenario, { ...bench, timing })
}

async function compareRows (scenario: LoadScenario, bench: Bench): Promise<Table> {
  const notes = [...scenario.notes ?? []]
  const servers = new Map<string, Server[]>()
  const measured: Measured[] = []
  try {
    for (const { row, subject } of rowsOf(scenario, bench)) {
      const title = [subject.title, row.title].filter(part => part !== undefined).join(', ')
      try {
        if (subject.missing !== null) continue
        const key = JSON.stringify([subject.name, row.settings])
        const started = servers.get(key) ?? []
        servers.set(key, started)
        for (let instance = started.length; instance < instancesOf(row, bench); instance++) started.push(await bench.start(subject, row.settings))
        const problem = await firstProblem(started, row, subject)
        if (problem !== null) notes.push(`${title}: ${problem}`)
        else measured.push({ row, title, servers: started, isNode: subject.version === process.version, perSecond: [], costs: [], p50Us: [], p99Us: [], requests: 0, forwarded: 0, failed: 0, aloneUs: [] })
      } catch (error) {
        notes.push(`${title}: ${(error as Error).message}`)
      }
    }
    for (const one of measured) {
      for (const server of one.servers) await warmUp(one, server, scenario, bench)
    }
    for (let round = 0; round < bench.timing.rounds; round++) {
      for (const one of measured) {
        // One that fails is missing among the rounds; the others count.
        await measure(one, one.servers[round % one.servers.length] as Server, bench).catch((error: unknown) => { notes.push(`${one.title}, a round: ${(error as Error).message}`) })
      }
    }
  } finally {
    await Promise.all([...servers.values()].flat().map(async ({ spawned }) => { await spawned.stop() }))
  }
  return tableOf(measured, notes, scenario.alone === true)
}

/** Other revisions of this project stand beside it, wherever it stands. */
function rowsOf ({ rows }: LoadScenario, { subjects, revisions }: Bench): Array<{ readonly row: Row, readonly subject: Subject }> {
  return rows.flatMap(row => {
    const names = [row.subject, ...revisions.map(({ label }) => `${row.subject}@${label}`)]
    return subjects.filter(({ name }) => names.includes(name)).map(subject => ({ row, subject }))
  })
}

function instancesOf ({ settings }: Row, { timing: { instances, rounds } }: Bench): number {
  return (settings?.preload ?? 0) > mostPreloaded ? 1 : Math.min(instances, rounds)
}

async function firstProblem (servers: readonly Server[], row: Row, subject: Subject): Promise<string | null> {
  for (const server of servers) {
    const problem = await prepare(server, row, subject)
    if (problem !== null) return problem
  }
  return null
}

/** Asks for what has to be stored, and sees that the answer is what is to be measured; what is wrong, or null. */
async function prepare ({ url }: Server, { asked, settings }: Row, { isOurs }: Subject): Promise<string | null> {
  for (const fields of asked.first ?? []) await ask(url + asked.path, fields)
  await (isOurs ? preloaded : fill)(url, settings?.preload ?? 0)
  // The second time it is stored, where it may be.
  for (let times = 0; times < 2; times++) {
    const { status, bytes } = await ask(url + asked.path, asked.fields)
    const { expect } = asked
    const isExpected = status === expect.status && bytes === (expect.bytes ?? bytes)
    if (times > 0 && !isExpected) return `answers ${status} with ${bytes} bytes, not ${expect.status} with ${expect.bytes ?? 'any'}`
  }
  return null
}

/** Asks a server that cannot be told for each of `count` responses; of fewer the warm-up asks for all. Those under way when a load ends are asked for again by the next one. */
async function fill (url: string, count: number): Promise<void> {
  if (count <= mostPreloaded) return
  for (let from = 0; from < count;) {
    const { requests } = await load({ url: `${url}/stored/1024/0`, connections: usualConnections, seconds: fillSeconds, paths: { kind: 'counter', prefix: '/stored/1024/', from } })
    from += requests
  }
}

/** Resolves once `count` responses are stored, see servers/preload.ts. */
export async function preloaded (url: string, count: number): Promise<void> {
  if (count === 0) return
  const until = performance.now() + patienceMs
  while ((await ask(`${url}/stored/1024/${count - 1}`, { 'cache-control': 'only-if-cached' })).status !== 200) {
    if (performance.now() > until) throw new Error(`${count} responses were not stored in time`)
    await new Promise(resolve => { setTimeout(resolve, 100) })
  }
}

async function put (one: Measured, { url }: Server, seconds: number, connections: number): ReturnType<typeof load> {
  const { asked } = one.row
  const paths = asked.paths?.kind === 'counter' ? { ...asked.paths, prefix: `${asked.paths.prefix}${process.pid}-${loads++}-` } : asked.paths
  return await load({ url: url + asked.path, connections, seconds, ...asked.fields && { fields: asked.fields }, ...paths && { paths }, ...asked.http2 === true && { http2: true } })
}

async function warmUp (one: Measured, server: Server, { alone = false }: LoadScenario, { timing: { seconds } }: Bench): Promise<void> {
  const connections = one.row.connections ?? usualConnections
  let { requests, seconds: spent } = await put(one, server, seconds, connections)
  while (one.isNode && requests < warmUpRequests && spent < warmUpSeconds) {
    const more = await put(one, server, seconds, connections)
    requests += more.requests
    spent += more.seconds
  }
  if (alone) one.aloneUs.push((await put(one, server, 1, 1)).p50Us)
}

/**
 * The first load wakes the server up and does not count: while the others were measured, V8 has given memory back (its young
 * generation is small again, so collections are many) and connections to the origin server were closed. With pauses of
 * 20 s and without this, reply-from was measured at a third of what it answers under a load that lasts.
 */
async function measure (one: Measured, server: Server, { timing: { seconds }, origin }: Bench): Promise<void> {
  const connections = one.row.connections ?? usualConnections
  await put(one, server, wakeUpSeconds, connections)
  const { pid } = server.spawned
  const [countBefore, timeBefore] = [await originCount(origin), processorTime(pid)]
  const { requests, seconds: took, p50Us, p99Us, refused, errors } = await put(one, server, seconds, connections)
  const timeAfter = processorTime(pid)
  one.requests += requests
  one.forwarded += await originCount(origin) - countBefore
  one.failed += refused + errors
  one.perSecond.push(requests / took)
  one.p50Us.push(p50Us)
  one.p99Us.push(p99Us)
  if (timeBefore !== null && timeAfter !== null) one.costs.push((timeAfter - timeBefore) / requests)
}

function tableOf (measured: readonly Measured[], notes: string[], alone: boolean): Table {
  const yardstick = measured[0]
  for (const { title, row, requests, forwarded, failed } of measured) {
    const share = forwarded / requests
    if (row.asked.origin === 'none' && share > tolerance) notes.push(`${title}: ${forwarded} of ${requests} requests reached the origin server, and none should`)
    if (row.asked.origin === 'all' && share < 1 - tolerance) notes.push(`${title}: only ${forwarded} of ${requests} requests reached the origin server`)
    if (failed > 0) notes.push(`${title}: ${failed} of ${requests} requests failed or were answered with an error`)
  }
  return {
    columns: ['', 'requests/s', 'ratio', 'CPU us/request', 'ratio', 'p50 ms', 'p99 ms', ...alone ? ['alone, p50 us'] : []],
    rows: measured.map(({ title, perSecond, costs, p50Us, p99Us, aloneUs }) => [
      title,
      figure(median(perSecond)),
      ratio(perSecond, yardstick?.perSecond ?? []),
      figure(median(costs)),
      ratio(costs, yardstick?.costs ?? []),
      figure(median(p50Us) / 1000),
      figure(median(p99Us) / 1000),
      ...alone ? [figure(median(aloneUs))] : []
    ]),
    notes
  }
}
