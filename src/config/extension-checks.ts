/** Holds what routes say of own filters against the extensions that were loaded. */
import { readOptions } from '../extensions/options-schema.ts'
import type { FilterOptions, LoadedExtension } from '../extensions/extension.ts'
import { didYouMean, nearest, pointerTo, type ConfigProblem } from './problems.ts'
import type { RouteConfig } from './schema.ts'

export interface UsedExtension { readonly extension: LoadedExtension, readonly options: FilterOptions }

/** The extensions that a route uses, in the order in which they act, with its options; what is wrong is reported. */
export function extensionsOf (route: RouteConfig, index: number, extensions: readonly LoadedExtension[], report: (problem: ConfigProblem) => void): UsedExtension[] {
  const place = `/routes/${index}/extensions`
  const used: UsedExtension[] = []
  for (const [name, written] of Object.entries(route.extensions)) {
    if (extensions.some(extension => extension.name === name)) continue
    const suggestion = nearest(name, extensions.map(extension => extension.name))
    const loaded = extensions.length === 0 ? '; the list extensions is empty' : ` (${extensions.map(extension => extension.name).join(', ')})`
    if (written !== false) report({ path: pointerTo(place, name), rule: 'known-extension', message: `is no extension that is loaded${loaded}${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } })
  }
  for (const extension of extensions) {
    const written = Object.hasOwn(route.extensions, extension.name) ? route.extensions[extension.name] : undefined
    if (written === undefined || written === false) continue
    used.push({ extension, options: readOptions(extension.optionsSchema, written, pointerTo(place, extension.name), report) })
  }
  return used
}
