/** What a kind of authentication is asked, and what it can say. */
import type { FieldMap } from '../http/fields.ts'
import type { Identity } from '../proxy/identity.ts'

export interface AuthRequest {
  readonly method: string
  readonly fields: FieldMap
  /** All field lines `[name, value, ...]` as received: of a repeated `Authorization` Node keeps the first alone. */
  readonly lines: readonly string[]
  /** Values of the parameters that may carry a key, already taken out of the target; null where one is given twice. */
  readonly queryKeys: Readonly<Record<string, string | null>> | null
  readonly scheme: string
  readonly authority: string
  readonly path: string
  readonly query: string
  readonly clientAddress: string
  /** The connection, for its client certificate. */
  readonly socket: object
}

export interface Refusal {
  readonly ok: false
  readonly reason: RefusalReason
  /** Takes the place of the kind's challenges. */
  readonly challenges?: readonly string[]
  /** Seconds. */
  readonly retryAfter?: number
  /** Status in place of the reason's own. */
  readonly statusCode?: number
}

export interface Admission {
  readonly ok: true
  readonly identity: Identity
  /** Request fields that go upstream with it. */
  readonly fields?: Readonly<Record<string, string>>
}

export type Verdict = Admission | Refusal

export type RefusalReason = 'absent' | 'invalid' | 'no-certificate' | 'unavailable' | 'overloaded' | 'throttled' | 'forbidden' | 'insufficient-scope' | 'malformed'

export interface Verifier {
  /** Calls back once, within the call wherever it can. */
  verify (request: AuthRequest, done: (verdict: Verdict) => void): void
  /** What a client is told that it may offer (RFC 9110 11.6.1); empty where HTTP has no word for it. */
  readonly challenges: readonly string[]
  /** The kind reads `Authorization`, so that what it says was judged when the kind lets somebody in. */
  readonly judgesAuthorization: boolean
}

export const absent: Refusal = { ok: false, reason: 'absent' }
export const invalid: Refusal = { ok: false, reason: 'invalid' }

export interface RefusalAnswer {
  readonly statusCode: number
  /** Stable, as clients get it. */
  readonly code: string
  readonly challenges: readonly string[]
  /** Seconds, or null. */
  readonly retryAfter: number | null
}

/** The answer where nothing let the request in; of several reasons the one furthest down counts. */
const answers: readonly (readonly [RefusalReason, number, string])[] = [
  ['absent', 401, 'unauthorized'],
  ['invalid', 401, 'unauthorized'],
  ['no-certificate', 403, 'certificate_required'],
  ['overloaded', 503, 'auth_overloaded'],
  ['unavailable', 503, 'auth_unavailable'],
  ['throttled', 429, 'too_many_attempts'],
  ['forbidden', 403, 'forbidden'],
  ['insufficient-scope', 403, 'insufficient_scope'],
  ['malformed', 400, 'bad_credentials']
]

/** A 401 has a challenge (RFC 9110 15.5.2), also where HTTP has no name for what is wanted. */
const unnamed = 'Credential realm="Restricted"'

/** Seconds after which a client may ask again when nothing better is known. */
const defaultRetryAfter = 1

/** @param refusals of the kinds that were asked, with what each of them asks for */
export function answerTo (refusals: readonly { readonly refusal: Refusal, readonly verifier: Pick<Verifier, 'challenges'> }[]): RefusalAnswer {
  const rank = (reason: RefusalReason): number => answers.findIndex(([word]) => word === reason)
  let worst: Refusal = absent
  const challenges = new Map<string, string>()
  for (const { refusal, verifier } of refusals) {
    // A certificate that is missing matters only where nothing else could be offered.
    const counts = refusal.reason !== 'no-certificate' || refusals.every(other => other.refusal.reason === 'no-certificate')
    if (counts && rank(refusal.reason) > rank(worst.reason)) worst = refusal
    for (const challenge of refusal.challenges ?? verifier.challenges) {
      const scheme = challenge.split(' ', 1)[0] as string
      // Two kinds of one scheme are one challenge; the one that says what is wrong says more.
      if (!challenges.has(scheme) || refusal.challenges !== undefined) challenges.set(scheme, challenge)
    }
  }
  const [, statusCode, code] = answers[rank(worst.reason)] as typeof answers[number]
  const isChallenge = statusCode === 401 || worst.reason === 'insufficient-scope' || (worst.reason === 'forbidden' && worst.challenges !== undefined) || worst.reason === 'malformed'
  const offered = [...challenges.values()]
  return {
    statusCode: worst.statusCode ?? statusCode,
    code,
    challenges: !isChallenge ? [] : offered.length === 0 && statusCode === 401 ? [unnamed] : offered,
    retryAfter: worst.retryAfter ?? (statusCode === 503 ? defaultRetryAfter : null)
  }
}
