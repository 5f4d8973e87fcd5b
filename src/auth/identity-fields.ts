/** What the upstream is told of who asks, and how clients are kept from saying it themselves. */
import { hash } from 'node:crypto'
import type { AuthConfig, AuthKindsConfig, RouteConfig } from '../config/schema.ts'
import type { MutableFieldMap } from '../http/fields.ts'
import type { Identity } from '../proxy/identity.ts'
import { withoutCookie } from './authorization.ts'

/** All sets of kinds that a route's authentication consists of. */
export function kindsOf (auth: AuthConfig): readonly AuthKindsConfig[] {
  return auth.all ?? auth.any ?? [auth]
}

/** Query parameters that may carry a key. */
export function queryKeyNames (auth: AuthConfig | undefined): readonly string[] {
  return auth === undefined ? [] : kindsOf(auth).map(({ apiKeys }) => apiKeys?.query).filter(name => name !== undefined)
}

/** Fields that authentication sets, as they are compared by `isForged`. */
export function identityFieldNames (auth: AuthConfig | undefined): readonly string[] {
  if (auth === undefined) return []
  const copied = kindsOf(auth).flatMap(({ external }) => external?.copyFields ?? [])
  return [...auth.identityField === undefined ? [] : [auth.identityField], ...Object.keys(auth.claimFields), ...copied].map(likeOthers)
}

/** Names of the request fields that authentication sets on any route, by upstream: what clients must not say on any other route to it. */
export function identityFieldsByUpstream (routes: ReadonlyArray<Pick<RouteConfig, 'upstream' | 'auth'>>): ReadonlyMap<string, ReadonlySet<string>> {
  const byUpstream = new Map<string, Set<string>>()
  for (const { upstream, auth } of routes) {
    const names = byUpstream.get(upstream) ?? new Set()
    for (const name of identityFieldNames(auth)) names.add(name)
    byUpstream.set(upstream, names)
  }
  return byUpstream
}

/**
 * Removes what a client says of itself in the fields that authentication sets, in whatever spelling an application may
 * take for the same: behind CGI and its heirs `X_User` and `X-User` are both `HTTP_X_USER`.
 * @param names as `identityFieldNames` gives them
 */
export function dropForged (fields: MutableFieldMap, names: ReadonlySet<string>): void {
  for (const name of Object.keys(fields)) if (isIdentityField(name, names)) delete fields[name]
}

/** @param names as `identityFieldNames` gives them */
export function isIdentityField (name: string, names: ReadonlySet<string>): boolean {
  return names.has(likeOthers(name))
}

function likeOthers (name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '-')
}

/** Claims nested this deep can be named, as `realm_access.roles`. */
const deepestClaim = 4

/** The fields that the route sends for an identity: its subject, its claims. */
export function fieldsFor (auth: AuthConfig, identity: Identity): Record<string, string> {
  const fields: Record<string, string> = {}
  if (auth.identityField !== undefined) fields[auth.identityField.toLowerCase()] = presentable(identity.subject)
  for (const [field, claim] of Object.entries(auth.claimFields)) {
    const value = [identity, ...identity.others ?? []].map(({ claims }) => claimText(claimAt(claims, claim))).find(text => text !== null)
    if (value !== undefined && value !== null) fields[field.toLowerCase()] = value
  }
  return fields
}

/** The claim of that name, or, if there is none, the one at that path. */
export function claimAt (claims: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  let value: unknown = claims
  for (const member of path.split('.', deepestClaim + 1)) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, member)) return undefined
    value = (value as Record<string, unknown>)[member]
  }
  return value
}

function claimText (value: unknown): string | null {
  if (Array.isArray(value)) return value.every(isScalar) ? value.map(member => presentable(String(member)).replaceAll(',', '%2C')).join(',') : null
  return isScalar(value) ? presentable(String(value)) : null
}

function isScalar (value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/**
 * Text as a field value: what is not printable ASCII, the percent sign, and spaces at either end are percent-encoded as UTF-8,
 * so that different texts stay different and none can end the field line.
 */
export function presentable (text: string): string {
  if (/^[\x21-\x24\x26-\x7e](?:[\x20-\x24\x26-\x7e]*[\x21-\x24\x26-\x7e])?$/.test(text)) return text
  // By way of bytes, because half a surrogate pair cannot be encoded.
  return Buffer.from(text).toString().replace(/[^\x20-\x24\x26-\x7e]|^ | $/gu, character => encodeURIComponent(character))
}

/** Tells identities apart in cache keys: by kind, issuer, subject, and all that the upstream is told of it. */
export function identityKey (identity: Identity, fields: Readonly<Record<string, string>> | null): string {
  const members = [identity, ...identity.others ?? []].map(({ kind, subject, claims }) => [kind, claims['iss'] ?? null, subject])
  return hash('sha256', JSON.stringify([members, fields]), 'base64url')
}

/** Fields in lower case that carry the credentials of a route, for what must not be shown. */
export function credentialFields (auth: AuthConfig | undefined): readonly string[] {
  if (auth === undefined) return []
  return kindsOf(auth).flatMap(({ apiKeys, external }) => [...apiKeys === undefined ? [] : [apiKeys.field], ...external?.forwardFields ?? []]).map(name => name.toLowerCase())
}

/** Removes the credentials that the route reads. */
export function stripCredentials (fields: MutableFieldMap, auth: AuthConfig): void {
  for (const { apiKeys, basic, bearer, jwt, external } of kindsOf(auth)) {
    if (apiKeys !== undefined) delete fields[apiKeys.field.toLowerCase()]
    if (basic !== undefined || bearer !== undefined || jwt !== undefined || external?.forwardFields.some(name => name.toLowerCase() === 'authorization') === true) delete fields['authorization']
    const cookies = fields['cookie']
    if (jwt?.cookie === undefined || typeof cookies !== 'string') continue
    const rest = withoutCookie(cookies, jwt.cookie)
    if (rest === null) delete fields['cookie']
    else fields['cookie'] = rest
  }
}
