/** Freshness lifetime and age (RFC 9111 section 4.2), in seconds. */
import type { RouteCacheConfig } from '../config/schema.ts'
import { maxDeltaSeconds, parseDeltaSeconds, type CacheControl } from '../http/cache-control.ts'
import { parseHttpDate } from '../http/date.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import type { StoredResponse } from './stored-response.ts'

export type LifetimeSource = 's-maxage' | 'max-age' | 'expires' | 'rule' | 'heuristic' | 'none'

export interface Lifetime {
  readonly seconds: number
  readonly source: LifetimeSource
}

/** Statuses whose responses may be given a lifetime by heuristics (RFC 9110 15.1), without 206, which is not stored. */
const heuristicallyCacheable: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])

/** Share of the time since the last change that a response without a lifetime counts as fresh (RFC 9111 4.2.2). */
const heuristicFraction = 0.1

export interface LifetimeInput {
  readonly statusCode: number
  readonly fields: FieldMap
  readonly control: CacheControl
  readonly rules: Pick<RouteCacheConfig, 'ttl' | 'heuristic' | 'heuristicMax'>
  /** Epoch milliseconds at which the response head had come. */
  readonly receivedAt: number
}

/** The lifetime for a shared cache: the first of s-maxage, max-age, Expires, the route's rules, heuristics (4.2.1, 4.2.2). */
export function freshnessLifetime (input: LifetimeInput): Lifetime {
  const { statusCode, fields, control, rules, receivedAt } = input
  if (control.sMaxage !== undefined) return { seconds: control.sMaxage, source: 's-maxage' }
  if (control.maxAge !== undefined) return { seconds: control.maxAge, source: 'max-age' }

  const dateAt = dateOf(fields, receivedAt)
  if (fields['expires'] !== undefined) {
    // Several lines, or anything that is no date, `0` above all, mean already expired (5.3).
    const expiresAt = typeof fields['expires'] === 'string' ? parseHttpDate(fields['expires'], receivedAt) : null
    return { seconds: expiresAt === null ? 0 : Math.min(maxDeltaSeconds, Math.max(0, (expiresAt - dateAt) / 1000)), source: 'expires' }
  }

  const rule = rules.ttl.find(candidate => candidate.status.includes(statusCode))
  if (rule !== undefined) return { seconds: rule.ttl / 1000, source: 'rule' }

  if (rules.heuristic && (heuristicallyCacheable.has(statusCode) || control.public)) {
    const changedAt = lastModifiedOf(fields, receivedAt)
    if (changedAt !== null && changedAt < dateAt) {
      return { seconds: Math.min((dateAt - changedAt) / 1000 * heuristicFraction, rules.heuristicMax / 1000), source: 'heuristic' }
    }
  }
  return { seconds: 0, source: 'none' }
}

/** Whether a response without a lifetime of its own may be stored at all because of its status (RFC 9111 section 3). */
export function isHeuristicallyCacheable (statusCode: number): boolean {
  return heuristicallyCacheable.has(statusCode)
}

/** Epoch milliseconds of `Date`; receipt where it is missing or unreadable (RFC 9110 6.6.1). */
export function dateOf (fields: FieldMap, receivedAt: number): number {
  const value = fields['date']
  return (typeof value === 'string' ? parseHttpDate(value, receivedAt) : null) ?? receivedAt
}

/** Epoch milliseconds of `Last-Modified`, or null. */
export function lastModifiedOf (fields: FieldMap, receivedAt: number): number | null {
  const value = fields['last-modified']
  return typeof value === 'string' ? parseHttpDate(value, receivedAt) : null
}

/** Seconds old when received (RFC 9111 4.2.3). Of an `Age` list the first member counts; an invalid one is ignored (5.1). */
export function initialAge (fields: FieldMap, requestedAt: number, receivedAt: number): number {
  const ageValue = parseDeltaSeconds(fieldValue(fields, 'age')?.split(',')[0]?.trim()) ?? 0
  const apparentAge = Math.max(0, receivedAt - dateOf(fields, receivedAt)) / 1000
  const responseDelay = Math.max(0, receivedAt - requestedAt) / 1000
  return Math.max(apparentAge, ageValue + responseDelay)
}

/** Seconds old now; never negative, also when the clock was set back. */
export function currentAge (stored: Pick<StoredResponse, 'initialAge' | 'receivedAt'>, now: number): number {
  return stored.initialAge + Math.max(0, now - stored.receivedAt) / 1000
}
