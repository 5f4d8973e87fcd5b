/** A route as the running proxy knows it: its configuration, made ready once. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { onRequestHookHandler } from 'fastify'
import { identityFieldNames, kindsOf, queryKeyNames } from '../auth/identity-fields.ts'
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
  readonly filters: RouteFilters
  /** Fingerprint of the files that the filters were made from. */
  readonly filterFiles: string
  /** Query parameters that may carry a key. */
  readonly queryKeys: readonly string[]
  /** Request fields that only authentication may set for this route's upstream, as `dropForged` compares them. */
  readonly identityFields: ReadonlySet<string>
  /** Whose `PURGE` is carried out; null where the method is one like any other. */
  readonly mayPurge: Trust | null
}

/** Same route name and same rules: same scope, so stored responses survive a reload that changes something else. */
export function cacheScopeOf (route: RouteConfig): string {
  // A quota does not change what is stored.
  const rules = JSON.stringify([route.name, route.upstream, { ...route.cache, quota: undefined }, route.rewrite, route.response, authRules(route.auth)])
  return `${route.name}.${createHash('sha256').update(rules).digest('base64url').slice(0, 8)}`
}

/** What of authentication decides on what is stored, and for whom; not who is let in, which is looked at before. */
function authRules (auth: RouteConfig['auth']): unknown {
  if (auth === undefined) return false
  const { shared, strip, identityField, claimFields } = auth
  return [shared, strip, identityField, claimFields, kindsOf(auth).map(kinds => [Object.keys(kinds), kinds.external?.url, kinds.external?.copyFields, kinds.jwt?.issuer])]
}

/** What the built-in filters made of a route's settings, in the order in which they act; null for one that it does not use. */
export interface RouteFilters {
  readonly limitRate: onRequestHookHandler | null
  readonly authenticate: onRequestHookHandler | null
}

/** Fingerprint of the files that a route's filters are made from: their content may change where the settings do not. Throws when one cannot be read. */
export function filterFilesOf ({ auth }: RouteConfig): string {
  const files = auth === undefined ? [] : kindsOf(auth).flatMap(({ basic, jwt }) => [basic?.file, jwt?.keys.file]).filter(file => file !== undefined)
  if (files.length === 0) return ''
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest('base64url')
}

/** Names of the request fields that authentication sets on any route, by upstream: what clients must not say on any other route to it. */
export function identityFieldsByUpstream (routes: readonly RouteConfig[]): ReadonlyMap<string, ReadonlySet<string>> {
  const byUpstream = new Map<string, Set<string>>()
  for (const { upstream, auth } of routes) {
    const names = byUpstream.get(upstream) ?? new Set()
    for (const name of identityFieldNames(auth)) names.add(name)
    byUpstream.set(upstream, names)
  }
  return byUpstream
}

/** The settings that filters are made from: as long as they are the same, so are the filters, with their counters. */
export function filterSettings ({ rateLimit, auth }: RouteConfig): object {
  return { rateLimit, auth }
}

export function createProxyRoute (route: RouteConfig, config: Config, upstream: Upstream, { filters, filterFiles }: Pick<ProxyRoute, 'filters' | 'filterFiles'>, identityFields: ReadonlySet<string>): ProxyRoute {
  return {
    name: route.name,
    config: route,
    upstream,
    cacheScope: cacheScopeOf(route),
    cacheEnabled: config.cache.enabled && route.cache.enabled,
    maxBodyBytes: route.bodyBytes ?? config.server.limits.bodyBytes,
    maxStoredBytes: Math.min(route.cache.maxResponseBytes ?? config.cache.maxResponseBytes, config.cache.maxResponseBytes),
    filters,
    filterFiles,
    queryKeys: queryKeyNames(route.auth),
    identityFields,
    mayPurge: route.purge === undefined ? null : createTrust(route.purge.allow)
  }
}
