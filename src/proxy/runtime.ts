/**
 * Everything that a reload replaces, as one value: a request takes the runtime it began with and finishes on it.
 */
import type { Config, RouteConfig } from '../config/schema.ts'
import type { ScopeRules } from '../cache/restoring.ts'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import { createRouteTable, type RouteTable } from '../routing/route-table.ts'
import { createUpstream, type UpstreamDependencies } from '../upstream/upstream.ts'
import type { Upstream } from '../upstream/exchange.ts'
import { createProxyRoute, type ProxyRoute, type RouteFilters } from './proxy-route.ts'

export interface Runtime {
  readonly config: Config
  readonly table: RouteTable<ProxyRoute>
  readonly routes: readonly ProxyRoute[]
  readonly upstreams: ReadonlyMap<string, Upstream>
  readonly trust: Trust
}

/** Makes the filters of a route; called again for a route only if it changed. */
export type FilterFactory = (route: RouteConfig) => RouteFilters

/**
 * Builds the runtime for a configuration. What did not change is taken from `previous`: upstreams with their
 * connections and health, filters with their counters.
 */
export function createRuntime (config: Config, previous: Runtime | null, makeFilters: FilterFactory, dependencies: UpstreamDependencies): Runtime {
  const upstreams = new Map<string, Upstream>()
  for (const [name, settings] of Object.entries(config.upstreams)) {
    const before = previous?.upstreams.get(name)
    const unchanged = before !== undefined && same(settings, previous?.config.upstreams[name])
    upstreams.set(name, unchanged ? before : createUpstream(name, settings, dependencies))
  }

  const routesBefore = new Map(previous?.routes.map(route => [route.name, route]))
  const routes = config.routes.map(route => {
    const upstream = upstreams.get(route.upstream)
    if (upstream === undefined) throw new Error(`route ${route.name} names no upstream: ${route.upstream}`)
    const before = routesBefore.get(route.name)
    const keepFilters = before !== undefined && same([before.config.rateLimit, before.config.auth], [route.rateLimit, route.auth])
    return createProxyRoute(route, config, upstream, keepFilters ? before : makeFilters(route))
  })

  const trustUnchanged = previous !== null && same(config.server.trustedProxies, previous.config.server.trustedProxies)
  return {
    config,
    routes,
    upstreams,
    table: createRouteTable(routes.map(value => ({ match: value.config.match, value }))),
    trust: trustUnchanged ? previous.trust : createTrust(config.server.trustedProxies)
  }
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
