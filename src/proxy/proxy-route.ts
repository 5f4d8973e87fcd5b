/** A route as the running proxy knows it: its configuration, made ready once. */
import { createHash } from 'node:crypto'
import type { onRequestHookHandler } from 'fastify'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import type { Config, RouteCacheConfig, RouteConfig } from '../config/schema.ts'
import type { RouteTransforms } from '../transform/route-transforms.ts'
import type { Upstream } from '../upstream/exchange.ts'

export interface ProxyRoute {
  readonly name: string
  readonly config: RouteConfig
  readonly upstream: Upstream
  /** Fingerprint of all that decides what is stored; what was stored under another one is not reused. */
  readonly cacheScope: string
  readonly cacheEnabled: boolean
  readonly cacheRules: RouteCacheConfig
  /** Bound on request content, in bytes. */
  readonly maxBodyBytes: number
  /** Bound on the content of one stored response, in bytes. */
  readonly maxStoredBytes: number
  readonly filters: RouteFilters
  /** Whose `PURGE` is carried out; null where the method is one like any other. */
  readonly mayPurge: Trust | null
}

/** Same route name and same rules: same scope, so stored responses survive a reload that changes something else. */
export function cacheScopeOf (route: RouteConfig, transforms: RouteTransforms | null): string {
  // A quota does not change what is stored.
  const rules = JSON.stringify([route.name, route.upstream, { ...route.cache, quota: undefined }, route.rewrite, route.response, route.auth !== undefined, transforms?.fingerprint])
  return `${route.name}.${createHash('sha256').update(rules).digest('base64url').slice(0, 8)}`
}

/** What the built-in filters made of a route's settings, in the order in which they act; null for one that it does not use. */
export interface RouteFilters {
  readonly limitRate: onRequestHookHandler | null
  readonly authenticate: onRequestHookHandler | null
  /** What is done to content. */
  readonly transforms: RouteTransforms | null
}

/** The settings that filters are made from: as long as they are the same, so are the filters, with their counters. */
export function filterSettings ({ name, rateLimit, auth, response, transforms }: RouteConfig): object {
  return { name, rateLimit, auth, compression: response.compression, transforms }
}

export function createProxyRoute (route: RouteConfig, config: Config, upstream: Upstream, filters: RouteFilters): ProxyRoute {
  return {
    name: route.name,
    config: route,
    upstream,
    cacheScope: cacheScopeOf(route, filters.transforms),
    cacheEnabled: config.cache.enabled && route.cache.enabled,
    // A part is of no use where the whole may be transformed for each client.
    cacheRules: filters.transforms?.sends === true ? { ...route.cache, partial: false } : route.cache,
    maxBodyBytes: route.bodyBytes ?? config.server.limits.bodyBytes,
    maxStoredBytes: Math.min(route.cache.maxResponseBytes ?? config.cache.maxResponseBytes, config.cache.maxResponseBytes),
    filters,
    mayPurge: route.purge === undefined ? null : createTrust(route.purge.allow)
  }
}
