/** Reload, readiness and numbers of a running proxy. */
import type { HttpCache } from '../cache/http-cache.ts'
import type { Config } from '../config/schema.ts'
import type { HoldfastControl } from '../control.ts'
import { inPieces, type Pieces } from '../pieces.ts'
import type { Snapshots } from '../snapshot/snapshots.ts'
import type { FilterRegistry } from '../extensions/registry.ts'
import { chainsOf } from './chain.ts'
import type { TransformStatistics } from '../transform/statistics.ts'
import type { CacheCommand } from './command.ts'
import type { Queue } from './queue.ts'
import { retiredUpstreams, scopesOf, type Runtime } from './runtime.ts'

export interface ControlInput {
  readonly cache: HttpCache
  readonly command: CacheCommand
  readonly invalidate: HoldfastControl['invalidate']
  readonly current: () => Runtime
  readonly replace: (runtime: Runtime) => void
  readonly build: (config: Config, previous: Runtime) => Pieces<Runtime>
  /** What replaces the runtime, and what ends it. */
  readonly inOrder: Queue
  readonly filters: FilterRegistry
  readonly transforms: () => TransformStatistics
  /** Null where none are kept. */
  readonly snapshots: Pick<Snapshots, 'statistics'> | null
  readonly log: { info (details: object, message: string): void, error (details: object, message: string): void }
}

/** Settled when the process or the plugin starts; a reload names them and leaves them as they are. */
const fixedSections = ['admin', 'cache', 'extensions', 'loadShedding', 'log'] as const
const fixedServerOptions = ['host', 'port', 'backlog', 'limits', 'workers', 'drainTimeout'] as const

export function createControl (input: ControlInput): HoldfastControl {
  const { cache, inOrder } = input
  /** What was given at the start; set by the first reload, whose sections that are fixed may not come into force. */
  let atStart: Config | null = null

  return {
    get config () { return input.current().config },

    reload: config => inOrder(async () => {
      const before = input.current()
      atStart ??= before.config
      const after = await inPieces(input.build(config, before))
      const changed = await inPieces(changedParts(before.config, config))
      input.replace(after)
      for (const upstream of retiredUpstreams(before, after)) {
        upstream.close().catch((error: unknown) => { input.log.error({ err: error, upstream: upstream.name }, 'closing a replaced upstream failed') })
      }
      await cache.retainScopes(scopesOf(after))
      return { changed, needsRestart: fixedParts(atStart, config) }
    }),

    ...input.command,
    invalidate: input.invalidate,

    chains: () => chainsOf(input.current().routes, input.filters),

    isReady () {
      const upstreams = [...input.current().upstreams.values()]
      const ready = upstreams.some(upstream => upstream.isHealthy())
      return { ready, reasons: ready ? [] : ['no healthy upstream'] }
    },

    stats () {
      return {
        cache: cache.statistics(),
        ...input.snapshots !== null && { snapshot: input.snapshots.statistics() },
        upstreams: Object.fromEntries([...input.current().upstreams].map(([name, upstream]) => [name, upstream.stats()])),
        transforms: input.transforms()
      }
    }
  }
}

function * changedParts (before: Config, after: Config): Pieces<string[]> {
  const changed: string[] = []
  const names = new Set([...Object.keys(before.upstreams), ...Object.keys(after.upstreams)])
  for (const name of names) {
    if (differs(before.upstreams[name], after.upstreams[name])) changed.push(`upstreams/${name}`)
    yield
  }
  const routesBefore = new Map(before.routes.map(route => [route.name, route]))
  const routesAfter = new Map(after.routes.map(route => [route.name, route]))
  for (const name of new Set([...routesBefore.keys(), ...routesAfter.keys()])) {
    if (differs(routesBefore.get(name), routesAfter.get(name))) changed.push(`routes/${name}`)
    yield
  }
  for (const section of ['access', 'rateLimit', 'errorPages'] as const) if (differs(before[section], after[section])) changed.push(section)
  for (const option of ['trustedProxies', 'mergeSlashes', 'tls'] as const) {
    if (differs(before.server[option], after.server[option])) changed.push(`server/${option}`)
  }
  return changed
}

function fixedParts (atStart: Config, given: Config): string[] {
  return [
    ...fixedSections.filter(section => differs(atStart[section], given[section])),
    ...fixedServerOptions.filter(option => differs(atStart.server[option], given.server[option])).map(option => `server/${option}`)
  ]
}

function differs (a: unknown, b: unknown): boolean {
  return JSON.stringify(a) !== JSON.stringify(b)
}
