/**
 * Where the counters of rate limits are: in this process (`memory-store.ts`), or in a store that several share.
 *
 * What an implementation must guarantee:
 *
 * - **All or none.** `take` charges every one of its charges, or, when one of them does not fit, none. A request that one
 *   limit refuses is not counted by the others.
 * - **Exact.** Looking and charging are one step: of any number of calls at the same time as many pass as fit, and none
 *   more. A shared store needs a script or a transaction for it, over all charges of the call.
 * - **The arithmetic of `limit.ts`**, by one clock for all who share the store, best its own.
 * - **Given back is as if never taken.** `giveBack` takes back only what of its charge is still in use: never anything of a
 *   later window, nor what has drained from a bucket meanwhile.
 * - **Bounded.** At most `limit.clients` counters for a limit. For want of room a counter may go whose client has used
 *   little, but not one of a client that has used up its limit.
 * - **Soon.** `done` is called exactly once, at once or later; within milliseconds, since a request waits for it. A store
 *   that cannot answer calls it with an error: the request passes uncounted.
 */
import type { Limit, Usage } from './limit.ts'

export interface Charge {
  readonly limit: Limit
  /** Who is counted: at most 64 characters. */
  readonly key: string
  /** Price of the request, in units (`unitsPerRequest` for one in full); 0 to look only. */
  readonly units: number
}

/** A client's counter after the call. */
export interface Counter extends Usage {
  /** Whole requests for which there is room. */
  readonly remaining: number
  /** Milliseconds within which the client can have no more than what remains. */
  readonly windowMs: number
  /** This charge did not fit. */
  readonly exceeded: boolean
}

export interface Verdict {
  readonly passed: boolean
  /** Milliseconds until all charges that did not fit would; 0 when the request passed. */
  readonly waitMs: number
  /** In the order of the charges. */
  readonly counters: readonly Counter[]
}

export type VerdictCallback = (error: Error | null, verdict?: Verdict) => void

export interface RateLimitStore {
  /** `take` calls `done` before it returns, always. Then hits can be counted without a promise. */
  readonly answersAtOnce?: boolean
  /** Counts a request, if it fits. */
  take (charges: readonly Charge[], done: VerdictCallback): void
  /**
   * Takes back `units` of a charge that passed.
   * @param counter what `take` said of it
   * @returns the counter as it is now, as far as that is known without waiting
   */
  giveBack (charge: Charge, counter: Counter, units: number): Counter
  /** Forgets the counters of all limits but these, after a reload. */
  retain? (ids: ReadonlySet<string>): void
}
