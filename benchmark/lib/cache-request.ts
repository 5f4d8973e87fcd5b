/** A request as the cache sees it, for benchmarks that ask the cache without a proxy around it. */
import type { CacheRequest } from '../../src/cache/http-cache.ts'

export const authority = 'shop.example.com'
export const requestFields = { host: authority, accept: 'application/json', 'accept-encoding': 'gzip, br', 'user-agent': 'curl/8.9' }

export function cacheRequest (path: string, rules: CacheRequest['rules']): CacheRequest {
  return {
    scope: 'default.k3v9x0ab',
    scheme: 'https',
    authority,
    path,
    query: '',
    extra: '',
    method: 'GET',
    fields: requestFields,
    rules,
    enabled: true,
    hasContent: false,
    authenticated: false,
    common: false,
    personal: false,
    showKey: false
  }
}
