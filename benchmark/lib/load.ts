/** Load from the other core, as much as the server answers: wrk where it is installed, autocannon (a dependency) else. */
import { join } from 'node:path'
import { findProgram } from '../subjects/programs.ts'
import { waitingConnections } from './accept-queue.ts'
import { runToEnd } from './processes.ts'

/** How URLs follow each other; a single one without. Paths are made of `prefix` and a number. */
export type Paths =
  | { readonly kind: 'counter', readonly prefix: string, readonly from?: number }
  | { readonly kind: 'random', readonly prefix: string, readonly count: number }
  /** Requests of all kinds, with wrk only; what is not to be stored yet begins with `prefix`. */
  | { readonly kind: 'mix', readonly prefix: string }

export interface LoadInput {
  readonly url: string
  readonly fields?: Readonly<Record<string, string>>
  readonly paths?: Paths
  readonly connections: number
  /** Whole seconds. */
  readonly seconds: number
  /** HTTP/2, by a client of our own. */
  readonly http2?: boolean
}

export interface Load {
  readonly requests: number
  readonly seconds: number
  readonly p50Us: number
  readonly p99Us: number
  /** Answers with a status of 400 or more. */
  readonly refused: number
  /** Connections that failed, and requests without an answer in time. */
  readonly errors: number
}

const wrk = findProgram('wrk', '-v')
const folder = join(import.meta.dirname, '..')

export const loadGenerator = wrk === null ? 'autocannon' : `wrk ${wrk.version}`

export async function load (input: LoadInput): Promise<Load> {
  const result = JSON.parse(lastLine(await run(input))) as Load
  if (result.requests === 0) throw new Error(`${input.url}: nothing was answered (${JSON.stringify(result)})${queueOf(input.url)}`)
  return result
}

/** New connections of a load get no answer where others are before them: Node takes one in a turn of its event loop. */
function queueOf (url: string): string {
  const waiting = waitingConnections(Number(new URL(url).port))
  return waiting === null || waiting === 0 ? '' : `: ${waiting} connections wait to be accepted, the load's own among them (docs/operations.md, Overload)`
}

async function run (input: LoadInput): Promise<string> {
  if (input.http2 === true) return await runToEnd('other', process.execPath, [join(folder, 'lib/http2-load.ts'), JSON.stringify(input)])
  if (wrk === null) return await runToEnd('other', process.execPath, [join(folder, 'lib/cannon.ts'), JSON.stringify(input)])
  const { url, fields = {}, paths, connections, seconds } = input
  return await runToEnd('other', wrk.path, [
    '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '--timeout', '10s', '-s', join(folder, 'wrk.lua'),
    ...Object.entries(fields).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    url,
    ...argumentsOf(paths)
  ])
}

function argumentsOf (paths: Paths | undefined): string[] {
  if (paths === undefined) return []
  const number = paths.kind === 'random' ? paths.count : paths.kind === 'counter' ? paths.from : undefined
  return ['--', paths.kind, paths.prefix, ...number === undefined ? [] : [String(number)]]
}

/** wrk writes its own report before ours. */
function lastLine (text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
