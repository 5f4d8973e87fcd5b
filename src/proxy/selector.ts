/**
 * What an operator means in terms of the cache: URLs, hosts and paths are given as clients ask for them, and stored as
 * the route's rules make keys of them.
 */
import type { PurgeSelector } from '../admin/schemas.ts'
import { refusal } from '../admin/request-error.ts'
import { didYouMean, nearest } from '../config/problems.ts'
import type { SelectedPlace, Selection, SelectionKind } from '../cache/selection.ts'
import { parseAuthority } from '../http/authority.ts'
import { normaliseTarget, type RequestTarget } from '../http/target.ts'
import { cacheKeyOf } from './cache-key-of.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { Runtime } from './runtime.ts'

/**
 * Throws a `RequestError` for what is no selector, or names what is not there.
 * @param mount path prefix the proxy is registered under; empty at the root
 */
export function selectionOf (runtime: Runtime, mount: string, selector: PurgeSelector): Selection {
  const { url, tags, prefix, host, route, all } = selector
  const narrow = [tags, prefix, host, route].some(part => part !== undefined)
  if ([url !== undefined, all !== undefined, narrow].filter(Boolean).length !== 1) {
    throw refusal('bad_selector', '', 'must have either url, or all, or one or more of tags, prefix, host and route')
  }
  if (all === false) throw refusal('bad_selector', '/all', 'must be true where it is given')
  if (url !== undefined) return urlSelection(runtime, mount, url)

  const places = prefix === undefined && host === undefined && route === undefined ? null : placesOf(runtime, mount, selector)
  return { kind: kindOf(selector), targets: null, tags: tags ?? null, places }
}

/** Everything under the keys that a target has, on whatever routes its responses are stored. */
function targetSelection (runtime: Runtime, mount: string, target: RequestTarget): Selection {
  const keys = ['GET', 'POST'].map(method => cacheKeyOf(runtime, target, target.path + target.query, { prefix: mount }, method))
  return { kind: 'url', targets: keys.filter(key => key !== null), tags: null, places: null }
}

function kindOf ({ tags, prefix, host, route }: PurgeSelector): SelectionKind {
  if (tags !== undefined) return 'tag'
  return prefix !== undefined ? 'prefix' : host !== undefined ? 'host' : route !== undefined ? 'route' : 'all'
}

function urlSelection (runtime: Runtime, mount: string, url: string): Selection {
  const [, scheme = '', authority = ''] = /^(https?):\/\/([^/?#]*)/i.exec(url) ?? []
  const decision = normaliseTarget({
    method: 'GET', target: url, hostLines: [authority], httpVersion: '1.1', scheme: scheme.toLowerCase() === 'https' ? 'https' : 'http', mergeSlashes: runtime.config.server.mergeSlashes
  })
  if (!decision.ok) throw refusal('bad_url', '/url', `cannot be asked for: ${decision.reason}`)
  const selection = isBelow(decision.target.path, mount) ? targetSelection(runtime, mount, decision.target) : null
  if (selection === null || selection.targets?.length === 0) throw refusal('no_route', '/url', 'is not routed anywhere, so nothing is stored under it')
  return selection
}

function placesOf (runtime: Runtime, mount: string, { prefix, host, route }: PurgeSelector): ReadonlyMap<string, SelectedPlace> {
  const routes = route === undefined ? runtime.routes : runtime.routes.filter(({ name }) => name === route)
  if (routes.length === 0) throw refusal('unknown_route', '/route', `names no route${didYouMean(nearest(route ?? '', runtime.routes.map(({ name }) => name)))}`)
  const authority = host === undefined ? null : parseAuthority(host, 'http')?.authority ?? ''
  if (authority === '') throw refusal('bad_host', '/host', 'must be a host, with its port unless that is the default one')
  const path = prefix === undefined ? null : pathOf(runtime, mount, prefix)
  return new Map(routes.map(route => [route.cacheScope, placeOn(route, authority, path)]))
}

function placeOn ({ config: { cache: { key } }, urlRules }: ProxyRoute, authority: string | null, path: string | null): SelectedPlace {
  const prefixes = path === null ? null : urlRules.prefixes(path)
  return {
    authority: authority === null ? null : key.hosts[authority] ?? authority,
    prefixes: key.ignorePathCase ? prefixes?.map(prefix => prefix.toLowerCase()) ?? null : prefixes
  }
}

/** A prefix as routes see paths: normalised, below the mount. */
function pathOf (runtime: Runtime, mount: string, prefix: string): string {
  const decision = normaliseTarget({ method: 'GET', target: prefix, hostLines: ['any'], httpVersion: '1.1', scheme: 'http', mergeSlashes: runtime.config.server.mergeSlashes })
  if (!decision.ok) throw refusal('bad_prefix', '/prefix', `cannot be the beginning of a path: ${decision.reason}`)
  const { path } = decision.target
  if (isBelow(path, mount)) return path.slice(mount.length) || '/'
  if (mount.startsWith(path)) return '/'
  throw refusal('bad_prefix', '/prefix', `is not below ${mount}, where this proxy is`)
}

function isBelow (path: string, mount: string): boolean {
  return mount === '' || path === mount || path.startsWith(`${mount}/`)
}
