/** A route as the running proxy knows it: its configuration, made ready once. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { corsFieldNames } from '../access/cors.ts'
import { kindsOf, queryKeyNames } from '../auth/identity-fields.ts'
import type { UsedExtension } from '../config/extension-checks.ts'
import type { BoundFilter } from '../extensions/registry.ts'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import { createRequestRules, type RequestRules } from '../forward/request-rules.ts'
import { createResponseRules, type ResponseRules } from '../forward/response-rules.ts'
import { createUrlRules, type UrlRules } from '../forward/url-rules.ts'
import { segmentNames } from '../routing/pattern.ts'
import type { Config, RouteCacheConfig, RouteConfig } from '../config/schema.ts'
import { targetUrl } from '../config/upstream-checks.ts'
import { createErrorPages, type ErrorPages } from '../errors/error-pages.ts'
import type { FieldMap, MutableFieldMap } from '../http/fields.ts'
import type { RouteTransforms } from '../transform/route-transforms.ts'
import { limitsOf } from '../rate-limit/from-config.ts'
import { rateFieldNames } from '../rate-limit/rate-fields.ts'
import type { Upstream } from '../upstream/exchange.ts'
import type { Forwarding } from './forwarding.ts'

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
  readonly urlRules: UrlRules
  readonly requestRules: RequestRules
  readonly responseRules: ResponseRules
  /** Null where it has none. */
  readonly errorPages: ErrorPages | null
  /** Something of a response is decided only before it is sent. */
  readonly finishes: boolean
  /** Response fields that are the proxy's own on this route, in lower case: those of the origin server are neither stored nor passed on. */
  readonly reservedFields: ReadonlySet<string>
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
export function cacheScopeOf (route: RouteConfig, { own, transforms }: Pick<RouteFilters, 'own' | 'transforms'>): string {
  // Neither a quota nor pages in place of errors change what is stored. Neither do limits enough to matter: to set one must not
  // cost what is stored, with which a few fields about limits of the origin server may still be; clients pay no heed to them there.
  const rules = JSON.stringify([route.name, route.upstream, { ...route.cache, quota: undefined }, route.rewrite, { ...route.response, errorPages: undefined }, authRules(route.auth), route.cors !== undefined, transforms?.fingerprint, ...ownRules(own)])
  return `${route.name}.${createHash('sha256').update(rules).digest('base64url').slice(0, 8)}`
}

/** What of authentication decides on what is stored, and for whom; not who is let in, which is looked at before. */
function authRules (auth: RouteConfig['auth']): unknown {
  if (auth === undefined) return false
  const { shared, strip, identityField, claimFields } = auth
  return [shared, strip, identityField, claimFields, kindsOf(auth).map(kinds => [Object.keys(kinds), kinds.external?.url, kinds.external?.copyFields, kinds.jwt?.issuer])]
}

/** Which code and options decide on the responses; nothing for a route without own filters. */
function ownRules (own: OwnFilters | null): unknown[] {
  return own === null ? [] : [own.used.map(({ extension, options }) => [extension.name, extension.fingerprint, extension.options, options])]
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
  /** Counts a hit that is answered before Fastify has a request of it; null where that cannot be done. */
  readonly limitQuickly: ((clientAddress: string, fields: FieldMap) => string | null) | null
  /** What is done to content. */
  readonly transforms: RouteTransforms | null
  readonly own: OwnFilters | null
}

/** The filters of extensions that a route names (docs/extending.md). The response phases throw an `ExtensionFailure`. */
export interface OwnFilters {
  readonly used: readonly UsedExtension[]
  readonly onRequest: onRequestHookHandler
  readonly preHandler: onRequestHookHandler
  /** Changes `fields`, which are about to be stored and passed on. */
  beforeStoring (statusCode: number, fields: MutableFieldMap, forwarding: Forwarding, method: string): void
  /** @returns the lines to send in place of those that `lines` gives, or null to send them as they are */
  beforeSending (request: FastifyRequest, reply: FastifyReply, statusCode: number, lines: () => readonly string[]): readonly string[] | null
  readonly onEnd: ReadonlyArray<BoundFilter<'onEnd'>>
}

/** Fingerprint of the files that a route's filters are made from: their content may change where the settings do not. Throws when one cannot be read. */
export function filterFilesOf ({ auth }: RouteConfig): string {
  const files = auth === undefined ? [] : kindsOf(auth).flatMap(({ basic, jwt }) => [basic?.file, jwt?.keys.file]).filter(file => file !== undefined)
  if (files.length === 0) return ''
  const hash = createHash('sha256')
  for (const file of files) hash.update(readFileSync(file))
  return hash.digest('base64url')
}

/** The settings that filters are made from: as long as they are the same, so are the filters, with their counters. */
export function filterSettings ({ name, access, cors, rateLimit, auth, response, transforms, extensions }: RouteConfig, config: Config): object {
  return { name, access, cors, rateLimit, auth, compression: response.compression, transforms, extensions, global: [config.access, config.rateLimit] }
}

/** Fields about limits and cross-origin requests can only come from one of proxy and origin server. */
function reservedFieldsOf ({ cors, rateLimit }: RouteConfig, config: Config): ReadonlySet<string> {
  const tellsLimits = [...limitsOf(config.rateLimit), ...limitsOf(rateLimit)].some(({ fields }) => fields !== 'none')
  return new Set([...cors === undefined ? [] : corsFieldNames, ...tellsLimits ? rateFieldNames : []])
}

export function createProxyRoute (route: RouteConfig, config: Config, upstream: Upstream, { filters, filterFiles }: Pick<ProxyRoute, 'filters' | 'filterFiles'>, identityFields: ReadonlySet<string>): ProxyRoute {
  const segments = segmentNames(route.match.path)
  const responseRules = createResponseRules({ response: route.response, segments, rewrite: route.rewrite, origins: originsOf(route, config) })
  const errorPages = createErrorPages(route.response.errorPages)
  return {
    name: route.name,
    config: route,
    upstream,
    cacheScope: cacheScopeOf(route, filters),
    cacheEnabled: config.cache.enabled && route.cache.enabled,
    // A part is of no use where the whole may be transformed for each client.
    cacheRules: filters.transforms?.sends === true ? { ...route.cache, partial: false } : route.cache,
    maxBodyBytes: route.bodyBytes ?? config.server.limits.bodyBytes,
    maxStoredBytes: Math.min(route.cache.maxResponseBytes ?? config.cache.maxResponseBytes, config.cache.maxResponseBytes),
    filters,
    urlRules: createUrlRules(route.rewrite, segments, config.server.mergeSlashes),
    requestRules: createRequestRules(route.rewrite, segments),
    responseRules,
    errorPages,
    finishes: responseRules.sending !== null || errorPages?.replaceOthers === true,
    reservedFields: reservedFieldsOf(route, config),
    filterFiles,
    queryKeys: queryKeyNames(route.auth),
    identityFields,
    mayPurge: route.purge === undefined ? null : createTrust(route.purge.allow)
  }
}

/** How the upstream calls itself: by its targets, and by the `Host` that it gets where that is always the same. */
function originsOf (route: RouteConfig, { upstreams }: Config): readonly string[] {
  const upstream = upstreams[route.upstream]
  const host = route.rewrite.host ?? upstream?.host ?? 'upstream'
  return [...(upstream?.targets ?? []).map(targetUrl), ...host === 'upstream' || host === 'client' ? [] : [`http://${host}`, `https://${host}`]]
}
