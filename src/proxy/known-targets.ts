/**
 * What request targets lead to: their normalised form, route and cache key, where that depends on the URL alone.
 *
 * Most targets are plain: normalising would change nothing, which one look at each octet tells. For those all is put together
 * anew from what is known of their host and route, for among many URLs nothing remembered would be in the processor's
 * caches, and to fetch it takes longer. The others are remembered once they were asked for twice.
 */
import { uriKeysOf, type KeyParts } from '../cache/key.ts'
import type { CacheRequest } from '../cache/http-cache.ts'
import { parseAuthority, type Authority } from '../http/authority.ts'
import { isPlainTarget, normaliseTarget, type RequestTarget } from '../http/target.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { Runtime } from './runtime.ts'

export interface KnownTarget {
  /** In which it is known. */
  readonly runtime: Runtime
  readonly target: RequestTarget
  readonly route: ProxyRoute
  readonly key: string
  /** As in the key. */
  readonly path: string
  readonly query: string
  readonly way: Way
}

/** What the requests of one host on one route have in common. */
interface Way {
  readonly request: Omit<CacheRequest, 'fields' | 'path' | 'query'>
  readonly keyOf: (path: string, query: string) => string
}

export interface KnownTargets {
  /** Null where the request is not one that can be answered without looking closer. */
  of (method: string, scheme: 'http' | 'https', host: string, url: string): KnownTarget | null
}

/** Where the long way finds on a request what the quick look has found out of it. */
export const knownTarget: unique symbol = Symbol('holdfast.knownTarget')

export interface LookedAt { [knownTarget]?: KnownTarget }

/** The request of the lookup with the fields of this one. Written out: spreading would cost more than the lookup. */
export function requestOf ({ path, query, way }: Pick<KnownTarget, 'path' | 'query' | 'way'>, fields: CacheRequest['fields']): CacheRequest {
  const { scope, scheme, authority, extra, method, rules, enabled, hasContent, authenticated, common, personal, showKey } = way.request
  return { scope, scheme, authority, path, query, extra, method, fields, rules, enabled, hasContent, authenticated, common, personal, showKey }
}

/** Targets, hosts and routes remembered for each runtime; all are dropped when there are as many. Longer texts are not remembered, so that memory is bounded. */
const maxKnown = 20_000
const maxLength = 512
/** Hashes of URLs that were asked for once; a power of two. What is asked for once and never again is not worth remembering. */
const sightings = 16_384

/** What is known of the requests of one method, scheme and `Host`. */
interface Place {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  /** Null for what no host can be. */
  readonly authority: Authority | null
  /** Null for a route that cannot answer quickly. */
  readonly ways: Map<ProxyRoute, Way | null>
  /** By URL: those that are not plain. */
  readonly targets: Map<string, KnownTarget | null>
}

/**
 * @param isQuick whether hits on a route may be answered without its filters
 */
export function createKnownTargets (runtime: Runtime, isQuick: (route: ProxyRoute) => boolean): KnownTargets {
  const places = new Map<string, Place>()
  const seen = createSightings()
  let size = 0
  // Most requests come one after the other to the same host and route.
  let last = createPlace('', 'http', '', null)
  let lastRoute: ProxyRoute | null = null
  let lastWay: Way | null = null

  function placeOf (method: string, scheme: 'http' | 'https', host: string): Place {
    if (last.method === method && last.scheme === scheme && last.host === host) return last
    const name = `${method} ${scheme}://${host}`
    let place = places.get(name)
    if (place === undefined) {
      place = createPlace(method, scheme, host, parseAuthority(host, scheme))
      if (host.length <= maxLength) remember(places, name, place)
    }
    last = place
    lastRoute = null
    return place
  }

  function wayOf (place: Place, route: ProxyRoute): Way | null {
    if (lastRoute === route) return lastWay
    let way = place.ways.get(route)
    if (way === undefined) {
      way = createWay(place.method, place.scheme, place.authority?.authority ?? '', route)
      remember(place.ways, route, way)
    }
    lastRoute = route
    lastWay = way
    return way
  }

  function createWay (method: string, scheme: 'http' | 'https', authority: string, route: ProxyRoute): Way | null {
    if (!isQuick(route)) return null
    // Nothing but the URL is in the keys of such a route.
    const place: Omit<KeyParts, 'path' | 'query'> = { scope: route.cacheScope, scheme, authority, extra: '' }
    return {
      keyOf: uriKeysOf(place),
      request: { ...place, method, rules: route.cacheRules, enabled: route.cacheEnabled, hasContent: false, authenticated: false, common: false, personal: false, showKey: runtime.config.cache.statusKey }
    }
  }

  function remember<K, V> (known: Map<K, V>, key: K, value: V): void {
    if (size >= maxKnown) {
      places.clear()
      last.ways.clear()
      last.targets.clear()
      size = 0
    }
    known.set(key, value)
    size++
  }

  function findPlain (place: Place, url: string): KnownTarget | null {
    const { scheme, authority } = place
    if (authority === null) return null
    const mark = url.indexOf('?')
    const path = mark === -1 ? url : url.slice(0, mark)
    const query = mark === -1 ? '' : url.slice(mark)
    return follow(place.method, place, { form: 'origin', scheme, authority: authority.authority, host: authority.host, path, query })
  }

  function findOther (method: string, scheme: 'http' | 'https', host: string, url: string): KnownTarget | null {
    const decision = normaliseTarget({ method, target: url, hostLines: [host], httpVersion: '1.1', scheme, mergeSlashes: runtime.config.server.mergeSlashes })
    return decision.ok ? follow(method, null, decision.target) : null
  }

  /** @param place null where the target names its host itself */
  function follow (method: string, place: Place | null, target: RequestTarget): KnownTarget | null {
    const { scheme, host } = target
    const route = runtime.table.match(host, target.path, method)
    if (route === null) return null
    const way = place === null ? createWay(method, scheme, target.authority, route) : wayOf(place, route)
    if (way === null) return null
    const path = route.urlRules.path(target.path)
    if (path === null) return null
    const query = route.urlRules.query({ scheme, host, path: target.path, query: target.query }, null)
    return { runtime, target, route, key: way.keyOf(path, query), path, query, way }
  }

  return {
    of (method, scheme, host, url) {
      const place = placeOf(method, scheme, host)
      if (isPlainTarget(url)) return findPlain(place, url)
      const present = place.targets.get(url)
      if (present !== undefined) return present
      const found = findOther(method, scheme, host, url)
      if (host.length + url.length <= maxLength && seen(url)) remember(place.targets, url, found)
      return found
    }
  }
}

function createPlace (method: string, scheme: 'http' | 'https', host: string, authority: Authority | null): Place {
  // Of an empty one nothing is known.
  return { method, scheme, host, authority: authority?.authority === '' ? null : authority, ways: new Map(), targets: new Map() }
}

/** Tells whether a URL was seen before, as far as a table of that size can. */
function createSightings (): (url: string) => boolean {
  const hashes = new Int32Array(sightings)
  return url => {
    let hash = 0x811c9dc5
    for (let i = 0; i < url.length; i++) hash = Math.imul(hash ^ url.charCodeAt(i), 0x01000193)
    hash ^= hash >>> 15
    const place = hash & (sightings - 1)
    if (hashes[place] === hash) return true
    hashes[place] = hash
    return false
  }
}
