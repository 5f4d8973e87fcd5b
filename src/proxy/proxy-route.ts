/** A route as the running proxy knows it: its configuration, made ready once. */
import { createHash } from 'node:crypto'
import type { onRequestHookHandler } from 'fastify'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import type { Config, RouteConfig } from '../config/schema.ts'
import type { Upstream } from '../upstream/exchange.ts'

export interface ProxyRoute {
  readonly name: string
  readonly config: RouteConfig
  readonly upstream: Upstream
  /** Fingerprint of all that decides what is stored; what was stored under another one is not reused. */
  readonly cacheScope: string
  readonly cacheEnabled: boolean
  /** Bound on request content, in bytes. */
  readonly maxBodyBytes: number
  /** Bound on the content of one stored response, in bytes. */
  readonly maxStoredBytes: number
  /** The filters of the onRequest phase, in order; absent ones cost nothing. */
  readonly rateLimit: onRequestHookHandler | null
  readonly authenticate: onRequestHookHandler | null
  /** Whose `PURGE` is carried out; null where the method is one like any other. */
  readonly mayPurge: Trust | null
}

/** Same route name and same rules: same scope, so stored responses survive a reload that changes something else. */
export function cacheScopeOf (route: RouteConfig): string {
  const rules = JSON.stringify([route.name, route.upstream, route.cache, route.rewrite, route.response, route.auth !== undefined])
  return `${route.name}.${createHash('sha256').update(rules).digest('base64url').slice(0, 8)}`
}

export interface RouteFilters {
  readonly rateLimit: onRequestHookHandler | null
  readonly authenticate: onRequestHookHandler | null
}

export function createProxyRoute (route: RouteConfig, config: Config, upstream: Upstream, filters: RouteFilters): ProxyRoute {
  return {
    name: route.name,
    config: route,
    upstream,
    cacheScope: cacheScopeOf(route),
    cacheEnabled: config.cache.enabled && route.cache.enabled,
    maxBodyBytes: route.bodyBytes ?? config.server.limits.bodyBytes,
    maxStoredBytes: Math.min(route.cache.maxResponseBytes ?? config.cache.maxResponseBytes, config.cache.maxResponseBytes),
    rateLimit: filters.rateLimit,
    authenticate: filters.authenticate,
    mayPurge: route.purge === undefined ? null : createTrust(route.purge.allow)
  }
}
