/** What the routes' configuration means for the store that they share. */
import type { RouteConfig } from '../../config/schema.ts'
import type { RouteRules } from '../memory-store.ts'

export function routeRulesOf (routes: ReadonlyArray<Pick<RouteConfig, 'name' | 'cache'>>): RouteRules {
  return {
    quotas: new Map(routes.filter(({ cache }) => cache.quota > 0).map(({ name, cache }) => [name, cache.quota])),
    graceMs: routes.reduce((longest, { cache }) => Math.max(longest, cache.staleWhileRevalidate, cache.staleIfError), 0)
  }
}
