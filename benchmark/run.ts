/**
 * `npm run bench`: Holdfast beside yardsticks in Node and the caches that are installed here, in requests per second and in
 * processor time of the server for each request, which says the same where others take turns on the core.
 *
 * `npm run bench -- hit miss` measures some scenarios, `-- --list` says which there are, `-- --against REF` measures another
 * revision of this project in the same rounds. The server under test has core 0 to itself; load generator, origin server
 * and this process have core 1. Rounds are interleaved; tables hold medians, ratios to the first row, and in parentheses
 * the ratios of the lowest and highest round. `ROUNDS` (3, or 9 where scenarios are named) and `SECONDS` (1) say how long,
 * `INSTANCES` (3) how many times each server is started: the rounds go around them.
 */
import { parseArgs } from 'node:util'
import { createBench } from './lib/bench.ts'
import { compare } from './lib/compare.ts'
import { describeMachine } from './lib/machine.ts'
import { pinThisProcess } from './lib/processes.ts'
import { checkOut, root, type CheckedOut } from './lib/revision.ts'
import { formatTable } from './lib/table.ts'
import { scenarios } from './scenarios/index.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { list: { type: 'boolean' }, against: { type: 'string' } } })
const say = (text: string): void => { process.stdout.write(`${text}\n`) }
const unknown = positionals.filter(name => !scenarios.some(scenario => scenario.name === name))

if (values.list === true || unknown.length > 0) {
  if (unknown.length > 0) say(`There is no scenario ${unknown.join(', ')}.\n`)
  for (const { name, title, isLong = false } of scenarios) say(`${name.padEnd(14)} ${title}${isLong ? ' (only when named)' : ''}`)
  process.exit(unknown.length > 0 ? 1 : 0)
}

const chosen = positionals.length === 0 ? scenarios.filter(({ isLong = false }) => !isLong) : scenarios.filter(({ name }) => positionals.includes(name))
const number = (name: string, usual: number): number => Math.max(1, Math.round(Number(process.env[name] ?? usual)))
const timing = { rounds: number('ROUNDS', positionals.length === 0 ? 3 : 9), instances: number('INSTANCES', 3), seconds: number('SECONDS', 1) }

pinThisProcess()
const against: CheckedOut | null = values.against === undefined ? null : checkOut(values.against)
try {
  const bench = await createBench([{ root, label: '' }, ...against === null ? [] : [against]], timing)
  const stop = (): void => { bench.close().finally(() => { against?.remove(); process.exit(130) }) }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    say(describeMachine(bench))
    for (const scenario of chosen) {
      say(`\n## ${scenario.title} (\`${scenario.name}\`)\n`)
      try {
        say(formatTable('rows' in scenario ? await compare(scenario, bench) : await scenario.run(bench)))
      } catch (error) {
        // The others are measured all the same.
        say(`Not measured: ${(error as Error).message}`)
        process.exitCode = 1
      }
    }
  } finally {
    await bench.close()
  }
} finally {
  against?.remove()
}
