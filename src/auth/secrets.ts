/** API keys and opaque tokens: SHA-256 at rest, compared in constant time. */
import { hash, timingSafeEqual } from 'node:crypto'
import type { ApiKeysConfig, BearerConfig } from '../config/schema.ts'
import { bearerToken } from './authorization.ts'
import { absent, invalid, type Admission, type Verdict, type Verifier } from './verdict.ts'

type Configured = ApiKeysConfig['keys'][number]

interface Secret { readonly digest: Buffer, readonly admission: Admission }

export function createApiKeys ({ field, query, keys }: ApiKeysConfig): Verifier {
  const name = field.toLowerCase()
  const secrets = keys.map(key => secretOf(key, 'api-key'))
  return {
    challenges: ['ApiKey'],
    judgesAuthorization: name === 'authorization',
    verify (request, done) {
      const inField = request.fields[name]
      const inQuery = query === undefined ? undefined : request.queryKeys?.[query]
      if (inField === undefined && inQuery === undefined) return done(absent)
      // Two keys, or one twice: whichever was looked at, something behind might look at the other.
      if (inField !== undefined && inQuery !== undefined) return done(invalid)
      const key = inField ?? inQuery
      done(typeof key === 'string' ? verdictOn(key, secrets) : invalid)
    }
  }
}

export function createBearerTokens ({ tokens }: BearerConfig): Verifier {
  const secrets = tokens.map(token => secretOf(token, 'bearer'))
  const wrong: Verdict = { ...invalid, challenges: ['Bearer realm="Restricted", error="invalid_token"'] }
  return {
    challenges: ['Bearer realm="Restricted"'],
    judgesAuthorization: true,
    verify (request, done) {
      const token = bearerToken(request)
      if (token === null) return done(absent)
      if (typeof token !== 'string') return done(token)
      const verdict = verdictOn(token, secrets)
      done(verdict.ok ? verdict : wrong)
    }
  }
}

/** Digits of a hash that name its secret: enough to tell them apart, and nothing that could be asked with. */
const nameDigits = 16

function secretOf (configured: Configured, kind: string): Secret {
  const digits = (typeof configured === 'string' ? configured : configured.hash).slice('sha256:'.length)
  const subject = typeof configured === 'string' ? `key-${digits.slice(0, nameDigits)}` : configured.name
  return { digest: Buffer.from(digits, 'hex'), admission: { ok: true, identity: { subject, kind, claims: {} } } }
}

/** Compares with every digest, so that the time taken does not tell which one was near. */
function verdictOn (credential: string, secrets: readonly Secret[]): Verdict {
  const digest = hash('sha256', credential, 'buffer')
  let found: Verdict = invalid
  for (const secret of secrets) if (timingSafeEqual(digest, secret.digest)) found = secret.admission
  return found
}
