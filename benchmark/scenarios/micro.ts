/** The steps of an answer by themselves, in a process of their own for each round and revision. */
import { join } from 'node:path'
import type { Bench } from '../lib/bench.ts'
import { runToEnd } from '../lib/processes.ts'
import type { OwnScenario } from '../lib/scenario.ts'
import { median } from '../lib/statistics.ts'
import { figure, ratio, type Table } from '../lib/table.ts'

type Measured = Record<string, number[]>

const program = join(import.meta.dirname, '../servers/micro.ts')

async function run ({ revisions, timing }: Bench): Promise<Table> {
  const measured = revisions.map((): Measured => ({}))
  for (let round = 0; round < timing.rounds; round++) {
    for (const [i, { root }] of revisions.entries()) {
      const result = JSON.parse(await runToEnd('server', process.execPath, [program, root])) as Measured
      const all = measured[i] as Measured
      for (const [title, values] of Object.entries(result)) (all[title] ??= []).push(median(values))
    }
  }
  const [own = {}, ...others] = measured
  return {
    columns: ['', 'ns of CPU', 'lowest-highest round', ...revisions.slice(1).flatMap(({ label }) => [`at ${label}`, 'ratio to this'])],
    rows: Object.entries(own).map(([title, values]) => [
      title,
      figure(median(values)),
      `${figure(Math.min(...values))}-${figure(Math.max(...values))}`,
      ...others.flatMap(other => [figure(median(other[title] ?? [])), ratio(other[title] ?? [], values)])
    ])
  }
}

export const micro: OwnScenario = { name: 'micro', title: 'Steps of an answer by themselves, nanoseconds', run }
