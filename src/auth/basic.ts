/** User name and password (RFC 7617), with brute force slowed and nothing told about who exists. */
import { createHash } from 'node:crypto'
import type { BasicConfig } from '../config/schema.ts'
import { credentialsOf } from './authorization.ts'
import { createAttempts } from './attempts.ts'
import { createPasswords, type Passwords } from './passwords.ts'
import { createRemembered } from './remembered.ts'
import { createUnderWay } from './under-way.ts'
import { absent, invalid, type Admission, type Refusal, type Verdict, type Verifier } from './verdict.ts'

/** A longer password is refused unread. */
const maxPasswordBytes = 1024

export interface BasicDependencies {
  /** Hashes by user name, those of the file included; not empty. */
  readonly users: ReadonlyMap<string, string>
  /** Epoch milliseconds. */
  readonly now: () => number
  /** In place of Argon2, for tests. */
  readonly passwords?: Passwords
  /** What counts as one address. */
  readonly addressKey: (address: string) => string
}

export function createBasic (config: BasicConfig, { users, now, addressKey, ...given }: BasicDependencies): Verifier {
  const passwords = given.passwords ?? createPasswords(config.concurrency, config.queue)
  const attempts = createAttempts(config.attempts)
  const remembered = createRemembered()
  const hashes = [...users.values()]
  const overloaded: Refusal = { ok: false, reason: 'overloaded' }
  const underWay = createUnderWay()

  return {
    challenges: [`Basic realm="${config.realm}", charset="UTF-8"`],
    judgesAuthorization: true,
    verify (request, done) {
      const encoded = credentialsOf(request, 'basic')
      if (encoded === null) return done(absent)
      if (typeof encoded !== 'string') return done(encoded)
      const pair = decodePair(encoded)
      if (pair === null) return done(invalid)
      const { user, password } = pair

      const digest = remembered.digest(user, password)
      const known = remembered.find(digest, now())
      if (known !== null) return done(known)
      if (underWay.join(digest, done)) return

      const address = addressKey(request.clientAddress)
      const { waitMs } = attempts.begin(user, address, now())
      if (waitMs > 0) return done({ ok: false, reason: 'throttled', retryAfter: Math.ceil(waitMs / 1000) })

      judge(user, password, address, digest).catch(() => overloaded).then(underWay.begin(digest, done))
    }
  }

  async function judge (user: string, password: string, address: string, digest: string): Promise<Verdict> {
    const own = users.get(user)
    // Nobody by that name: somebody's hash is computed all the same, always the same one, and the outcome does not count.
    const fits = await passwords.verify(own ?? standIn(user), password)
    if (fits === null) {
      attempts.dropped(user, address)
      return overloaded
    }
    if (!fits || own === undefined) return invalid
    attempts.succeeded(user, address, now())
    const admission: Admission = { ok: true, identity: { subject: user, kind: 'basic', claims: {} } }
    if (config.remember > 0) remembered.keep(digest, admission, now() + config.remember)
    return admission
  }

  /** Hashes of different cost are as frequent among names that do not exist as among those that do. */
  function standIn (user: string): string {
    return hashes[createHash('sha256').update(user).digest().readUInt32BE(0) % hashes.length] as string
  }
}

const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodePair (encoded: string): { readonly user: string, readonly password: string } | null {
  if (encoded.length > 2 * maxPasswordBytes || !base64.test(encoded)) return null
  const bytes = Buffer.from(encoded, 'base64')
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return null
  }
  const colon = text.indexOf(':')
  if (colon === -1 || Buffer.byteLength(text) - colon - 1 > maxPasswordBytes) return null
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
