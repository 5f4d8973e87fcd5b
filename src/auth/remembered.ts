/**
 * Credentials that were right a moment ago. Kept by a digest under a key that only this process has, so that neither the
 * credential nor anything it could be guessed from is in memory.
 */
import { createHmac, hash, randomBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Admission } from './verdict.ts'

export interface Remembered {
  /** What the credential is found by. */
  digest (...parts: readonly string[]): string
  /** @param now epoch milliseconds */
  find (digest: string, now: number): Admission | null
  /** @param until epoch milliseconds */
  keep (digest: string, admission: Admission, until: number): void
  clear (): void
  readonly size: number
}

/** Credentials remembered by one kind on one route. */
export const maxRemembered = 10_000

const processKey = randomBytes(32).toString('hex')

/** For digests that others see. */
export function keyedDigest (parts: readonly string[]): string {
  return createHmac('sha256', processKey).update(joined(parts)).digest('base64url')
}

/** Texts with their lengths in front, so that no two lists are the same. */
function joined (parts: readonly string[]): string {
  let text = ''
  for (const part of parts) text += `${part.length}:${part}`
  return text
}

export function createRemembered (): Remembered {
  const known = new LRUCache<string, { readonly admission: Admission, readonly until: number }>({ max: maxRemembered })
  return {
    // Nobody sees it, so that the key in front is enough; it is made for every request.
    digest: (...parts) => hash('sha256', processKey + joined(parts), 'base64url'),
    find (digest, now) {
      const found = known.get(digest)
      if (found === undefined) return null
      if (found.until > now) return found.admission
      known.delete(digest)
      return null
    },
    keep (digest, admission, until) { known.set(digest, { admission, until }) },
    clear () { known.clear() },
    get size () { return known.size }
  }
}
