/** Cache keys of URIs other than the request's own, for invalidation. */
import type { KeyParts } from '../cache/key.ts'
import { rewritePath } from '../forward/rewrite.ts'
import { normaliseTarget, type RequestTarget } from '../http/target.ts'
import type { Forwarding } from './forwarding.ts'
import type { Runtime } from './runtime.ts'

/**
 * The key under which a GET for `uri` (path and query) on the same origin would be stored: on the route that GET takes,
 * which may be another one than the unsafe request took. Null when no route would.
 */
export function cacheKeyOf (runtime: Runtime, target: RequestTarget, uri: string, forwarding: Forwarding): KeyParts | null {
  const decision = normaliseTarget({
    method: 'GET', target: uri, hostLines: [target.authority], httpVersion: target.authority === '' ? '1.0' : '1.1', scheme: target.scheme, mergeSlashes: runtime.config.server.mergeSlashes
  })
  if (!decision.ok) return null
  const path = decision.target.path.slice(forwarding.prefix.length) || '/'
  const route = runtime.table.match(target.host, path, 'GET')
  if (route === null) return null
  return {
    scope: route.cacheScope,
    scheme: target.scheme,
    authority: target.authority,
    path: rewritePath(path, route.config.rewrite),
    query: decision.target.query
  }
}
