/** How long a process takes from when it is started until it listens, and until a first request is answered. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ask } from '../lib/ask.ts'
import type { Bench } from '../lib/bench.ts'
import { launch, type Spawned } from '../lib/processes.ts'
import { processorTime } from '../lib/processor-time.ts'
import type { OwnScenario } from '../lib/scenario.ts'
import { median } from '../lib/statistics.ts'
import { figure, type Table } from '../lib/table.ts'
import { nodeFlags } from '../subjects/holdfast.ts'

const rounds = 7
const folder = join(import.meta.dirname, '..')

interface Candidate {
  readonly title: string
  readonly args: readonly string[]
  /** Finds the port in what is written once it listens; absent: the program only ends. */
  readonly port?: RegExp
  readonly env?: Readonly<Record<string, string>>
}

interface Start { readonly listening: number, readonly answered: number, readonly cpu: number }

function candidates ({ revisions, origin }: Bench): Candidate[] {
  const holdfasts = revisions.flatMap(({ root, label }) => ['src/server.ts', 'dist/src/server.js'].filter(file => existsSync(join(root, file))).map((file): Candidate => ({
    title: `Holdfast${label === '' ? '' : ` at ${label}`}, \`${file}\``,
    args: [...nodeFlags, join(root, file), '--config', join(root, 'config/example.yaml'), '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'],
    port: /"role":"proxy","host":"[^"]+","port":(\d+)/,
    env: { SAMPLE_ORIGIN_PORT: new URL(origin).port }
  })))
  return [
    { title: 'Fastify hello-world', args: [join(folder, 'servers/node.ts'), 'hello'], port: /^(\d+)\n/ },
    { title: '`node -e 0`, until it ends', args: ['-e', '0'] },
    ...holdfasts
  ]
}

async function portOf (spawned: Spawned, pattern: RegExp): Promise<number> {
  const ended = once(spawned.child, 'close').then(() => { throw new Error(`it did not start: ${spawned.output()}`) })
  ended.catch(() => {})
  for (;;) {
    await Promise.race([once(spawned.child.stdout as NodeJS.ReadableStream, 'data'), ended])
    const found = pattern.exec(spawned.output())?.[1]
    if (found !== undefined) return Number(found)
  }
}

async function startOnce ({ args, port, env = {} }: Candidate): Promise<Start> {
  const startedAt = performance.now()
  const since = (): number => performance.now() - startedAt
  const spawned = launch('server', process.execPath, args, { env })
  if (port === undefined) {
    await once(spawned.child, 'close')
    return { listening: NaN, answered: since(), cpu: NaN }
  }
  try {
    const found = await portOf(spawned, port)
    const listening = since()
    await ask(`http://127.0.0.1:${found}/stored/1024/page`)
    return { listening, answered: since(), cpu: (processorTime(spawned.pid) ?? NaN) / 1000 }
  } finally {
    await spawned.stop()
  }
}

async function run (bench: Bench): Promise<Table> {
  const measured = candidates(bench).map(candidate => ({ candidate, starts: [] as Start[] }))
  // The first of each reads the files from the disk.
  for (let round = -1; round < rounds; round++) {
    for (const { candidate, starts } of measured) {
      const start = await startOnce(candidate)
      if (round >= 0) starts.push(start)
    }
  }
  const cells = (starts: readonly Start[], value: (start: Start) => number): string => figure(median(starts.map(value)))
  return {
    columns: ['', 'listens after ms', 'first answer after ms', 'ms of CPU until then', 'first answer, fastest-slowest'],
    rows: measured.map(({ candidate, starts }) => {
      const answers = starts.map(({ answered }) => answered)
      return [candidate.title, cells(starts, ({ listening }) => listening), figure(median(answers)), cells(starts, ({ cpu }) => cpu), `${figure(Math.min(...answers))}-${figure(Math.max(...answers))}`]
    }),
    notes: bench.revisions.some(({ root }) => existsSync(join(root, 'dist/src/server.js'))) ? [] : ['There is no dist here: npm run build makes one']
  }
}

export const start: OwnScenario = { name: 'start', title: `From starting a process to its first answer, median of ${rounds}`, run }
