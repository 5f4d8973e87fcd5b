/** What each route has in the store, and how often it was of use. */
import type { StoredEntry } from './store.ts'

export interface RouteUsage {
  entries: number
  bytes: number
  /** Requests answered with its stored responses. */
  hits: number
}

/** Scopes known; each change of a route's rules makes a new one. */
const maxScopes = 1000

/** The name of the route that a scope is of: what stands before the dot and the fingerprint (`cacheScopeOf`). */
export function routeOfScope (scope: string): string {
  return scope.slice(0, Math.max(0, scope.lastIndexOf('.')))
}

export interface RouteUsages {
  add (entry: StoredEntry): void
  remove (entry: StoredEntry): void
  hit (entry: StoredEntry): void
  /** Nothing is stored any more. */
  clear (): void
  /** By route: those that have something stored. */
  statistics (): Record<string, Readonly<RouteUsage>>
}

export function createRouteUsages (): RouteUsages {
  const byRoute = new Map<string, RouteUsage>()
  const byScope = new Map<string, RouteUsage>()
  // Most come one after the other on the same route.
  let lastScope = ''
  let last: RouteUsage | undefined

  function of ({ scope }: StoredEntry): RouteUsage {
    if (scope === lastScope && last !== undefined) return last
    const found = byScope.get(scope) ?? create(scope)
    lastScope = scope
    last = found
    return found
  }

  function create (scope: string): RouteUsage {
    if (byScope.size >= maxScopes) forgetEmpty()
    const route = routeOfScope(scope)
    const usage = byRoute.get(route) ?? { entries: 0, bytes: 0, hits: 0 }
    byRoute.set(route, usage)
    byScope.set(scope, usage)
    return usage
  }

  function forgetEmpty (): void {
    byScope.clear()
    for (const [route, { entries }] of byRoute) if (entries === 0) byRoute.delete(route)
  }

  return {
    add (entry) {
      const usage = of(entry)
      usage.entries++
      usage.bytes += entry.sizeBytes
    },
    remove (entry) {
      const usage = of(entry)
      usage.entries--
      usage.bytes -= entry.sizeBytes
    },
    hit (entry) { of(entry).hits++ },
    clear () { for (const usage of byRoute.values()) usage.entries = usage.bytes = 0 },
    statistics: () => Object.fromEntries([...byRoute].filter(([, { entries }]) => entries > 0).map(([route, usage]) => [route, { ...usage }]))
  }
}
