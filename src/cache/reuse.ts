/** Whether a stored response that fits the request may be used, and how (RFC 9111 section 4). */
import type { CacheControl } from '../http/cache-control.ts'
import { currentAge } from './freshness.ts'
import type { ReasonWord } from './reasons.ts'
import type { StoredResponse } from './stored-response.ts'

export type ReuseDecision =
  /** Use it as it is; `detail` says why although it is stale. */
  | { readonly reuse: true, readonly age: number, readonly ttl: number, readonly detail: ReasonWord | null }
  /** Ask the origin server first; `byRequest` when only the request demands it. */
  | { readonly reuse: false, readonly age: number, readonly ttl: number, readonly detail: ReasonWord, readonly byRequest: boolean }

/**
 * @param control directives of the request; null when the route ignores them
 * @param now epoch milliseconds
 */
export function decideReuse (stored: StoredResponse, control: CacheControl | null, now: number): ReuseDecision {
  const age = currentAge(stored, now)
  const wholeAge = Math.floor(age)
  // Rounded down: 0 is fresh for less than a second, -1 has been stale for less than one.
  const ttl = Math.floor(stored.freshnessLifetime - age)
  const refuse = (detail: ReasonWord, byRequest = false): ReuseDecision => ({ reuse: false, age: wholeAge, ttl, detail, byRequest })
  const use = (detail: ReasonWord | null = null): ReuseDecision => ({ reuse: true, age: wholeAge, ttl, detail })

  if (stored.control.noCache === true) return refuse('no-cache')
  const fresh = stored.freshnessLifetime > age
  if (control === null) return fresh ? use() : refuse('stale')

  if (control.noCache !== false) return refuse('request-no-cache', true)
  if (control.minFresh !== undefined && stored.freshnessLifetime - age < control.minFresh) return refuse(fresh ? 'request-min-fresh' : 'stale', fresh)
  // 5.2.1.1: max-stale beside it lets a stale response pass, but not one that is older than this.
  if (control.maxAge !== undefined && age > control.maxAge) return refuse(fresh ? 'request-max-age' : 'stale', fresh)
  if (fresh) return use()
  if (control.maxStale !== undefined && mayBeServedStale(stored) && age - stored.freshnessLifetime <= control.maxStale) return use('request-max-stale')
  return refuse('stale')
}

/** 4.2.4: these directives forbid a shared cache to serve stale responses; s-maxage implies proxy-revalidate (5.2.2.10). */
export function mayBeServedStale (stored: StoredResponse): boolean {
  const { control } = stored
  return !control.mustRevalidate && !control.proxyRevalidate && control.sMaxage === undefined && control.noCache === false
}

/**
 * Whether a stale response may stand in for an upstream that failed: `stale-if-error` of response or request (RFC 5861
 * section 4). Without either it is an error, also for a response that is fresh but that the request wanted validated.
 */
export function mayServeStaleOnError (stored: StoredResponse, control: CacheControl | null, now: number): boolean {
  if (!mayBeServedStale(stored)) return false
  const windows = [stored.control.staleIfError, control?.staleIfError].filter(seconds => seconds !== undefined)
  return windows.length > 0 && currentAge(stored, now) - stored.freshnessLifetime <= Math.max(...windows)
}
