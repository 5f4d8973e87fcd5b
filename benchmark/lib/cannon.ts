/** autocannon in a process of its own: `node lib/cannon.ts LOAD_INPUT`, JSON in and out (`load.ts`). */
import { createRequire } from 'node:module'
import type { Load, LoadInput } from './load.ts'

interface Result {
  readonly duration: number
  readonly errors: number
  readonly latency: { readonly p50: number, readonly p99: number }
  readonly statusCodeStats: Readonly<Record<string, { readonly count: number }>>
}

/** It has no types of its own. */
const autocannon = createRequire(import.meta.url)('autocannon') as (options: object) => Promise<Result>
const { url, fields = {}, paths, connections, seconds } = JSON.parse(process.argv[2] as string) as LoadInput
let n = paths?.kind === 'counter' ? paths.from ?? 0 : 0

function nextPath (): string {
  if (paths?.kind === 'random') return `${paths.prefix}${Math.floor(Math.random() * paths.count)}`
  return `${paths?.prefix}${n++}`
}

const result = await autocannon({
  url,
  headers: fields,
  connections,
  duration: seconds,
  ...paths !== undefined && { requests: [{ setupRequest: (request: object) => ({ ...request, path: nextPath() }) }] }
})
const statuses = Object.entries(result.statusCodeStats)
const answered = statuses.reduce((sum, [, { count }]) => sum + count, 0)
process.stdout.write(`${JSON.stringify({
  requests: answered,
  seconds: result.duration,
  // It counts whole milliseconds.
  p50Us: result.latency.p50 * 1000,
  p99Us: result.latency.p99 * 1000,
  refused: statuses.reduce((sum, [status, { count }]) => sum + (Number(status) >= 400 ? count : 0), 0),
  errors: result.errors
} satisfies Load)}\n`)
