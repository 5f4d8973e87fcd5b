/** The filters that extensions have added, by extension and phase, and how often they failed. */
import { filterPhases, type ExtensionFailure, type FilterKinds, type FilterOptions, type FilterPhase, type LoadedExtension } from './extension.ts'

interface RegisteredFilter<P extends FilterPhase> {
  readonly extension: LoadedExtension
  readonly act: FilterKinds[P]
}

/** A filter as a route uses it. */
export interface BoundFilter<P extends FilterPhase> extends RegisteredFilter<P> { readonly options: FilterOptions }

/** Names of extensions come from the configuration, so that there are few of these. */
interface FailureCount { readonly extension: string, readonly phase: string, readonly code: string, count: number }

export interface FilterRegistry {
  add<P extends FilterPhase> (extension: LoadedExtension, phase: P, act: FilterKinds[P]): void
  /** In the order in which they were added. */
  of<P extends FilterPhase> (extension: LoadedExtension, phase: P): ReadonlyArray<RegisteredFilter<P>>
  /** A hook of Fastify's that an extension has added for every route. */
  addHook (extension: LoadedExtension, hook: string): void
  hooks (): ReadonlyArray<{ readonly extension: LoadedExtension, readonly hook: string }>
  noteFailure (failure: ExtensionFailure): void
  failures (): Iterable<FailureCount>
}

export function createFilterRegistry (): FilterRegistry {
  const filters: { [P in FilterPhase]: Array<RegisteredFilter<P>> } = { onRequest: [], preHandler: [], beforeStoring: [], beforeSending: [], onEnd: [] }
  const hooks: Array<{ extension: LoadedExtension, hook: string }> = []
  const failures = new Map<string, FailureCount>()

  return {
    add (extension, phase, act) {
      if (!filterPhases.includes(phase)) throw new TypeError(`there is no phase ${String(phase)}; it is one of ${filterPhases.join(', ')}`)
      if (typeof act !== 'function') throw new TypeError(`a filter in ${phase} must be a function`)
      filters[phase].push({ extension, act })
    },
    of: (extension, phase) => filters[phase].filter(filter => filter.extension === extension),
    addHook: (extension, hook) => { hooks.push({ extension, hook }) },
    hooks: () => hooks,

    noteFailure ({ extension, phase, code }) {
      const key = `${extension} ${phase} ${code}`
      const known = failures.get(key)
      if (known === undefined) failures.set(key, { extension, phase, code, count: 1 })
      else known.count++
    },

    failures: () => failures.values()
  }
}
