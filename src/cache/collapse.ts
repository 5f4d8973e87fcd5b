/**
 * One request per key travels, the others wait for its response (RFC 9111 section 4; see docs/caching.md).
 *
 * A flight ends for those who wait in one of four ways: an entry or streaming response that they may use, a failure that
 * is everybody's, or the advice to go on alone. After that advice the key is remembered for a while, so that requests for
 * pages that are different for everybody do not queue up behind each other.
 */
import { LRUCache } from 'lru-cache'
import type { SharedHead } from './recording.ts'
import { shortKey } from './short-key.ts'
import type { SharedBody } from './shared-body.ts'

export interface SharedResponse {
  readonly head: SharedHead
  readonly body: SharedBody
  /** False where the status has none. */
  readonly hasContent: boolean
}

export type Landing =
  /** A response has begun that others may be able to use. */
  | { readonly kind: 'response', readonly response: SharedResponse }
  /** The stored response was validated: look again. */
  | { readonly kind: 'validated' }
  /** Nothing that others could use. */
  | { readonly kind: 'alone' }
  | { readonly kind: 'failed', readonly error: Error }

/** Called once. */
export type Waiter = (landing: Landing) => void

export interface Flight {
  /** Waits for the flight; called back at once when it has landed already. */
  join (waiter: Waiter): void
  /** Stops waiting. */
  leave (waiter: Waiter): void
  readonly waiting: number
}

export interface LeadFlight extends Flight {
  /** Called when somebody stopped waiting. */
  onLeft: () => void
  /** Tells all who wait, now and as long as the flight lasts. */
  land (landing: Landing): void
  /** Nobody can join any more. */
  end (): void
}

export interface Flights {
  /** The flight under way for a key, or null. */
  find (key: string): Flight | null
  /** Whether responses under the key proved not shareable lately. */
  isHopeless (key: string, now: number): boolean
  /** @param isCurrent false once what was asked for was invalidated: who asks after that must not get it (RFC 9111 4.4) */
  lead (key: string, isCurrent: () => boolean): LeadFlight
  /** @param until epoch milliseconds */
  rememberHopeless (key: string, until: number): void
  /** A response under the key proved shareable after all. */
  forgetHopeless (key: string): void
  /** Whether a client fell behind others lately with whom it shared a response, so that it did not get all of it. */
  wasTooSlow (key: string, client: string, now: number): boolean
  /** @param until epoch milliseconds */
  rememberTooSlow (key: string, client: string, until: number): void
}

/** Keys remembered as not shareable, and clients as too slow; the oldest goes first, which costs one wait. */
const maxRemembered = 10_000

export function createFlights (): Flights {
  const flights = new Map<string, RunningFlight>()
  const hopeless = createMemory()
  const tooSlow = createMemory()

  return {
    find (key) {
      const found = flights.get(key)
      if (found === undefined) return null
      if (found.isCurrent()) return found
      flights.delete(key)
      return null
    },

    isHopeless: (key, now) => !hopeless.isEmpty() && hopeless.has(key, now),

    lead (key, isCurrent) {
      const flight = new RunningFlight(flights, key, isCurrent)
      flights.set(key, flight)
      return flight
    },

    rememberHopeless: hopeless.remember,
    forgetHopeless: hopeless.forget,

    wasTooSlow: (key, client, now) => !tooSlow.isEmpty() && tooSlow.has(`${client} ${key}`, now),
    rememberTooSlow (key, client, until) { tooSlow.remember(`${client} ${key}`, until) }
  }
}

interface Memory {
  isEmpty (): boolean
  has (key: string, now: number): boolean
  remember (key: string, until: number): void
  forget (key: string): void
}

/** Keys, each until some instant. */
function createMemory (): Memory {
  // Not a Map: its first key stands behind all that were deleted, thousands of them, and each new key would look for it.
  const keys = new LRUCache<string, number>({ max: maxRemembered })
  return {
    isEmpty: () => keys.size === 0,

    has (long, now) {
      const key = shortKey(long)
      const until = keys.peek(key)
      if (until === undefined) return false
      if (until > now) return true
      keys.delete(key)
      return false
    },

    remember (key, until) { keys.set(shortKey(key), until) },
    forget (key) { if (keys.size > 0) keys.delete(shortKey(key)) }
  }
}

const nothing = (): void => {}
const isOver = (): boolean => false

class RunningFlight implements LeadFlight {
  readonly #flights: Map<string, RunningFlight>
  readonly #key: string
  readonly #waiters = new Set<Waiter>()
  /** What who joins now is told at once. */
  #landed: Landing | null = null
  #isOver = false
  isCurrent: () => boolean
  onLeft: () => void = nothing

  constructor (flights: Map<string, RunningFlight>, key: string, isCurrent: () => boolean) {
    this.#flights = flights
    this.#key = key
    this.isCurrent = isCurrent
  }

  get waiting (): number { return this.#waiters.size }

  join (waiter: Waiter): void {
    if (this.#landed === null) this.#waiters.add(waiter)
    else waiter(this.#landed)
  }

  leave (waiter: Waiter): void { if (this.#waiters.delete(waiter)) this.onLeft() }

  land (landing: Landing): void {
    if (!this.#isOver) this.#landed = landing
    // Only a response that streams can still be joined.
    if (landing.kind !== 'response') this.end()
    const told = [...this.#waiters]
    this.#waiters.clear()
    for (const waiter of told) waiter(landing)
  }

  /**
   * What it leads to is let go of. A Map that is written much is replaced by another one each time it is full of what was deleted,
   * and V8 takes what the old one still names for alive until the next full collection: whole requests, sixty at a time.
   */
  end (): void {
    if (this.#flights.get(this.#key) === this) this.#flights.delete(this.#key)
    this.#isOver = true
    this.#landed = { kind: 'alone' }
    this.isCurrent = isOver
    this.onLeft = nothing
  }
}
