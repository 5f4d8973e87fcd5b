/** What is wrong with a configuration, told so that it can be put right without reading this source. */
import { distance } from 'fastest-levenshtein'

export interface ConfigProblem {
  /** JSON pointer (RFC 6901) of the place, `''` for the whole. */
  readonly path: string
  /** Line in the file, from 1; absent when the value does not come from a file. */
  readonly line?: number
  /** Where a value comes from that is not in the file: a flag or an environment variable. */
  readonly source?: string
  /** The value found; absent where it is a secret or would not help. */
  readonly value?: unknown
  /** The rule that is broken, as a stable kebab-case word. */
  readonly rule: string
  readonly message: string
  /** What was probably meant. */
  readonly suggestion?: string
}

/** A configuration that cannot be used, with everything that is wrong with it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'invalid_configuration'
  readonly problems: readonly ConfigProblem[]

  constructor (problems: readonly ConfigProblem[], file?: string) {
    super(problems.map(problem => formatProblem(problem, file)).join('\n'))
    this.problems = problems
  }
}

/** One line: `FILE:LINE  /path  message (rule; got VALUE)`. */
export function formatProblem (problem: ConfigProblem, file?: string): string {
  const { line, source, path, rule, message } = problem
  const place = source ?? (file === undefined ? undefined : line === undefined ? file : `${file}:${line}`)
  const got = problem.value === undefined ? '' : `; got ${formatValue(problem.value)}`
  return [place, path === '' ? '/' : path, `${message} (${rule}${got})`].filter(part => part !== undefined).join('  ')
}

const longestValue = 80

function formatValue (value: unknown): string {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(withoutUserInfo(value)) ?? String(value)
  return text.length <= longestValue ? text : `${text.slice(0, longestValue)}…`
}

/** A URL may carry a password, which must not end up in a log. */
function withoutUserInfo (value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/\/\/[^/@\s]*@/g, '//***@') : value
}

/** The pointer of a member: `~` and `/` are escaped (RFC 6901 section 3). */
export function pointerTo (parent: string, member: string | number): string {
  return `${parent}/${String(member).replaceAll('~', '~0').replaceAll('/', '~1')}`
}

/** The names that lead to a place. */
export function membersOf (pointer: string): string[] {
  return pointer.split('/').slice(1).map(member => member.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The pointer one level up; `''` of a top-level one. */
export function parentOf (pointer: string): string {
  return pointer.slice(0, Math.max(0, pointer.lastIndexOf('/')))
}

/** The candidate that was probably meant, or `undefined` when none is near. */
export function nearest (word: string, candidates: Iterable<string>): string | undefined {
  const lower = word.toLowerCase().slice(0, 64)
  // A third of the letters may be wrong: enough for a slip, too little for a different word.
  let best = Math.max(2, Math.floor(lower.length / 3)) + 1
  let found: string | undefined
  for (const candidate of candidates) {
    const [short, long] = [lower, candidate.toLowerCase()].toSorted((a, b) => a.length - b.length) as [string, string]
    if (short.length > 2 && long.startsWith(short)) return candidate
    const apart = distance(lower, candidate.toLowerCase())
    if (apart < best && apart < candidate.length) [best, found] = [apart, candidate]
  }
  return found
}

/** `; did you mean "x"?`, or nothing. */
export function didYouMean (suggestion: string | undefined): string {
  return suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
}
