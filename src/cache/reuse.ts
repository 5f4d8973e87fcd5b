/** Whether a stored response that fits the request may be used, and how (RFC 9111 section 4). */
import type { RouteCacheConfig } from '../config/schema.ts'
import type { CacheControl } from '../http/cache-control.ts'
import { currentAge } from './freshness.ts'
import type { ReasonWord } from './reasons.ts'
import type { StoredResponse } from './stored-response.ts'

export type ReuseDecision =
  /** Use it as it is; `detail` says why although it is stale, `revalidate` asks for a validation behind the client's back. */
  | { readonly reuse: true, readonly age: number, readonly ttl: number, readonly detail: ReasonWord | null, readonly revalidate: boolean }
  /** Ask the origin server first; `byRequest` when only the request demands it. */
  | { readonly reuse: false, readonly age: number, readonly ttl: number, readonly detail: ReasonWord, readonly byRequest: boolean }

export type StaleRules = Pick<RouteCacheConfig, 'staleWhileRevalidate' | 'staleIfError'>

/**
 * @param control directives of the request; null when the route ignores them
 * @param rules of the route, for what the response does not say
 * @param now epoch milliseconds
 */
export function decideReuse (stored: StoredResponse, control: CacheControl | null, rules: StaleRules, now: number): ReuseDecision {
  const age = currentAge(stored, now)
  const left = stored.freshnessLifetime - age

  if (stored.control.noCache === true && stored.override !== 'override-origin-ignored') return refuse(age, left, 'no-cache')
  const fresh = left > 0
  if (control !== null) {
    if (control.noCache !== false) return refuse(age, left, 'request-no-cache', true)
    if (control.minFresh !== undefined && left < control.minFresh) return refuse(age, left, fresh ? 'request-min-fresh' : 'stale', fresh)
    // 5.2.1.1: max-stale beside it lets a stale response pass, but not one that is older than this.
    if (control.maxAge !== undefined && age > control.maxAge) return refuse(age, left, fresh ? 'request-max-age' : 'stale', fresh)
  }
  if (fresh) return use(age, left, stored.override)
  if (!mayBeServedStale(stored)) return refuse(age, left, 'stale')
  if (control?.maxStale !== undefined && -left <= control.maxStale) return use(age, left, 'request-max-stale')
  // RFC 5861 3. A request with max-age does not want a stale response (5.2.1.1), one with max-stale not a staler one (5.2.1.2).
  const window = stored.control.staleWhileRevalidate ?? rules.staleWhileRevalidate / 1000
  if (control?.maxAge === undefined && control?.maxStale === undefined && window > 0 && -left <= window) return use(age, left, 'stale-while-revalidate', true)
  return refuse(age, left, 'stale')
}

function refuse (age: number, left: number, detail: ReasonWord, byRequest = false): ReuseDecision {
  return { reuse: false, age: Math.floor(age), ttl: wholeTtl(left), detail, byRequest }
}

function use (age: number, left: number, detail: ReasonWord | null, revalidate = false): ReuseDecision {
  return { reuse: true, age: Math.floor(age), ttl: wholeTtl(left), detail, revalidate }
}

/** Rounded down: 0 is fresh for less than a second, -1 has been stale for less than one. */
function wholeTtl (left: number): number {
  return Math.floor(left)
}

/** 4.2.4: these directives forbid a shared cache to serve stale responses; s-maxage implies proxy-revalidate (5.2.2.10). */
export function mayBeServedStale (stored: StoredResponse): boolean {
  const { control } = stored
  if (stored.override === 'override-origin-ignored') return true
  return !control.mustRevalidate && !control.proxyRevalidate && control.sMaxage === undefined && control.noCache === false
}

/**
 * Whether a stale response may stand in for an upstream that failed: `stale-if-error` of response or request, or the
 * route's own (RFC 5861 section 4). Without any it is an error, also for a response that is fresh but that the request
 * wanted validated.
 */
export function mayServeStaleOnError (stored: StoredResponse, control: CacheControl | null, rules: StaleRules, now: number): boolean {
  if (!mayBeServedStale(stored)) return false
  const windows = [stored.control.staleIfError ?? rules.staleIfError / 1000, control?.staleIfError ?? 0]
  const window = Math.max(...windows)
  return window > 0 && currentAge(stored, now) - stored.freshnessLifetime <= window
}
