/**
 * Many clients ask at once for what is not stored yet and takes its time: how many of them reach the origin server, and how
 * long the last of them waits. Connections are there before; each round asks for another URL.
 */
import { Agent, get } from 'node:http'
import { originCount } from '../lib/ask.ts'
import type { Bench, Server } from '../lib/bench.ts'
import type { OwnScenario } from '../lib/scenario.ts'
import { median } from '../lib/statistics.ts'
import { figure, type Table } from '../lib/table.ts'
import { measurable } from '../subjects/subject.ts'
import { ours, peers } from './hits.ts'

const clients = 200
const originMs = 500
const bytes = 1024

interface Crowd extends Server {
  readonly title: string
  readonly agent: Agent
  readonly forwarded: number[]
  /** Milliseconds until the last one had all of its answer, and until half of them had. */
  readonly slowest: number[]
  readonly middle: number[]
  failed: number
}

/** Milliseconds, or null where the answer is not the whole one. */
function wait (agent: Agent, url: string): Promise<number | null> {
  const startedAt = performance.now()
  return new Promise(resolve => {
    get(url, { agent }, response => {
      let seen = 0
      response.on('data', (chunk: Buffer) => { seen += chunk.length })
      response.on('close', () => { resolve(response.statusCode === 200 && seen === bytes ? performance.now() - startedAt : null) })
    }).on('error', () => { resolve(null) })
  })
}

const askTogether = async (crowd: Crowd, path: string): Promise<Array<number | null>> =>
  await Promise.all(Array.from({ length: clients }, () => wait(crowd.agent, crowd.url + path)))

async function rush (crowd: Crowd, round: number, { origin }: Bench): Promise<void> {
  const before = await originCount(origin)
  const waits = await askTogether(crowd, `/slow/${originMs}/${bytes}/${round}-${new URL(crowd.url).port}`)
  const answered = waits.filter(ms => ms !== null)
  crowd.forwarded.push(await originCount(origin) - before)
  crowd.slowest.push(Math.max(...answered))
  crowd.middle.push(median(answered))
  crowd.failed += clients - answered.length
}

async function run (bench: Bench): Promise<Table> {
  const crowds: Crowd[] = []
  try {
    for (const subject of measurable(bench.subjects, ['reply-from', ...ours, ...peers])) {
      const crowd = { ...await bench.start(subject), title: subject.title, agent: new Agent({ keepAlive: true }), forwarded: [], slowest: [], middle: [], failed: 0 }
      crowds.push(crowd)
      // Makes the connections, and warms what is compiled when it is used.
      for (let times = 0; times < 5; times++) await askTogether(crowd, `/stored/${bytes}/${times}`)
    }
    for (let round = 0; round < bench.timing.rounds; round++) {
      for (const crowd of crowds) await rush(crowd, round, bench)
    }
  } finally {
    for (const { agent } of crowds) agent.destroy()
    await Promise.all(crowds.map(async ({ spawned }) => { await spawned.stop() }))
  }
  return {
    columns: ['', 'origin requests', 'half waited ms', 'the last waited ms', 'the most of any round'],
    rows: crowds.map(({ title, forwarded, middle, slowest }) => [title, String(median(forwarded)), figure(median(middle)), figure(median(slowest)), figure(Math.max(...slowest))]),
    notes: crowds.filter(({ failed }) => failed > 0).map(({ title, failed }) => `${title}: ${failed} requests were not answered as they should`)
  }
}

export const stampede: OwnScenario = { name: 'stampede', title: `${clients} requests at once for a URL that is not stored, whose origin server takes ${originMs} ms`, run }
