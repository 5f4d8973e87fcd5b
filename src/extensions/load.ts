/** Loads the modules that a configuration names. */
import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { ConfigError, type ConfigProblem } from '../config/problems.ts'
import type { ExtensionsConfig } from '../config/schema.ts'
import { isPath, nameOfFile, resolveModule } from './resolve.ts'
import { noOptions, readOptions, readOptionsSchema } from './options-schema.ts'
import type { Extension, ExtensionPlugin, LoadedExtension } from './extension.ts'

type Report = (problem: ConfigProblem) => void

const defaultTimeoutMs = 30_000
const ofApplication = '(application)'
const namePattern = /^[A-Za-z0-9@][A-Za-z0-9@/._-]{0,63}$/

/**
 * Imports every module in order, which runs them; those that cannot be used are reported. Never throws. Node keeps what it
 * has imported: a file that changed since is not read again.
 * @param from folder that relative paths and packages are looked up from
 */
export async function loadExtensions (entries: ExtensionsConfig, from: string, report: Report): Promise<LoadedExtension[]> {
  const loaded: LoadedExtension[] = []
  for (const [index, entry] of entries.entries()) {
    const place = `/extensions/${index}`
    const { file: named, options, timeout } = typeof entry === 'string' ? { file: entry, options: undefined, timeout: defaultTimeoutMs } : entry
    const path = typeof entry === 'string' ? place : `${place}/file`
    const module = await importModule(named, from, problem => { report({ ...problem, path, value: named }) })
    if (module === null) continue
    const extension = read({
      ...moduleExtension(module.exports),
      fallbackName: nameOfFile(module.file),
      file: module.file,
      fingerprint: module.fingerprint,
      options,
      timeoutMs: timeout
    }, path, `${place}/options`, report)
    if (extension !== null) addNamed(loaded, extension, path, report)
  }
  return loaded
}

/** Takes extensions that an application gives as values. Throws a `ConfigError`. */
export function takeExtensions (given: ReadonlyArray<Extension | ExtensionPlugin>, loaded: readonly LoadedExtension[]): LoadedExtension[] {
  const problems: ConfigProblem[] = []
  const all = [...loaded]
  for (const [index, one] of given.entries()) {
    const { timeoutMs = defaultTimeoutMs, ...extension } = typeof one === 'function' ? { plugin: one } : one
    const path = `/extensions/${index}`
    const taken = read({ ...extension, timeoutMs, fallbackName: extension.plugin?.name ?? '', file: ofApplication, fingerprint: '' }, path, `${path}/options`, problem => { problems.push(problem) })
    if (taken !== null) addNamed(all, taken, path, problem => { problems.push(problem) })
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return all
}

function addNamed (all: LoadedExtension[], extension: LoadedExtension, path: string, report: Report): void {
  if (all.some(({ name }) => name === extension.name)) return report({ path, rule: 'unique-extension', value: extension.name, message: 'is called as another extension is; export a name of its own' })
  all.push(extension)
}

interface Module { readonly exports: Readonly<Record<string, unknown>>, readonly file: string, readonly fingerprint: string }

async function importModule (named: string, from: string, report: (problem: Omit<ConfigProblem, 'path'>) => void): Promise<Module | null> {
  let file: string
  try {
    file = resolveModule(named, from)
    if (!(await stat(file)).isFile()) throw Object.assign(new Error('it is no file'), { code: 'EISDIR' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const missing = code === 'ENOENT' || code === 'MODULE_NOT_FOUND'
    report({ rule: 'readable-file', message: `cannot be loaded: ${missing ? isPath(named) ? 'there is no such file' : 'there is no such package' : (error as Error).message}` })
    return null
  }
  try {
    const text = await readFile(file)
    const exports = await import(pathToFileURL(file).href) as Readonly<Record<string, unknown>>
    return { exports, file, fingerprint: createHash('sha256').update(text).digest('base64url').slice(0, 16) }
  } catch (error) {
    report({ rule: 'extension', message: `cannot be loaded: ${reasonOf(error)}` })
    return null
  }
}

/** One line, without the path in front of it that a syntax error has. */
function reasonOf (error: unknown): string {
  return (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).replace(/\s+/g, ' ').slice(0, 300)
}

/** The default export of a CommonJS module holds its other exports. */
function moduleExtension (exports: Readonly<Record<string, unknown>>): Partial<Extension> {
  const given = exports['default']
  const holder = typeof given === 'object' && given !== null && 'default' in given ? given as Readonly<Record<string, unknown>> : exports
  const { default: plugin, name, optionsSchema, pluginOptionsSchema } = { ...typeof given === 'function' ? (given as unknown as Record<string, unknown>) : {}, ...holder }
  return { plugin, name, optionsSchema, pluginOptionsSchema } as Partial<Extension>
}

type Unread = { readonly [K in keyof Extension]?: Extension[K] | undefined } & Pick<LoadedExtension, 'file' | 'fingerprint' | 'timeoutMs'> & { readonly fallbackName: string }

function read (unread: Unread, path: string, optionsPath: string, report: Report): LoadedExtension | null {
  const { plugin, file, fingerprint, timeoutMs } = unread
  const fault = (message: string, value?: unknown): null => {
    report({ path, rule: 'extension', message, ...value !== undefined && { value } })
    return null
  }
  if (typeof plugin !== 'function') return fault('must export a Fastify plugin, a function, as its default', file)
  const name: unknown = unread.name ?? metaNameOf(plugin) ?? unread.fallbackName
  if (typeof name !== 'string' || !namePattern.test(name)) return fault('must have a name of 1 to 64 letters, digits, dots, dashes or underscores', name)
  let optionsSchema = noOptions
  let problems = 0
  let options = unread.options ?? {}
  try {
    if (unread.optionsSchema !== undefined) optionsSchema = readOptionsSchema(unread.optionsSchema)
    if (unread.pluginOptionsSchema !== undefined) {
      options = readOptions(readOptionsSchema(unread.pluginOptionsSchema), options, optionsPath, problem => {
        problems++
        report(problem)
      })
    }
  } catch (error) {
    return fault(`has a schema that cannot be used: ${(error as Error).message}`, file)
  }
  return problems > 0 ? null : { name, file, fingerprint, plugin, optionsSchema, options, timeoutMs }
}

/** The name that `fastify-plugin` was told. */
function metaNameOf (plugin: ExtensionPlugin): string | undefined {
  const meta = (plugin as unknown as Record<symbol, { name?: string } | undefined>)[Symbol.for('plugin-meta')]
  // It invents one for a plugin that has none.
  return meta?.name?.includes('-auto-') === true ? undefined : meta?.name
}
