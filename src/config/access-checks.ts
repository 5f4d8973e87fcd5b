/** Rules about access lists, CORS and rate limits. */
import { METHODS } from 'node:http'
import { parseOriginPattern } from '../access/cors.ts'
import { limitName, limitsOf } from '../rate-limit/from-config.ts'
import { parseHostPattern } from '../routing/pattern.ts'
import { checkNetworks } from './listener-checks.ts'
import { didYouMean, nearest } from './problems.ts'
import type { AccessConfig, CorsConfig, RateLimitConfig, RouteConfig } from './schema.ts'
import type { ConfigParts, Report } from './semantic-checks.ts'

/** What is counted and checked on all routes. */
export function checkGlobalFilters ({ access, rateLimit }: ConfigParts, report: Report): void {
  if (access !== null && access !== undefined) checkAccess(access, '/access', report)
  if (rateLimit !== null) checkRateLimits(rateLimit, '/rateLimit', report)
}

export function checkRouteFilters (route: RouteConfig, place: string, report: Report): void {
  if (route.access !== undefined) checkAccess(route.access, `${place}/access`, report)
  if (route.cors !== undefined) checkCors(route.cors, `${place}/cors`, report)
  checkRateLimits(route.rateLimit, `${place}/rateLimit`, report)
  for (const [index, { key }] of limitsOf(route.rateLimit).entries()) {
    if (key !== 'identity' || route.auth !== undefined) continue
    report({ path: `${limitPlace(route.rateLimit, `${place}/rateLimit`, index)}/key`, rule: 'identity-known', value: key, message: 'needs auth on this route: without it nobody has an identity' })
  }
}

function checkAccess (access: AccessConfig, place: string, report: Report): void {
  checkNetworks(access.allow, `${place}/allow`, report)
  checkNetworks(access.deny, `${place}/deny`, report)
  checkMethodNames(access.methods ?? [], `${place}/methods`, report)
  for (const [index, host] of (access.hosts ?? []).entries()) {
    const parsed = parseHostPattern(host)
    if (!parsed.ok) report({ path: `${place}/hosts/${index}`, rule: 'host-pattern', value: host, message: `the host ${parsed.reason}` })
  }
}

function checkMethodNames (methods: readonly string[], place: string, report: Report): void {
  for (const [index, method] of methods.entries()) {
    if (METHODS.includes(method) && method !== 'CONNECT') continue
    const suggestion = nearest(method, METHODS)
    report({ path: `${place}/${index}`, rule: 'method', value: method, message: `is no method that this server can receive${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } })
  }
}

function checkCors ({ origins, credentials, methods }: CorsConfig, place: string, report: Report): void {
  checkMethodNames(methods, `${place}/methods`, report)
  for (const [index, origin] of origins.entries()) {
    const path = `${place}/origins/${index}`
    if (origin === '*') {
      if (origins.length > 1) report({ path, rule: 'origin', value: origin, message: 'means all origins: no other may stand beside it' })
      // Fetch: a browser takes `*` for no permission where credentials are sent, and a reflected one would let every site act for the user.
      if (credentials) report({ path, rule: 'origin', value: origin, message: 'cannot go with credentials: name the origins' })
      continue
    }
    const parsed = parseOriginPattern(origin)
    if (!parsed.ok) report({ path, rule: 'origin', value: origin, message: `the origin ${parsed.reason}` })
  }
}

type Limits = RateLimitConfig | readonly RateLimitConfig[] | undefined

function checkRateLimits (configured: Limits, place: string, report: Report): void {
  const names = new Set<string>()
  for (const [index, limit] of limitsOf(configured).entries()) {
    const { key, allow } = limit
    const path = limitPlace(configured, place, index)
    checkNetworks(allow, `${path}/allow`, report)
    if (typeof key === 'object' && (key.field === undefined) === (key.cookie === undefined)) {
      report({ path: `${path}/key`, rule: 'one-key', message: 'must have either field or cookie' })
      continue
    }
    const name = limitName(limit)
    if (names.has(name)) report({ path, rule: 'unique-limit', message: `is called ${name} as another one; clients tell limits apart by \`name\`` })
    names.add(name)
  }
}

function limitPlace (configured: Limits, place: string, index: number): string {
  return Array.isArray(configured) ? `${place}/${index}` : place
}
