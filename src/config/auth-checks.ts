/** Rules about who may use a route. */
import { identityFieldNames } from '../auth/identity-fields.ts'
import type { AuthConfig, AuthKindsConfig, Config, RouteConfig, ServerConfig } from './schema.ts'
import type { ConfigProblem } from './problems.ts'
import type { Report } from './semantic-checks.ts'

const kindNames = ['apiKeys', 'basic', 'bearer', 'jwt', 'external', 'clientCertificate'] as const

/** Fields that are not authentication's to set or to send along: they frame the message, or the proxy writes them. */
const reserved = /^(?:connection|content-length|expect|host|keep-alive|proxy-connection|te|trailer|transfer-encoding|upgrade|via|forwarded|x-forwarded-.*|x-request-id)$/i

/** @param server null where it is not valid in itself */
export function checkAuth ({ auth, cache }: RouteConfig, place: string, server: ServerConfig | null, report: Report): void {
  if (cache.storePrivate && !cache.key.identity) {
    report({ path: `${place}/cache/storePrivate`, rule: 'private-identity', message: 'needs cache.key.identity: what is private to one would be sent to others' })
  }
  if (auth === undefined) return
  if (auth.shared && cache.key.identity) report({ path: `${place}/auth/shared`, rule: 'shared-identity', message: 'contradicts cache.key.identity: either all share what is stored, or each has their own' })

  const here = `${place}/auth`
  checkShape(auth, here, report)
  for (const [kinds, where] of placesOf(auth, here)) checkKinds(kinds, where, server, report)
  const seen = new Set<string>()
  for (const name of identityFieldNames(auth)) {
    if (reserved.test(name)) report({ path: here, rule: 'identity-field', value: name, message: `the field ${name} is the proxy's own to set, or frames the message` })
    if (seen.has(name)) report({ path: here, rule: 'identity-field', value: name, message: `sets the field ${name} twice` })
    seen.add(name)
  }
}

function placesOf (auth: AuthConfig, here: string): ReadonlyArray<readonly [AuthKindsConfig, string]> {
  const groups = (name: 'all' | 'any') => (auth[name] ?? []).map((kinds, index) => [kinds, `${here}/${name}/${index}`] as const)
  return [[auth, here], ...groups('all'), ...groups('any')]
}

function checkShape (auth: AuthConfig, here: string, report: Report): void {
  const named = kindNames.filter(kind => auth[kind] !== undefined)
  const forms = [named.length > 0, auth.all !== undefined, auth.any !== undefined].filter(Boolean).length
  if (forms > 1) report({ path: here, rule: 'one-form', message: 'must have kinds of credentials, or all, or any; not several of them' })
  if (forms === 0) report({ path: here, rule: 'credentials', message: `must have ${kindNames.join(', ')}, all or any: without a credential nobody could use the route` })
  for (const name of ['all', 'any'] as const) {
    for (const [index, kinds] of (auth[name] ?? []).entries()) {
      if (kindNames.every(kind => kinds[kind] === undefined)) report({ path: `${here}/${name}/${index}`, rule: 'credentials', message: `must have at least one of ${kindNames.join(', ')}` })
    }
  }
}

function checkKinds ({ basic, jwt, external, clientCertificate }: AuthKindsConfig, here: string, server: ServerConfig | null, report: Report): void {
  if (basic !== undefined && basic.file === undefined && Object.keys(basic.users).length === 0) {
    report({ path: `${here}/basic`, rule: 'users', message: 'must have users or file: nobody could have a password' })
  }
  if (jwt !== undefined && (jwt.keys.file === undefined) === (jwt.keys.url === undefined)) {
    report({ path: `${here}/jwt/keys`, rule: 'one-source', message: 'must have file or url, and not both' })
  }
  if (jwt?.keys.url !== undefined && !URL.canParse(jwt.keys.url)) report({ path: `${here}/jwt/keys/url`, rule: 'url', value: jwt.keys.url, message: 'is no URL' })
  if (external !== undefined) {
    if (!URL.canParse(external.url)) report({ path: `${here}/external/url`, rule: 'url', value: external.url, message: 'is no URL' })
    for (const [index, name] of external.forwardFields.entries()) {
      if (reserved.test(name)) report({ path: `${here}/external/forwardFields/${index}`, rule: 'forward-field', value: name, message: `the field ${name} is the proxy's own to set, or frames the message` })
    }
  }
  if (clientCertificate !== undefined && server !== null && server.tls?.clientCertificates === undefined) {
    report({ path: `${here}/clientCertificate`, rule: 'client-certificates', message: 'needs server.tls.clientCertificates: without it no client is asked for a certificate' })
  }
}

/** Passwords, tokens and keys that go over the wire in the open, sharing that has to be meant, and an identity that nobody finds out. */
export function authWarnings ({ server, routes }: Config): ConfigProblem[] {
  const warnings: ConfigProblem[] = []
  for (const [index, { auth, cache }] of routes.entries()) {
    const place = `/routes/${index}`
    if (cache.key.identity && auth === undefined) warnings.push({ path: `${place}/cache/key/identity`, rule: 'no-identity', message: 'without auth, only a filter of your own can say who asks; else every request bypasses the cache' })
    if (auth === undefined) continue
    if (auth.shared) warnings.push({ path: `${place}/auth/shared`, rule: 'shared-content', message: 'what one is answered with is sent to all who are let in' })
    for (const [kinds, where] of placesOf(auth, `${place}/auth`)) {
      if (kinds.basic !== undefined && server.tls === undefined && server.trustedProxies.length === 0) {
        warnings.push({ path: `${where}/basic`, rule: 'open-password', message: 'passwords cross the network in the open: there is neither server.tls nor a trusted proxy that could have it' })
      }
      for (const [url, option] of [[kinds.jwt?.keys.url, 'jwt/keys/url'], [kinds.external?.url, 'external/url']] as const) {
        if (url?.startsWith('http:') === true && !isLocal(url)) warnings.push({ path: `${where}/${option}`, rule: 'open-authority', message: 'anyone on the path to this service can let themselves in: use https' })
      }
    }
  }
  return warnings
}

function isLocal (url: string): boolean {
  const { hostname } = new URL(url)
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')
}

/** Every file that a route's authentication names, with where it is named. */
export function authFiles (auth: AuthConfig, here: string): ReadonlyArray<{ readonly file: string, readonly path: string, readonly holds: 'users' | 'keys' }> {
  return placesOf(auth, here).flatMap(([{ basic, jwt }, where]) => [
    ...basic?.file === undefined ? [] : [{ file: basic.file, path: `${where}/basic/file`, holds: 'users' as const }],
    ...jwt?.keys.file === undefined ? [] : [{ file: jwt.keys.file, path: `${where}/jwt/keys/file`, holds: 'keys' as const }]
  ])
}

/** The same with its files' paths changed. */
export function withAuthFiles (auth: AuthConfig, change: (file: string) => string): AuthConfig {
  const changed = <T extends AuthKindsConfig>(kinds: T): T => ({
    ...kinds,
    ...kinds.basic?.file !== undefined && { basic: { ...kinds.basic, file: change(kinds.basic.file) } },
    ...kinds.jwt?.keys.file !== undefined && { jwt: { ...kinds.jwt, keys: { ...kinds.jwt.keys, file: change(kinds.jwt.keys.file) } } }
  })
  return { ...changed(auth), ...auth.all !== undefined && { all: auth.all.map(changed) }, ...auth.any !== undefined && { any: auth.any.map(changed) } }
}
