/** Finds the file that a configuration means by a path or the name of a package. */
import { readFileSync } from 'node:fs'
import { createRequire, findPackageJSON } from 'node:module'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { isPlain } from '../config/plain.ts'

/** Whether it is a path and no name of a package. */
export function isPath (named: string): boolean {
  return /^\.{0,2}\//.test(named)
}

/**
 * @param folder that relative paths and packages are looked up from
 * @returns an absolute path, which need not exist; throws where there is no such package, or none that can be imported
 */
export function resolveModule (named: string, folder: string): string {
  if (isPath(named)) return resolve(folder, named)
  const base = join(folder, 'holdfast.yaml')
  try {
    return createRequire(base).resolve(named)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error
    // It is made for `import` alone.
    const manifest = findPackageJSON(named, base)
    const entry = manifest === undefined ? null : importEntry((JSON.parse(readFileSync(manifest, 'utf8')) as { exports?: unknown }).exports)
    if (manifest === undefined || entry === null) throw error
    return join(dirname(manifest), entry)
  }
}

/** What `exports` of a package leads an `import` of its name to. */
function importEntry (exports: unknown): string | null {
  if (typeof exports === 'string') return exports
  if (!isPlain(exports)) return null
  for (const condition of ['.', 'import', 'node', 'default']) {
    const entry = importEntry(exports[condition])
    if (entry !== null) return entry
  }
  return null
}

/** What an extension is called that says no name: the package, or the file without its ending. */
export function nameOfFile (file: string): string {
  const parts = file.split(/[\\/]/)
  const modules = parts.lastIndexOf('node_modules')
  const [first = '', second = ''] = modules === -1 ? [] : parts.slice(modules + 1)
  if (first === '') return basename(file, extname(file))
  return first.startsWith('@') ? `${first}/${second}` : first
}
