/** What one request was charged, by all its limits so far. */
import type { ReadyLimit } from './from-config.ts'
import type { Charge, Counter, Verdict } from './store.ts'

export interface RateTicket {
  /** The three in the same order. */
  readonly limits: readonly ReadyLimit[]
  readonly charges: readonly Charge[]
  counters: readonly Counter[]
  /** Why the request is refused unless the cache answers it; null where it was charged in full. */
  readonly refusal: Verdict | null
}
