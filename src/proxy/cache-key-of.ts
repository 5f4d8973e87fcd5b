/** Cache keys: of the request itself, and of other URIs for invalidation. */
import { identityKey } from '../auth/identity-fields.ts'
import { applyKeyRules, changesNothing, type KeyParts } from '../cache/key.ts'
import type { FieldMap } from '../http/fields.ts'
import { normaliseTarget, type RequestTarget } from '../http/target.ts'
import type { Forwarding } from './forwarding.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { Runtime } from './runtime.ts'

/** @param device class of the client's device, empty where the application does not tell them apart */
export function requestKey ({ route, target, path, query, keyed, keyParts, identity, identityFields }: Pick<Forwarding, 'route' | 'target' | 'path' | 'query' | 'keyed' | 'keyParts' | 'identity' | 'identityFields'>, fields: FieldMap, device: string): KeyParts {
  const { scheme, authority } = target
  const who = route.config.cache.key.identity && identity !== null ? identityKey(identity, identityFields) : ''
  const parts = keyOn(route, { scheme, authority, path, query: keyed === null ? query : keyed.query }, fields, device, who)
  const noted = keyed === null ? parts : { ...parts, extra: `${JSON.stringify(keyed.sent)} ${parts.extra}` }
  if (keyParts === null || keyParts.size === 0) return noted
  // Sorted: the order in which filters name them does not matter. No other rule makes a text that begins so.
  const own = [...keyParts].sort(([a], [b]) => a < b ? -1 : 1)
  return { ...noted, extra: `own ${JSON.stringify([own, noted.extra])}` }
}

function keyOn (route: ProxyRoute, uri: Omit<KeyParts, 'scope' | 'extra'>, fields: FieldMap | undefined, device: string, identity = ''): KeyParts {
  const { key } = route.config.cache
  if (device === '' && changesNothing(key)) return { scope: route.cacheScope, ...uri, extra: '' }
  return applyKeyRules({ scope: route.cacheScope, ...uri }, key, fields, device, identity)
}

/**
 * The key under which a GET for `uri` (path and query) on the same origin would be stored: on the route that GET takes,
 * which may be another one than the unsafe request took. Null when no route would, or its rules refuse the path.
 * @param method in place of GET, such as POST, whose responses may be stored on yet another route
 */
export function cacheKeyOf (runtime: Runtime, target: Pick<RequestTarget, 'scheme' | 'authority' | 'host'>, uri: string, { prefix }: Pick<Forwarding, 'prefix'>, method = 'GET'): KeyParts | null {
  const decision = normaliseTarget({
    method: 'GET', target: uri, hostLines: [target.authority], httpVersion: target.authority === '' ? '1.0' : '1.1', scheme: target.scheme, mergeSlashes: runtime.config.server.mergeSlashes
  })
  if (!decision.ok) return null
  const path = decision.target.path.slice(prefix.length) || '/'
  const route = runtime.table.match(target.host, path, method)
  const rewritten = route?.urlRules.path(path) ?? null
  if (route === null || rewritten === null) return null
  const { scheme, authority, host } = target
  const query = route.urlRules.query({ scheme, host, path, query: decision.target.query }, null)
  return keyOn(route, { scheme, authority, path: rewritten, query }, undefined, '')
}
