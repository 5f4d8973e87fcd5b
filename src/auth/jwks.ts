/**
 * The public keys of an issuer: read from a file, or fetched from where the issuer publishes them.
 *
 * One fetch at a time, at most one in so many seconds; what was fetched last is used while the issuer cannot be reached,
 * and not for ever.
 */
import { createPublicKey } from 'node:crypto'
import type { createLocalJWKSet, JSONWebKeySet, JWK } from 'jose'
import type { JwtConfig } from '../config/schema.ts'
import type { FetchText } from './fetch-text.ts'
import { jose } from './jose.ts'

export type KeySet = ReturnType<typeof createLocalJWKSet>

export interface KeyState {
  readonly keys: KeySet
  /** Another number after every change. */
  readonly version: number
  /** The last fetch failed: what is not among the keys may be among those that could not be fetched. */
  readonly isDoubtful: boolean
  has (kid: string): boolean
}

export interface KeySource {
  /** The keys in use; null where there are none. With a `kid` that is not among them, fetched again if that may be. */
  keysFor (kid: string | undefined): Promise<KeyState | null>
  /** Of the keys in use; what was verified by another one has to be verified again. */
  version (): number
}

/** A set of more keys, or a larger text, is nonsense or an attack. */
const maxKeys = 100
export const maxKeySetBytes = 256 * 1024

/** Throws what is wrong with a text that is neither a JWK Set with a usable public key nor a PEM. */
export function parseKeys (text: string): readonly JWK[] {
  if (text.includes('-----BEGIN ')) {
    if (text.includes('PRIVATE KEY')) throw new Error('holds a private key, which has no business here')
    return [createPublicKey(text).export({ format: 'jwk' }) as JWK]
  }
  let set: unknown
  try {
    set = JSON.parse(text)
  } catch {
    throw new Error('is neither JSON nor PEM')
  }
  const keys = typeof set === 'object' && set !== null ? (set as { keys?: unknown }).keys : undefined
  if (!Array.isArray(keys)) throw new Error('is no JWK Set: it has no list `keys`')
  if (keys.length > maxKeys) throw new Error(`has more than ${maxKeys} keys`)
  const usable = keys.filter(isPublicKey)
  if (usable.length === 0) throw new Error('has no public key for signatures')
  return usable
}

/** A secret, or the private half of a pair, is no key that others may be told from. */
function isPublicKey (key: unknown): key is JWK {
  if (typeof key !== 'object' || key === null) return false
  const { kty, d, use, kid } = key as Record<string, unknown>
  if ((kty !== 'RSA' && kty !== 'EC' && kty !== 'OKP') || d !== undefined || (use !== undefined && use !== 'sig') || (kid !== undefined && typeof kid !== 'string')) return false
  try {
    createPublicKey({ key: key as never, format: 'jwk' })
    return true
  } catch {
    return false
  }
}

function stateOf (keys: readonly JWK[], version: number): Omit<KeyState, 'isDoubtful'> {
  const names = new Set(keys.map(({ kid }) => kid))
  // createLocalJWKSet wants a list that it might change.
  return { keys: jose().createLocalJWKSet({ keys: [...keys] } as JSONWebKeySet), version, has: kid => names.has(kid) }
}

export function createFixedKeys (text: string): KeySource {
  const state: KeyState = { ...stateOf(parseKeys(text), 1), isDoubtful: false }
  return { keysFor: async () => state, version: () => 1 }
}

export interface FetchedKeysInput {
  readonly url: string
  readonly config: Pick<JwtConfig['keys'], 'refresh' | 'cooldown' | 'timeout' | 'keep'>
  readonly fetchText: FetchText
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly onFailure: (error: unknown) => void
}

export function createFetchedKeys ({ url, config, fetchText, now, onFailure }: FetchedKeysInput): KeySource {
  let state: Omit<KeyState, 'isDoubtful'> | null = null
  let text = ''
  let fetchedAt = -Infinity
  let askedAt = -Infinity
  let hasFailed = false
  let underWay: Promise<void> | null = null

  /** Joins the fetch under way, or begins one; null where it is too soon for another. */
  function fetchAgain (): Promise<void> | null {
    if (underWay !== null) return underWay
    if (now() - askedAt < config.cooldown) return null
    askedAt = now()
    underWay = fetchText(url, { timeoutMs: config.timeout, maxBytes: maxKeySetBytes }).then(received => {
      if (received !== text || state === null) state = stateOf(parseKeys(received), (state?.version ?? 0) + 1)
      text = received
      fetchedAt = now()
      hasFailed = false
    }).catch((error: unknown) => {
      hasFailed = true
      onFailure(error)
    }).finally(() => { underWay = null })
    return underWay
  }

  return {
    async keysFor (kid) {
      const age = now() - fetchedAt
      if (state === null || age > config.refresh + config.keep) await fetchAgain()
      else if (kid !== undefined && !state.has(kid)) await fetchAgain()
      else if (age > config.refresh) fetchAgain()?.catch(onFailure)
      if (state === null || now() - fetchedAt > config.refresh + config.keep) return null
      return { ...state, isDoubtful: hasFailed }
    },
    version: () => now() - fetchedAt > config.refresh + config.keep ? 0 : state?.version ?? 0
  }
}
