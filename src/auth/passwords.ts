/** Argon2 (RFC 9106) through `@node-rs/argon2`, which runs in Node's thread pool; so many at a time, and the others in a bounded line. */
import { loadOnce } from '../load-once.ts'

type Argon2 = typeof import('@node-rs/argon2')

/** Loaded where it is first needed: a proxy without passwords does not need the binary. Throws where there is none for this machine. */
export const argon2 = loadOnce<Argon2>('@node-rs/argon2')

export interface Passwords {
  /** Whether the password is the one of the hash; null when too many wait already, or for what is no hash. */
  verify (hash: string, password: string): Promise<boolean | null>
}

/**
 * @param concurrency verifications at a time
 * @param queue verifications that may wait
 */
export function createPasswords (concurrency: number, queue: number, verify: Argon2['verify'] = argon2().verify): Passwords {
  let running = 0
  const waiting: Array<() => void> = []

  return {
    async verify (hash, password) {
      if (running >= concurrency) {
        if (waiting.length >= queue) return null
        // Whoever ends hands its place over.
        await new Promise<void>(resolve => { waiting.push(resolve) })
      } else {
        running++
      }
      try {
        return await verify(hash, password)
      } catch {
        return null
      } finally {
        const next = waiting.shift()
        if (next === undefined) running--
        else next()
      }
    }
  }
}

/** OWASP's first recommendation for Argon2id: 19 MiB, two passes, one thread. Milliseconds on any machine, and no small memory for whoever guesses. */
const recommended = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** A hash for the configuration, with a salt of its own. */
export function hashPassword (password: string): Promise<string> {
  return argon2().hash(password, recommended)
}
