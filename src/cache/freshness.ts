/** Freshness lifetime and age (RFC 9111 section 4.2), in seconds. */
import type { RouteCacheConfig } from '../config/schema.ts'
import { maxDeltaSeconds, parseDeltaSeconds, type CacheControl } from '../http/cache-control.ts'
import { parseHttpDate } from '../http/date.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import type { ReasonWord } from './reasons.ts'
import type { StoredResponse } from './stored-response.ts'

export type LifetimeSource = 's-maxage' | 'max-age' | 'expires' | 'rule' | 'heuristic' | 'none'

export interface Lifetime {
  readonly seconds: number
  readonly source: LifetimeSource
  /** How a rule of the route changed what the origin server said, or null. */
  readonly override: ReasonWord | null
}

/** Statuses whose responses may be given a lifetime by heuristics (RFC 9110 15.1, for 451 RFC 7725 3). */
const heuristicallyCacheable: ReadonlySet<number> = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 451, 501])

/** Share of the time since the last change that a response without a lifetime counts as fresh (RFC 9111 4.2.2). */
const heuristicFraction = 0.1

export interface LifetimeInput {
  readonly statusCode: number
  readonly fields: FieldMap
  /** Directives in force. */
  readonly control: CacheControl
  /** The directives are those of a targeted field, beside which `Expires` does not count (RFC 9213 2.2). */
  readonly targeted: boolean
  readonly rules: Pick<RouteCacheConfig, 'ttl' | 'overrides' | 'heuristic' | 'heuristicMax'>
  /** Epoch milliseconds at which the response head had come. */
  readonly receivedAt: number
}

/**
 * The lifetime for a shared cache: the first of s-maxage, max-age, Expires, the route's rules, heuristics (4.2.1, 4.2.2),
 * changed by the route's overrides.
 */
export function freshnessLifetime (input: LifetimeInput): Lifetime {
  const override = overrideFor(input.rules, input.statusCode)
  if (override === undefined) return { ...originLifetime(input), override: null }

  const lifetime = override.ignoreOrigin ? assignedLifetime(input) : originLifetime(input)
  const seconds = lifetime.seconds
  if (override.atLeast !== undefined && seconds < override.atLeast / 1000) return { seconds: override.atLeast / 1000, source: 'rule', override: 'override-raised' }
  if (override.atMost !== undefined && seconds > override.atMost / 1000) return { seconds: override.atMost / 1000, source: 'rule', override: 'override-capped' }
  return { ...lifetime, override: override.ignoreOrigin ? 'override-origin-ignored' : null }
}

/** The route's rule for responses of this status, or undefined. */
export function overrideFor (rules: Pick<RouteCacheConfig, 'overrides'>, statusCode: number): RouteCacheConfig['overrides'][number] | undefined {
  return rules.overrides.find(({ status }) => status === undefined || status.includes(statusCode))
}

type PlainLifetime = Omit<Lifetime, 'override'>

function originLifetime (input: LifetimeInput): PlainLifetime {
  const { fields, control, receivedAt } = input
  if (control.sMaxage !== undefined) return { seconds: control.sMaxage, source: 's-maxage' }
  if (control.maxAge !== undefined) return { seconds: control.maxAge, source: 'max-age' }
  if (fields['expires'] !== undefined && !input.targeted) {
    // Several lines, or anything that is no date, `0` above all, mean already expired (5.3).
    const expiresAt = typeof fields['expires'] === 'string' ? parseHttpDate(fields['expires'], receivedAt) : null
    const seconds = expiresAt === null ? 0 : (expiresAt - dateOf(fields, receivedAt)) / 1000
    return { seconds: Math.min(maxDeltaSeconds, Math.max(0, seconds)), source: 'expires' }
  }
  return assignedLifetime(input)
}

/** Where the origin server says nothing. */
function assignedLifetime ({ statusCode, fields, control, rules, receivedAt }: LifetimeInput): PlainLifetime {
  const rule = rules.ttl.find(candidate => candidate.status.includes(statusCode))
  if (rule !== undefined) return { seconds: rule.ttl / 1000, source: 'rule' }
  if (rules.heuristic && (heuristicallyCacheable.has(statusCode) || control.public)) {
    const dateAt = dateOf(fields, receivedAt)
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
  const members = fieldValue(fields, 'age')?.split(',').map(member => member.trim())
  const ageValue = parseDeltaSeconds(members?.find(member => member !== '')) ?? 0
  // `Date` says whole seconds: compared with more, what was made this moment would seem up to a second old.
  const apparentAge = Math.max(0, Math.floor(receivedAt / 1000) - Math.floor(dateOf(fields, receivedAt) / 1000))
  const responseDelay = Math.max(0, receivedAt - requestedAt) / 1000
  return Math.max(apparentAge, ageValue + responseDelay)
}

/** Seconds old now; never negative, also when the clock was set back. */
export function currentAge (stored: Pick<StoredResponse, 'initialAge' | 'receivedAt'>, now: number): number {
  return stored.initialAge + Math.max(0, now - stored.receivedAt) / 1000
}
