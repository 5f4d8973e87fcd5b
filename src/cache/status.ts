/** How the cache handled a request, and how that is told in `Cache-Status` (RFC 9211). */
import type { FieldMap } from '../http/fields.ts'
import type { ReasonWord } from './reasons.ts'

/** Why a request was forwarded (RFC 9211 section 2.2). */
export type ForwardReason = 'bypass' | 'method' | 'uri-miss' | 'vary-miss' | 'miss' | 'request' | 'stale' | 'partial'

export interface CacheOutcome {
  /** A stored response answered without asking the upstream. */
  readonly hit: boolean
  readonly fwd: ForwardReason | null
  /** Status that the upstream answered, null if none came. */
  readonly fwdStatus: number | null
  /** The response is being stored. */
  readonly stored: boolean
  /** The request waited for another one: true when that one's response served it, false when it had to go on by itself. */
  readonly collapsed: boolean | null
  /** Remaining freshness lifetime in whole seconds, negative when stale; null if unknown. */
  readonly ttl: number | null
  readonly detail: ReasonWord | null
  /** The cache key, where the configuration says to show it. */
  readonly key?: string
}

export const nothingForwarded = { fwd: null, fwdStatus: null, stored: false, collapsed: null } as const

/** The value of `Cache-Status`: our member comes after those of caches nearer to the origin server (RFC 9211 section 2). */
export function cacheStatusValue (before: FieldMap[string], identifier: string, outcome: CacheOutcome): string {
  const own = formatCacheStatus(identifier, outcome)
  return before === undefined ? own : `${typeof before === 'string' ? before : before.join(', ')}, ${own}`
}

/** One member of `Cache-Status`. The configured name is a token by its schema; everything else is ours. */
export function formatCacheStatus (identifier: string, outcome: CacheOutcome): string {
  let text = identifier
  if (outcome.hit) text += '; hit'
  if (outcome.fwd !== null) text += `; fwd=${outcome.fwd}`
  if (outcome.fwdStatus !== null) text += `; fwd-status=${outcome.fwdStatus}`
  if (outcome.stored) text += '; stored'
  if (outcome.collapsed !== null) text += outcome.collapsed ? '; collapsed' : '; collapsed=?0'
  if (outcome.ttl !== null) text += `; ttl=${outcome.ttl}`
  if (outcome.key !== undefined) text += `; key=${quoted(outcome.key)}`
  if (outcome.detail !== null) text += `; detail=${outcome.detail}`
  return text
}

/** A String of Structured Fields, which is ASCII: other octets are escaped as in a URI (RFC 9651 3.3.3). */
function quoted (text: string): string {
  return `"${text.replace(/[^\x20-\x7e]/g, octet => `%${octet.charCodeAt(0).toString(16).padStart(2, '0')}`).replace(/["\\]/g, '\\$&')}"`
}

export type OutcomeLabel = 'hit' | 'stale' | 'revalidated' | 'miss' | 'bypass' | 'none'

/** The outcome as one of few words, for metrics and logs. */
export function outcomeLabel (outcome: CacheOutcome | null): OutcomeLabel {
  if (outcome === null) return 'none'
  if (outcome.detail === 'validated') return 'revalidated'
  if (outcome.detail === 'stale-if-error' || (outcome.hit && outcome.ttl !== null && outcome.ttl < 0)) return 'stale'
  if (outcome.hit) return 'hit'
  if (outcome.fwd === null) return 'none'
  return outcome.fwd === 'bypass' || outcome.fwd === 'method' ? 'bypass' : 'miss'
}
