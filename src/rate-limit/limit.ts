/**
 * A limit as it is counted, and the arithmetic of counting: plain numbers in, plain numbers out.
 *
 * What is used is kept in whole units, a thousand for one request, so that a price such as 0.1 adds up exactly. Of two
 * ways of counting a limit has one:
 *
 * - **window** (no `burst`): it begins with a client's first request and lasts `windowMs`; `max` requests pass in it, then
 *   none until it is over. So in any stretch of one window's length at most twice `max` pass.
 * - **bucket** (`burst`): `burst` requests may come at once, and room for `max` more comes back evenly in each `windowMs`.
 *   So in any stretch of d milliseconds at most `burst + max * d / windowMs` pass. It is the leaky bucket as a meter, which
 *   is what others call a token bucket or GCRA. Its clock counts whole units, so that nothing is lost by rounding however
 *   often it is looked at.
 */

/** Units in one request: prices have three decimal places. */
export const unitsPerRequest = 1000

export interface Limit {
  /** Unique in a store, and the same after a reload that does not change the limit: its counters are kept under it. */
  readonly id: string
  /** What clients see it called. */
  readonly name: string
  /** Requests in a window. */
  readonly max: number
  readonly windowMs: number
  /** Requests that may come at once; null for a limit that counts by window. */
  readonly burst: number | null
  /** Clients remembered. */
  readonly clients: number
  /** Units that a request costs which the cache answers, from 0 to `unitsPerRequest`. */
  readonly hitUnits: number
}

/** How much of a limit one client has used. */
export interface Usage {
  /** Where a window began, in epoch milliseconds; for a bucket the `bucketClock` of the moment that `used` is about. */
  readonly at: number
  readonly used: number
}

/** Units that fit at once. */
export function capacityOf ({ burst, max }: Limit): number {
  return (burst ?? max) * unitsPerRequest
}

/** Units that have come back to a bucket between the epoch and `now`, whole ones. */
export function bucketClock ({ max, windowMs }: Limit, now: number): number {
  return Math.floor(now * max * unitsPerRequest / windowMs)
}

/** Units still in use at `now`. A clock that was put back frees a window and lets a bucket stand still. */
export function usedAt (limit: Limit, at: number, used: number, now: number): number {
  if (limit.burst !== null) return Math.max(0, used - Math.max(0, bucketClock(limit, now) - at))
  const elapsed = now - at
  return elapsed >= 0 && elapsed < limit.windowMs ? used : 0
}

/** Whole requests for which there is room. */
export function remainingOf (limit: Limit, used: number): number {
  return Math.max(0, Math.floor((capacityOf(limit) - used) / unitsPerRequest))
}

/**
 * Milliseconds from `now` within which a client can have no more than what remains: the rest of the window, or until a
 * bucket has room for one more.
 */
export function effectiveWindow (limit: Limit, { at, used }: Usage, now: number): number {
  if (limit.burst === null) return at + limit.windowMs - now
  return drained(limit, Math.max(0, used - capacityOf(limit) + (remainingOf(limit, used) + 1) * unitsPerRequest))
}

/** Milliseconds until `units` fit that do not fit now. */
export function waitFor (limit: Limit, { at, used }: Usage, units: number, now: number): number {
  return limit.burst === null ? at + limit.windowMs - now : drained(limit, used + units - capacityOf(limit))
}

/** Milliseconds in which a bucket gets this much room. */
function drained ({ max, windowMs }: Limit, units: number): number {
  return Math.ceil(units * windowMs / (max * unitsPerRequest))
}
