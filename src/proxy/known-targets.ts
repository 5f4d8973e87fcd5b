/**
 * What request targets as they stand in requests have led to. A busy proxy is asked for the same again and again: its
 * normalised target, route and cache key need not be worked out each time, and the key is the same string each time,
 * whose hash is known.
 */
import { primaryKey } from '../cache/key.ts'
import type { CacheRequest } from '../cache/http-cache.ts'
import { normaliseTarget, type RequestTarget } from '../http/target.ts'
import { requestKey } from './cache-key-of.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { Runtime } from './runtime.ts'

export interface KnownTarget {
  /** In which it is known. */
  readonly runtime: Runtime
  readonly target: RequestTarget
  readonly route: ProxyRoute
  readonly key: string
  /** For the lookup: all that does not depend on the fields of the request. */
  readonly request: Omit<CacheRequest, 'fields'>
}

export interface KnownTargets {
  /** Null where the request is not one that can be answered without looking closer. */
  of (method: string, scheme: 'http' | 'https', host: string, url: string): KnownTarget | null
}

/** Where the long way finds on a request what the quick look has found out of it. */
export const knownTarget: unique symbol = Symbol('holdfast.knownTarget')

export interface LookedAt { [knownTarget]?: KnownTarget }

/** The request of the lookup with the fields of this one. Written out: spreading would cost more than the lookup. */
export function requestOf ({ request: known }: KnownTarget, fields: CacheRequest['fields']): CacheRequest {
  const { scope, scheme, authority, path, query, extra, method, rules, enabled, hasContent, authenticated, common, personal, showKey } = known
  return { scope, scheme, authority, path, query, extra, method, fields, rules, enabled, hasContent, authenticated, common, personal, showKey }
}

/** Remembered for each runtime; all are dropped when there are as many. Longer texts are not remembered, so that memory is bounded. */
const maxKnown = 20_000
const maxLength = 512
/** Hashes of URLs that were asked for once; a power of two. What is asked for once and never again is not worth remembering. */
const sightings = 16_384

/**
 * @param isQuick whether hits on a route may be answered without its filters
 */
export function createKnownTargets (runtime: Runtime, isQuick: (route: ProxyRoute) => boolean): KnownTargets {
  /** By URL within scheme, method and host. */
  const known = new Map<string, Map<string, KnownTarget | null>>()
  let size = 0
  let lastName = ''
  let last: Map<string, KnownTarget | null> | undefined

  function find (method: string, scheme: 'http' | 'https', host: string, url: string): KnownTarget | null {
    const decision = normaliseTarget({ method, target: url, hostLines: [host], httpVersion: '1.1', scheme, mergeSlashes: runtime.config.server.mergeSlashes })
    if (!decision.ok) return null
    const { target } = decision
    const route = runtime.table.match(target.host, target.path, method)
    if (route === null || !isQuick(route)) return null
    const { urlRules } = route
    const path = urlRules.path(target.path)
    if (path === null) return null
    const query = urlRules.query({ scheme, host: target.host, path: target.path, query: target.query }, null)
    const parts = requestKey({ route, target, path, query, keyed: null, keyParts: null, identity: null, identityFields: null }, {}, '')
    return {
      runtime,
      target,
      route,
      key: primaryKey(parts),
      request: { ...parts, method, rules: route.cacheRules, enabled: route.cacheEnabled, hasContent: false, authenticated: false, common: false, personal: false, showKey: runtime.config.cache.statusKey }
    }
  }

  const seen = new Int32Array(sightings)

  function wasSeen (url: string): boolean {
    let hash = 0x811c9dc5
    for (let i = 0; i < url.length; i++) hash = Math.imul(hash ^ url.charCodeAt(i), 0x01000193)
    hash ^= hash >>> 15
    const place = hash & (sightings - 1)
    if (seen[place] === hash) return true
    seen[place] = hash
    return false
  }

  return {
    of (method, scheme, host, url) {
      const name = `${method} ${scheme}://${host}`
      if (name !== lastName || last === undefined) {
        lastName = name
        last = known.get(name)
      }
      const present = last?.get(url)
      if (present !== undefined) return present
      const found = find(method, scheme, host, url)
      if (host.length + url.length > maxLength || !wasSeen(url)) return found
      if (size >= maxKnown) {
        known.clear()
        last = undefined
        size = 0
      }
      if (last === undefined) known.set(name, last = new Map())
      last.set(url, found)
      size++
      return found
    }
  }
}
