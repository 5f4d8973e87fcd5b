/**
 * `npm run bench:eviction`: object and byte hit ratios of our policies beside the plain ones, at 1 % and 10 % of the bytes of all keys.
 *
 *   npm run bench:eviction                               made traces and held-out ones
 *   npm run bench:eviction -- --trace FILE ...           recorded ones instead (formats: recorded.ts)
 *   npm run bench:eviction -- --drawn N                  N traces drawn from the seeds S, S + 2, ... (families.ts), adaptive alone
 *   --seed N (1)   --requests N (200000)   --items N (40000)   --even (all of one size)   --seconds N (170)
 *
 * Traces that do not fit into the time are left out and named.
 */
import { parseArgs } from 'node:util'
import { policyNames } from '../../src/cache/eviction/policy.ts'
import { runDrawn } from './drawn.ts'
import { generators, heldOutGenerators } from './generators.ts'
import { readTrace } from './recorded.ts'
import { references } from './reference.ts'
import { bestOf, replayOurs, replayReferences, type Ratios } from './replay.ts'
import { workingSetBytes, type Trace } from './trace.ts'

const { values } = parseArgs({
  options: {
    trace: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: '1' },
    requests: { type: 'string', default: '200000' },
    items: { type: 'string', default: '40000' },
    seconds: { type: 'string', default: '170' },
    drawn: { type: 'string' },
    even: { type: 'boolean', default: false }
  }
})
const options = { seed: Number(values.seed), requests: Number(values.requests), items: Number(values.items), evenSizes: values.even }
const until = Date.now() + Number(values.seconds) * 1000
const shares = [0.01, 0.1]

if (values.drawn !== undefined) {
  await runDrawn({ count: Number(values.drawn), firstSeed: options.seed, shares, until })
  process.exit()
}

const sources: Array<() => Trace | Promise<Trace>> = values.trace.length > 0
  ? values.trace.map(path => () => readTrace(path))
  : [...generators, ...heldOutGenerators].map(generate => () => generate(options))

const write = (line: string): void => { process.stdout.write(`${line}\n`) }
const percent = (ratio: number): string => (ratio * 100).toFixed(1)
const names = [...Object.keys(references), ...policyNames]
let leftOut = 0
let [worstToBest, worstToLru] = [Infinity, Infinity]

write('Object hit ratio / byte hit ratio in percent. The first four are plain implementations, the others ours; `gap` is')
write('adaptive less the best of the four, in points of the object hit ratio.\n')
write(`| trace | size | ${names.join(' | ')} | gap |`)
write(`|---|---|${names.map(() => '---|').join('')}---|`)

for (const source of sources) {
  if (Date.now() > until) {
    leftOut++
    continue
  }
  const trace = await source()
  for (const share of shares) {
    const maxBytes = Math.floor(workingSetBytes(trace) * share)
    const results = replayReferences(trace, maxBytes)
    const best = bestOf(results)
    for (const name of policyNames) results.set(name, replayOurs(name, trace, maxBytes))
    const own = results.get('adaptive') as Ratios
    worstToBest = Math.min(worstToBest, own.objects - best)
    worstToLru = Math.min(worstToLru, own.objects - (results.get('LRU') as Ratios).objects)
    write(`| ${trace.name} | ${percent(share)} % | ${names.map(name => {
      const { objects, bytes } = results.get(name) as Ratios
      return `${percent(objects)} / ${percent(bytes)}`
    }).join(' | ')} | ${((own.objects - best) * 100).toFixed(1)} |`)
  }
}

write(`\nadaptive, at the worst: ${(worstToBest * 100).toFixed(2)} points to the best of the four, ${(worstToLru * 100).toFixed(2)} to plain LRU.`)
if (leftOut > 0) write(`${leftOut} traces did not fit into ${values.seconds} s.`)
