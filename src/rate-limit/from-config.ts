/** Limits as they are configured, made ready for counting. */
import type { Config, RateLimitConfig, RouteConfig } from '../config/schema.ts'
import { formatDuration } from '../config/units.ts'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import { unitsPerRequest, type Limit } from './limit.ts'
import { policyItem, type ToldLimit } from './rate-fields.ts'

export type LimitKey =
  | { readonly kind: 'address' | 'identity' | 'custom' }
  | { readonly kind: 'field', readonly field: string }
  | { readonly kind: 'cookie', readonly cookie: string }

export interface ReadyLimit extends ToldLimit {
  readonly limit: Limit
  readonly key: LimitKey
  /** Addresses that are not counted; null when all are. */
  readonly exempt: Trust | null
}

/** One limit is written without a list around it. */
export function limitsOf (configured: RateLimitConfig | readonly RateLimitConfig[] | undefined): readonly RateLimitConfig[] {
  if (configured === undefined) return []
  return Array.isArray(configured) ? configured as readonly RateLimitConfig[] : [configured as RateLimitConfig]
}

/**
 * @param scope whose limits they are: different for each route, and for those that are counted over all of them
 * @param prefix of the names that clients see
 */
export function readyLimits (configured: RateLimitConfig | readonly RateLimitConfig[] | undefined, scope: string, prefix = ''): ReadyLimit[] {
  return limitsOf(configured).map((config, index) => {
    const { max, window, burst = null, clients, key } = config
    const limit: Limit = {
      id: JSON.stringify([scope, index, max, window, burst, clients, key]),
      name: limitName(config, prefix),
      max,
      windowMs: window,
      burst,
      clients,
      hitUnits: Math.round(config.hits * unitsPerRequest)
    }
    return {
      limit,
      fields: config.fields,
      policy: policyItem(limit),
      key: keyOf(config),
      exempt: config.allow.length === 0 ? null : createTrust(config.allow)
    }
  })
}

/** All limits of a route, those over all routes first. */
export function limitsOfRoute ({ name, rateLimit }: RouteConfig, config: Config): ReadyLimit[] {
  return [...readyLimits(config.rateLimit, 'all', 'all-'), ...readyLimits(rateLimit, `route ${name}`)]
}

/** The ids of all limits of a configuration. */
export function limitIds (config: Config): ReadonlySet<string> {
  const limits = [...readyLimits(config.rateLimit, 'all'), ...config.routes.flatMap(({ name, rateLimit }) => readyLimits(rateLimit, `route ${name}`))]
  return new Set(limits.map(({ limit }) => limit.id))
}

/** What clients see a limit called. */
export function limitName ({ name, max, window, key }: RateLimitConfig, prefix = ''): string {
  if (name !== undefined) return name
  const by = key === 'address' ? '' : typeof key === 'string' ? `-by-${key}` : key.field === undefined ? `-by-cookie-${key.cookie}` : `-by-${key.field.toLowerCase()}`
  return `${prefix}${max}-per-${formatDuration(window)}${by}`
}

/** The checks of the configuration make sure that it is one of these. */
function keyOf ({ key }: RateLimitConfig): LimitKey {
  if (typeof key === 'string') return { kind: key as 'address' | 'identity' | 'custom' }
  if (key.field !== undefined) return { kind: 'field', field: key.field.toLowerCase() }
  return { kind: 'cookie', cookie: key.cookie as string }
}
