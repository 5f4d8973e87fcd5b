/** Credentials in `Authorization` (RFC 9110 11.6.2). */
import type { AuthRequest, Refusal } from './verdict.ts'

const repeated: Refusal = { ok: false, reason: 'malformed' }

/** What stands behind the scheme; null where there is none of it; a refusal where the field is there twice, since the upstream might read the other one. */
export function credentialsOf (request: AuthRequest, scheme: 'basic' | 'bearer'): string | null | Refusal {
  const value = request.fields['authorization']
  if (typeof value !== 'string') return null
  if (isRepeated(request.lines)) return repeated
  const length = scheme.length
  if (value.length <= length || value.charCodeAt(length) !== 0x20 || value.slice(0, length).toLowerCase() !== scheme) return null
  return value.slice(length).trim()
}

function isRepeated (lines: readonly string[]): boolean {
  let found = 0
  for (let i = 0; i < lines.length; i += 2) {
    const name = lines[i] as string
    if (name.length === 13 && name.toLowerCase() === 'authorization') found++
  }
  return found > 1
}

/** `b64token` (RFC 6750 2.1). */
const token68 = /^[A-Za-z0-9._~+/-]+=*$/

/** The token of a request, from `Authorization` or else from a cookie; null where there is none. */
export function bearerToken (request: AuthRequest, cookie?: string): string | null | Refusal {
  const given = credentialsOf(request, 'bearer')
  if (given !== null) return typeof given === 'string' && !token68.test(given) ? malformedToken : given
  return cookie === undefined || request.fields['authorization'] !== undefined ? null : cookieValue(request, cookie)
}

export const malformedToken: Refusal = { ok: false, reason: 'malformed', challenges: ['Bearer realm="Restricted", error="invalid_request"'] }

/** The cookie's value; a refusal where it is there twice, since the upstream might read the other one. */
function cookieValue ({ fields }: AuthRequest, name: string): string | null | Refusal {
  const value = fields['cookie']
  if (typeof value !== 'string') return null
  const values = value.split(';').filter(pair => cookieName(pair) === name).map(pair => pair.slice(pair.indexOf('=') + 1).trim())
  if (values.length > 1) return malformedToken
  return values[0] ?? null
}

function cookieName (pair: string): string {
  const equals = pair.indexOf('=')
  return equals === -1 ? '' : pair.slice(0, equals).trim()
}

/** A `Cookie` value without one of its cookies; null where nothing is left. */
export function withoutCookie (value: string, name: string): string | null {
  const kept = value.split(';').filter(pair => cookieName(pair) !== name).map(pair => pair.trim()).filter(pair => pair !== '')
  return kept.length === 0 ? null : kept.join('; ')
}
