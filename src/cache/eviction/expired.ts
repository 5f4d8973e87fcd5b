/** Finds stored responses that can never be used again, a few at each look. */
import { currentAge } from '../freshness.ts'
import type { StoredEntry } from '../store.ts'

/** Keys looked at for each response that has to leave: some hundred nanoseconds. */
const keysAtOnce = 4

/**
 * Whether a response is stale, without validator, and past every time for which it might still be used.
 * @param graceSeconds how long the routes use stale responses, where the response does not say itself (RFC 5861)
 */
export function isExpiredForGood ({ response }: StoredEntry, now: number, graceSeconds: number): boolean {
  if (response.etag !== null || response.lastModifiedAt !== null) return false
  const { staleWhileRevalidate = 0, staleIfError = 0 } = response.control
  return currentAge(response, now) - response.freshnessLifetime > Math.max(graceSeconds, staleWhileRevalidate, staleIfError)
}

/**
 * @param keys begins a walk over all keys; a Map may be changed while it is walked
 * @returns a function that walks on by a few keys and returns the first dead response among them, or null
 */
export function createExpiredFinder (keys: () => Iterator<readonly StoredEntry[]>, isDead: (entry: StoredEntry) => boolean): () => StoredEntry | null {
  let walk = keys()
  return () => {
    for (let i = 0; i < keysAtOnce; i++) {
      const step = walk.next()
      if (step.done === true) {
        walk = keys()
        return null
      }
      const dead = step.value.find(isDead)
      if (dead !== undefined) return dead
    }
    return null
  }
}
