/**
 * Everything that a reload replaces, as one value: a request takes the runtime it began with and finishes on it.
 */
import type { Pieces } from '../pieces.ts'
import { identityFieldsByUpstream } from '../auth/identity-fields.ts'
import type { Config, RouteConfig } from '../config/schema.ts'
import type { ScopeRules } from '../cache/restoring.ts'
import { createErrorPages, type ErrorPages } from '../errors/error-pages.ts'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import { routeTablePieces, type RouteTable } from '../routing/route-table.ts'
import { createUpstream, type UpstreamDependencies } from '../upstream/upstream.ts'
import type { Upstream } from '../upstream/exchange.ts'
import { createProxyRoute, filterFilesOf, filterSettings, type ProxyRoute, type RouteFilters } from './proxy-route.ts'

export interface Runtime {
  readonly config: Config
  readonly table: RouteTable<ProxyRoute>
  readonly routes: readonly ProxyRoute[]
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly trust: Trust
  /** For errors of our own where the route has no page. */
  readonly errorPages: ErrorPages | null
}

/** Makes the filters of a route, the one at `index` of the list; called again for a route only if its settings, or those for all routes, changed. */
export type FilterFactory = (route: RouteConfig, config: Config, index: number) => RouteFilters

/**
 * Builds the runtime for a configuration, some routes at a time. What did not change is taken from `previous`: upstreams with
 * their connections and health, filters with their counters. Nothing is left of what cannot be built.
 */
export function * createRuntime (config: Config, previous: Runtime | null, makeFilters: FilterFactory, dependencies: UpstreamDependencies): Pieces<Runtime> {
  const upstreams = new Map<string, Upstream>()
  try {
    for (const [name, settings] of Object.entries(config.upstreams)) {
      const before = previous?.upstreams.get(name)
      const unchanged = before !== undefined && same(settings, previous?.config.upstreams[name])
      upstreams.set(name, unchanged ? before : createUpstream(name, settings, dependencies))
      yield
    }
    const routes = yield * createRoutes(config, previous, upstreams, makeFilters)
    const trustUnchanged = previous !== null && same(config.server.trustedProxies, previous.config.server.trustedProxies)
    return {
      config,
      routes,
      upstreams,
      table: yield * routeTablePieces(routes.map(value => ({ match: value.config.match, value }))),
      errorPages: createErrorPages(config.errorPages),
      trust: trustUnchanged ? previous.trust : createTrust(config.server.trustedProxies)
    }
  } catch (error) {
    for (const [name, upstream] of upstreams) {
      if (previous?.upstreams.get(name) !== upstream) upstream.destroy().catch(() => {})
    }
    throw error
  }
}

function * createRoutes (config: Config, previous: Runtime | null, upstreams: ReadonlyMap<string, Upstream>, makeFilters: FilterFactory): Pieces<readonly ProxyRoute[]> {
  const identityFields = identityFieldsByUpstream(config.routes)
  const routesBefore = new Map(previous?.routes.map(route => [route.name, route]))
  const routes: ProxyRoute[] = []
  for (const [index, route] of config.routes.entries()) {
    const upstream = upstreams.get(route.upstream)
    if (upstream === undefined) throw new Error(`route ${route.name} names no upstream: ${route.upstream}`)
    const before = routesBefore.get(route.name)
    const filterFiles = filterFilesOf(route)
    const keepFilters = before !== undefined && same(filterSettings(before.config, previous?.config as Config), filterSettings(route, config)) && before.filterFiles === filterFiles
    routes.push(createProxyRoute(route, config, upstream, keepFilters ? before : { filters: makeFilters(route, config, index), filterFiles }, identityFields.get(route.upstream) ?? new Set()))
    yield
  }
  return routes
}

/** The cache scopes in force, and their rules. */
export function scopesOf ({ routes }: Runtime): ScopeRules {
  return new Map(routes.map(route => [route.cacheScope, route.config.cache]))
}

/** Upstreams of `before` that `after` no longer uses. */
export function retiredUpstreams (before: Runtime, after: Runtime): Upstream[] {
  return [...before.upstreams].filter(([name, upstream]) => after.upstreams.get(name) !== upstream).map(([, upstream]) => upstream)
}

function same (a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
