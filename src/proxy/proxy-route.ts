/** A route as the running proxy knows it: its configuration, made ready once. */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { corsFieldNames } from '../access/cors.ts'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import type { Config, RouteConfig } from '../config/schema.ts'
import { limitsOf } from '../rate-limit/from-config.ts'
import { rateFieldNames } from '../rate-limit/rate-fields.ts'
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
  readonly filters: RouteFilters
  /** Response fields that are the proxy's own on this route, in lower case: those of the origin server are neither stored nor passed on. */
  readonly ownFields: ReadonlySet<string>
  /** Whose `PURGE` is carried out; null where the method is one like any other. */
  readonly mayPurge: Trust | null
}

/** Same route name and same rules: same scope, so stored responses survive a reload that changes something else. */
export function cacheScopeOf (route: RouteConfig): string {
  // A quota does not change what is stored. Neither do limits enough to matter: to set one must not cost what is stored,
  // with which a few fields about limits of the origin server may still be; clients pay no heed to them there.
  const rules = JSON.stringify([route.name, route.upstream, { ...route.cache, quota: undefined }, route.rewrite, route.response, route.auth !== undefined, route.cors !== undefined])
  return `${route.name}.${createHash('sha256').update(rules).digest('base64url').slice(0, 8)}`
}

/** What the built-in filters made of a route's settings, in the order in which they act; null for one that it does not use. */
export interface RouteFilters {
  readonly checkAccess: onRequestHookHandler | null
  readonly handleCors: onRequestHookHandler | null
  readonly limitRate: onRequestHookHandler | null
  readonly authenticate: onRequestHookHandler | null
  readonly limitIdentity: onRequestHookHandler | null
  /** Called before a hit is sent, which may cost less. */
  readonly settleHit: ((request: FastifyRequest, reply: FastifyReply) => void) | null
  readonly limitForwarded: onRequestHookHandler | null
}

/** The settings that filters are made from: as long as they are the same, so are the filters, with their counters. */
export function filterSettings ({ access, cors, rateLimit, auth }: RouteConfig, config: Config): object {
  return { access, cors, rateLimit, auth, global: [config.access, config.rateLimit] }
}

/** Fields about limits and cross-origin requests can only come from one of proxy and origin server. */
function ownFieldsOf ({ cors, rateLimit }: RouteConfig, config: Config): ReadonlySet<string> {
  const tellsLimits = [...limitsOf(config.rateLimit), ...limitsOf(rateLimit)].some(({ fields }) => fields !== 'none')
  return new Set([...cors === undefined ? [] : corsFieldNames, ...tellsLimits ? rateFieldNames : []])
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
    filters,
    ownFields: ownFieldsOf(route, config),
    mayPurge: route.purge === undefined ? null : createTrust(route.purge.allow)
  }
}
