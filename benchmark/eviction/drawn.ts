/** How far the adaptive policy is from the plain ones over traces that nobody has chosen (`families.ts`). */
import { setImmediate } from 'node:timers/promises'
import { drawTrace } from './families.ts'
import { bestOf, replayOurs, replayReferences, type Ratios } from './replay.ts'
import { workingSetBytes } from './trace.ts'

export interface DrawnOptions {
  readonly count: number
  /** Every other seed is taken from here on: odd ones are for development, even ones are kept for a last look. */
  readonly firstSeed: number
  /** Sizes of the cache, as shares of the bytes of all keys. */
  readonly shares: readonly number[]
  readonly until: number
}

interface Gap { readonly toBest: number, readonly toLru: number, readonly line: string }

const write = (line: string): void => { process.stdout.write(`${line}\n`) }
const points = (ratio: number): string => (ratio * 100).toFixed(2)

/** Prints each trace as it is done, then all of them by gap; what there is, where it is interrupted. */
export async function runDrawn ({ count, firstSeed, shares, until }: DrawnOptions): Promise<void> {
  const gaps: Gap[] = []
  const interruption = new AbortController()
  process.once('SIGINT', () => { interruption.abort() })

  write('Points of the object hit ratio: adaptive less the best of the four plain ones, adaptive less plain LRU; then adaptive and the best.\n')
  for (let i = 0; i < count && !interruption.signal.aborted && Date.now() < until; i++) {
    const trace = drawTrace(firstSeed + 2 * i)
    for (const share of shares) {
      const maxBytes = Math.floor(workingSetBytes(trace) * share)
      const results = replayReferences(trace, maxBytes)
      const best = bestOf(results)
      const bestName = [...results].find(([, { objects }]) => objects === best)?.[0] ?? ''
      const { objects } = replayOurs('adaptive', trace, maxBytes)
      const toBest = objects - best
      const toLru = objects - (results.get('LRU') as Ratios).objects
      const line = `${points(toBest)} | ${points(toLru)} | ${points(objects)} | ${points(best)} ${bestName} | ${points(share)} % | ${trace.name}`
      gaps.push({ toBest, toLru, line })
      write(line)
    }
    // Signals are only heard between two turns of the event loop.
    await setImmediate()
  }

  write(`\nWorst first (${gaps.length} of ${count * shares.length}):\n`)
  for (const { line } of gaps.toSorted((a, b) => a.toBest - b.toBest)) write(line)
  write('')
  write(distribution('to the best of the four', gaps.map(({ toBest }) => toBest)))
  write(distribution('to plain LRU', gaps.map(({ toLru }) => toLru)))
  write(`more than 1.0 below the best: ${gaps.filter(({ toBest }) => toBest < -0.01).length}; more than 1.5 below LRU: ${gaps.filter(({ toLru }) => toLru < -0.015).length}`)
}

function distribution (name: string, values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): string => points(sorted[Math.floor(share * (sorted.length - 1))] ?? NaN)
  return `${name}: median ${at(0.5)}, 5th percentile ${at(0.05)}, worst ${at(0)}`
}
