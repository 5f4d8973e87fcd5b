/** Finds stored responses that can never be used again, a few at each look. */
import { currentAge } from '../freshness.ts'
import type { Held } from '../key-index.ts'
import { PackedEntry } from '../packed-entry.ts'
import type { StoredEntry } from '../store.ts'
import { hasValidator } from '../stored-response.ts'

/** Keys looked at for each response that has to leave: some hundred nanoseconds. */
const keysAtOnce = 4

/**
 * Whether a response is stale, without validator, and past every time for which it might still be used.
 * @param graceSeconds how long the routes use stale responses, where the response does not say itself (RFC 5861)
 */
export function isExpiredForGood (entry: StoredEntry, now: number, graceSeconds: number): boolean {
  const { response } = entry
  const { staleWhileRevalidate = 0, staleIfError = 0 } = response.control
  const staleSeconds = currentAge(response, now) - response.freshnessLifetime
  if (staleSeconds <= Math.max(graceSeconds, staleWhileRevalidate, staleIfError)) return false
  return entry instanceof PackedEntry ? !entry.hasValidator : !hasValidator(response)
}

/**
 * @param keys begins a walk over all keys; a Map may be changed while it is walked
 * @returns a function that walks on by a few keys and returns the first dead response among them, or null
 */
export function createExpiredFinder (keys: () => Iterator<Held>, isDead: (entry: StoredEntry) => boolean): () => StoredEntry | null {
  // Begun when it is needed: a walk that rests while its Map grows keeps every table that the Map has had.
  let walk: Iterator<Held> | null = null
  return () => {
    walk ??= keys()
    for (let i = 0; i < keysAtOnce; i++) {
      const step = walk.next()
      if (step.done === true) {
        walk = null
        return null
      }
      const held = step.value
      if (Array.isArray(held)) {
        const dead = held.find(isDead)
        if (dead !== undefined) return dead
      } else if (isDead(held)) return held
    }
    return null
  }
}
