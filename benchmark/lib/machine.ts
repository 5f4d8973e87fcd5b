/** What a table of ratios is worth nothing without: machine, versions, and what was not there to be measured. */
import { cpus, release, totalmem, type } from 'node:os'
import type { Bench } from './bench.ts'
import { loadGenerator } from './load.ts'
import { isPinned } from './processes.ts'
import { hasProcessorTime } from './processor-time.ts'
import { describeCheckout } from './revision.ts'
import { usualConnections } from './scenario.ts'

export function describeMachine ({ subjects, revisions, timing }: Bench): string {
  const installed = subjects.filter(({ missing, version }) => missing === null && version !== process.version)
  const missing = subjects.flatMap(({ missing }) => missing ?? [])
  return [
    `- ${cpus().length} x ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${type()} ${release()}, ${isPinned ? 'server on core 0, all else on core 1' : 'nothing is pinned: one core, or no taskset'}`,
    `- Node ${process.version}, ${[loadGenerator, ...installed.map(({ title, version }) => `${title} ${version}`)].join(', ')}`,
    `- Holdfast ${[describeCheckout(), ...revisions.flatMap(({ label }) => label === '' ? [] : label)].join(' and ')}; ${timing.rounds} rounds of ${timing.seconds} s, interleaved, over ${timing.instances} processes of each server, ${usualConnections} connections`,
    ...missing.length > 0 ? [`- Not measured: ${missing.join('; ')}`] : [],
    ...hasProcessorTime ? [] : ['- No /proc here, so no processor time']
  ].join('\n')
}
