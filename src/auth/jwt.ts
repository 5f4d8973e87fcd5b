/** Signed tokens (RFC 7519), verified by `jose` under rules that the token has no say in (RFC 8725). */
import type { JWTPayload, JWTVerifyOptions } from 'jose'
import type { JwtConfig } from '../config/schema.ts'
import { bearerToken } from './authorization.ts'
import { claimAt } from './identity-fields.ts'
import { jose } from './jose.ts'
import type { KeySource, KeyState } from './jwks.ts'
import { createRemembered } from './remembered.ts'
import { absent, type Admission, type Refusal, type Verdict, type Verifier } from './verdict.ts'

export interface JwtDependencies {
  readonly keys: KeySource
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** Keys that are tried for a token that does not say which one signed it. */
const maxTried = 8

const realm = 'Bearer realm="Restricted"'
const wrong: Refusal = { ok: false, reason: 'invalid', challenges: [`${realm}, error="invalid_token"`] }
const unavailable: Refusal = { ok: false, reason: 'unavailable' }
const notAllowed: Refusal = { ok: false, reason: 'forbidden' }

export function createJwt (config: JwtConfig, { keys, now }: JwtDependencies): Verifier {
  const { decodeProtectedHeader, errors, jwtVerify } = jose()
  const remembered = createRemembered()
  let rememberedVersion = 0
  const scopeList = config.scopes.join(' ').replace(/[^\x21\x23-\x5b\x5d-\x7e ]/g, '')
  const tooNarrow: Refusal = { ok: false, reason: 'insufficient-scope', challenges: [`${realm}, error="insufficient_scope", scope="${scopeList}"`] }
  const options: JWTVerifyOptions = {
    algorithms: [...config.algorithms],
    issuer: listOf(config.issuer),
    audience: listOf(config.audience),
    clockTolerance: config.clockSkew / 1000,
    requiredClaims: ['exp'],
    ...config.type !== undefined && { typ: config.type }
  }

  return {
    challenges: [realm],
    judgesAuthorization: true,
    verify (request, done) {
      const token = bearerToken(request, config.cookie)
      if (token === null) return done(absent)
      if (typeof token !== 'string') return done(token)
      if (token.length > config.maxBytes) return done(wrong)

      // What a key that is not there any more has signed is not known.
      if (rememberedVersion !== keys.version()) remembered.clear()
      rememberedVersion = keys.version()
      const digest = remembered.digest(token)
      const known = remembered.find(digest, now())
      if (known !== null) return done(known)
      judge(token, digest).then(done, () => { done(wrong) })
    }
  }

  async function judge (token: string, digest: string): Promise<Verdict> {
    const { kid, alg } = decodeProtectedHeader(token)
    // Before anybody is asked for keys.
    if (alg === undefined || !options.algorithms?.includes(alg)) return wrong
    const state = await keys.keysFor(kid)
    if (state === null) return unavailable
    if (kid !== undefined && !state.has(kid)) return state.isDoubtful ? unavailable : wrong

    const claims = await verified(token, state)
    const subject = claimAt(claims, config.subject)
    if (!isName(subject)) return wrong
    if (!hasScopes(claims, config.scopes)) return tooNarrow
    if (!hasClaims(claims, config.claims)) return notAllowed
    const admission: Admission = { ok: true, identity: { subject: String(subject), kind: 'jwt', claims } }
    const until = Math.min(now() + config.remember, (claims.exp as number) * 1000 + config.clockSkew)
    if (config.remember > 0 && state.version === keys.version()) remembered.keep(digest, admission, until)
    return admission
  }

  /** Rejects for a token that is not right. */
  async function verified (token: string, state: KeyState): Promise<JWTPayload> {
    const checks = { ...options, currentDate: new Date(now()) }
    try {
      return (await jwtVerify(token, state.keys, checks)).payload
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
      let tried = 0
      for await (const key of error) {
        if (++tried > maxTried) break
        try {
          return (await jwtVerify(token, key, checks)).payload
        } catch (reason) {
          if (!(reason instanceof errors.JWSSignatureVerificationFailed)) throw reason
        }
      }
      throw error
    }
  }
}

function listOf (value: string | readonly string[]): string[] {
  return typeof value === 'string' ? [value] : [...value]
}

function isName (value: unknown): value is string | number {
  return (typeof value === 'string' && value !== '') || Number.isSafeInteger(value)
}

/** `scope` is text (RFC 8693 4.2); `scp` is what some issuers write, as text or list. */
function hasScopes (claims: JWTPayload, scopes: readonly string[]): boolean {
  if (scopes.length === 0) return true
  const given = [claims['scope'], claims['scp']].flatMap(value => Array.isArray(value) ? value as unknown[] : typeof value === 'string' ? value.split(' ') : [])
  return scopes.every(scope => given.includes(scope))
}

function hasClaims (claims: JWTPayload, wanted: JwtConfig['claims']): boolean {
  return Object.entries(wanted).every(([name, value]) => {
    const given = claimAt(claims, name)
    const members = (Array.isArray(given) ? given : [given]).filter(member => member !== null && typeof member !== 'object').map(String)
    return given !== undefined && listOf(value).some(accepted => members.includes(accepted))
  })
}
