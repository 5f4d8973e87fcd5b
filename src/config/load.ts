/** The configuration of a process: file, environment and flags joined, the later outranking the earlier. */
import { open } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { atOnce, inPieces, type Pieces, type Run } from '../pieces.ts'
import { readDocument } from './document.ts'
import type { ConfigDocument } from './document.ts'
import { settingsFrom, upstreamFrom } from './environment.ts'
import type { Overrides } from './environment.ts'
import type { LoadedExtension } from '../extensions/extension.ts'
import { loadExtensions } from '../extensions/load.ts'
import { extensionsOf } from './extension-checks.ts'
import { checkFiles, resolvePaths } from './file-checks.ts'
import { copyPlain, isPlain } from './plain.ts'
import type { Plain } from './plain.ts'
import { ConfigError, membersOf, parentOf, pointerTo } from './problems.ts'
import type { ConfigProblem } from './problems.ts'
import { readApart } from './read-apart.ts'
import { fromText, resolvePieces, resolveTree, unknownAt } from './resolve.ts'
import type { Config } from './schema.ts'
import { applyUpstream } from './upstream-flag.ts'

export { ConfigError } from './problems.ts'
export type { ConfigProblem } from './problems.ts'
export type { Overrides } from './environment.ts'
export { warningsFor } from './semantic-checks.ts'

/** Far above 10,000 routes written out; a file beyond it is the wrong file. */
const largestFileBytes = 8 * 1024 * 1024

export interface LoadOptions {
  /** YAML or JSON. */
  readonly file?: string
  /** URL; see `upstream-flag.ts` for what it does beside a file. */
  readonly upstream?: string
  readonly env: NodeJS.ProcessEnv
  /** Values of flags. */
  readonly overrides?: Overrides
  /** Let others have their turn: a process that answers requests must not stand still meanwhile. */
  readonly inPieces?: boolean
}

/** Completes and checks a configuration given as an object, as a library user writes it. Throws `ConfigError`. */
export function resolveConfig (input: unknown): Config {
  const problems: ConfigProblem[] = []
  const tree = copyPlain(input, problems)
  const resolution = resolveTree(tree, new Set(problems.map(problem => problem.path)))
  if (!resolution.ok) throw new ConfigError([...problems, ...resolution.problems])
  return resolution.config
}

/**
 * Reads the configuration of a process. Paths in the file are relative to it; the files they name are read and
 * checked. Rejects with a `ConfigError` that holds every problem, also when the file cannot be read.
 */
export async function loadConfig ({ file, upstream, env, overrides, inPieces: patiently = false }: LoadOptions): Promise<Config> {
  const run: Run = patiently ? inPieces : async work => atOnce(work)
  const document = file === undefined ? emptyDocument() : await (patiently ? readApart : readDocument)(await readText(file), env)
  const problems: ConfigProblem[] = [...document.problems]
  const fail = (): never => { throw new ConfigError(inOrder(problems), file) }
  if (document.value === undefined) fail()

  const tree = document.value ?? {}
  const sources = new Map<string, string>()
  const ignored = new Set(problems.map(problem => problem.path))
  if (isPlain(tree)) {
    for (const path of document.written.keys()) spellOut(tree, path)
    for (const { at, value, source } of settingsFrom(env, overrides)) applySetting(tree, at, value, source, sources)
    const given = upstreamFrom(env, upstream)
    if (given !== null) {
      problems.push(...applyUpstream(tree, given.url, given.source))
      sources.set('/upstreams/default/targets/0', given.source)
    }
  }

  const explain = (problem: ConfigProblem): void => { problems.push(located(problem, document, sources)) }
  const resolution = await run(resolvePieces(tree, ignored))
  if (!resolution.ok) resolution.problems.forEach(explain)
  // Not in the tree; but a slip such as `upstream:shop` makes one of these.
  document.unset.flatMap(unknownAt).forEach(explain)
  if (!resolution.ok || problems.length > 0) return fail()

  const config = file === undefined ? resolution.config : await run(resolvePaths(resolution.config, file))
  await checkFiles(config, explain)
  // Their schemas are in the modules, which are therefore loaded, and so run, by `holdfast check` as well.
  const extensions = await loadExtensions(config.extensions, folderOf(file), explain)
  if (problems.length === 0) await run(extensionPieces(config, extensions, explain))
  return problems.length > 0 ? fail() : config
}

function * extensionPieces ({ routes }: Config, extensions: readonly LoadedExtension[], report: (problem: ConfigProblem) => void): Pieces<void> {
  for (const [index, route] of routes.entries()) {
    extensionsOf(route, index, extensions, report)
    yield
  }
}

function folderOf (file: string | undefined): string {
  return file === undefined ? process.cwd() : dirname(resolve(file))
}

const emptyDocument = (): ConfigDocument => ({ value: {}, lines: new Map(), written: new Map(), unset: [], problems: [] })

async function readText (file: string): Promise<string> {
  const fail = (rule: string, message: string): never => { throw new ConfigError([{ path: '', rule, message }], file) }
  let bytes: Buffer | null
  try {
    bytes = await readUpTo(file, largestFileBytes)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // The file system throws nothing else.
    return fail('readable-file', `cannot be read: ${reasons[code ?? ''] ?? 'the system refuses'} (${code})`)
  }
  if (bytes === null) return fail('size', `is larger than ${largestFileBytes} bytes`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return fail('encoding', 'is not UTF-8 text')
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file', EISDIR: 'it is a directory', EACCES: 'no permission', EPERM: 'no permission'
}

/** Reads piece by piece, because a pipe or device has no size to look at beforehand; `null` if it is larger. */
async function readUpTo (file: string, most: number): Promise<Buffer | null> {
  const handle = await open(file)
  try {
    const chunks: Buffer[] = []
    let size = 0
    for (;;) {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(65_536), 0, 65_536)
      if (bytesRead === 0) return Buffer.concat(chunks)
      if ((size += bytesRead) > most) return null
      chunks.push(buffer.subarray(0, bytesRead))
    }
  } finally {
    await handle.close()
  }
}

/** Replaces the text at a place by the number or switch it spells, if the schema wants one there. */
function spellOut (tree: Plain, path: string): void {
  const members = membersOf(path)
  const last = members.pop()
  let parent: unknown = tree
  for (const member of members) parent = (parent as Plain | undefined)?.[member]
  if (last === undefined || typeof parent !== 'object' || parent === null) return
  const holder = parent as Plain // Or a list, whose members are set alike.
  const text = holder[last]
  if (typeof text === 'string') holder[last] = fromText(text, path)
}

function applySetting (tree: Plain, [section, option]: readonly [string, string], value: string | number, source: string, sources: Map<string, string>): void {
  const path = pointerTo(pointerTo('', section), option)
  const holder = tree[section] ??= {}
  if (!isPlain(holder)) return // Validation says so.
  holder[option] = typeof value === 'string' ? fromText(value, path) : value
  sources.set(path, source)
}

/** Adds line or source; shows a value from the environment as it is written in the file. */
function located (problem: ConfigProblem, document: ConfigDocument, sources: ReadonlyMap<string, string>): ConfigProblem {
  const source = sources.get(problem.path)
  if (source !== undefined) return { ...problem, source }
  const written = document.written.get(problem.path)
  const value = problem.value === undefined ? {} : { value: written ?? problem.value }
  for (let path = problem.path; ; path = parentOf(path)) {
    const line = document.lines.get(path)
    if (line !== undefined) return { ...problem, ...value, line }
    if (path === '') return { ...problem, ...value }
  }
}

/** From the top of the file to its end, then what has no line. */
function inOrder (problems: readonly ConfigProblem[]): ConfigProblem[] {
  return problems.toSorted((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity) || 0)
}
