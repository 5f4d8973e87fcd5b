/**
 * Wrong passwords, counted by whom they were for and where they came from.
 *
 * By digests of names: a name may be long, and as a part of what was sent it would keep the password in memory with it.
 */
import { LRUCache } from 'lru-cache'
import type { BasicConfig } from '../config/schema.ts'
import { keyedDigest } from './remembered.ts'

/** Names, addresses, and pairs of both that are remembered: an attacker with more of them makes the oldest forgotten. */
export const maxCounted = 10_000

/** How long an address from which a user was let in stays one that others do not hold up. */
const familiarMs = 24 * 60 * 60 * 1000

export interface Attempts {
  /** Counts an attempt before its outcome is known, so that many at once are not more than one after another; or says how many milliseconds to wait. */
  begin (user: string, address: string, now: number): { readonly waitMs: number }
  /** It was right after all. */
  succeeded (user: string, address: string, now: number): void
  /** It was never looked at. */
  dropped (user: string, address: string): void
  readonly size: number
}

interface Count { failures: number, readonly until: number }

/** @param rules bounds, and the window in milliseconds */
export function createAttempts (rules: BasicConfig['attempts']): Attempts {
  const users = new LRUCache<string, Count>({ max: maxCounted })
  const addresses = new LRUCache<string, Count>({ max: maxCounted })
  const familiar = new LRUCache<string, number>({ max: maxCounted })

  function waitFor (counts: LRUCache<string, Count>, key: string, most: number, now: number): number {
    const count = counts.get(key)
    return count !== undefined && count.until > now && count.failures >= most ? count.until - now : 0
  }

  function add (counts: LRUCache<string, Count>, key: string, now: number): void {
    const count = counts.get(key)
    if (count === undefined || count.until <= now) counts.set(key, { failures: 1, until: now + rules.window })
    else count.failures++
  }

  function takeBack (counts: LRUCache<string, Count>, key: string): void {
    const count = counts.get(key)
    if (count !== undefined && --count.failures <= 0) counts.delete(key)
  }

  function dropped (user: string, address: string): void {
    takeBack(users, keyedDigest([user]))
    takeBack(addresses, address)
  }

  return {
    begin (user, address, now) {
      const name = keyedDigest([user])
      const isFamiliar = (familiar.get(keyedDigest([user, address])) ?? 0) > now
      const waitMs = Math.max(waitFor(addresses, address, rules.perAddress, now), isFamiliar ? 0 : waitFor(users, name, rules.perUser, now))
      if (waitMs > 0) return { waitMs }
      add(users, name, now)
      add(addresses, address, now)
      return { waitMs }
    },
    succeeded (user, address, now) {
      dropped(user, address)
      familiar.set(keyedDigest([user, address]), now + familiarMs)
    },
    dropped,
    get size () { return users.size + addresses.size + familiar.size }
  }
}
