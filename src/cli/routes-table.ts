/** The route table as text: what the proxy does with which request, most specific route first. */
import { kindsOf } from '../auth/identity-fields.ts'
import { credentialKindsIn } from '../auth/kind-order.ts'
import type { AuthConfig, Config, RateLimitConfig, RouteConfig } from '../config/schema.ts'
import { formatDuration } from '../config/units.ts'
import { targetUrl } from '../config/upstream-checks.ts'
import { limitsOf } from '../rate-limit/from-config.ts'
import { comparePlaces, placesOf } from '../routing/specificity.ts'
import type { Place } from '../routing/specificity.ts'

const heading = ['HOST', 'PATH', 'METHODS', 'ROUTE', 'UPSTREAM', 'CACHE', 'FILTERS']

/** One line per route and host, in the order in which routes are preferred; columns parted by two spaces. */
export function formatRouteTable (config: Config): string {
  const rows = config.routes
    .flatMap(route => placesOf(route.match).map(place => ({ place, route })))
    .sort((a, b) => comparePlaces(a.place, b.place))
    .map(({ place, route }) => rowOf(config, place, route))

  const table = [heading, ...rows]
  const widths = heading.map((_, column) => Math.max(...table.map(row => row[column]?.length ?? 0)))
  return table.map(row => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd()).join('\n') + '\n'
}

function rowOf (config: Config, place: Place, route: RouteConfig): string[] {
  const upstream = Object.hasOwn(config.upstreams, route.upstream) ? config.upstreams[route.upstream] : undefined
  const targets = (upstream?.targets ?? []).map(targetUrl)
  return [
    place.host === null ? '*' : (place.host.wildcard ? '*.' : '') + place.host.name,
    route.match.path,
    place.methods?.join(',') ?? '*',
    route.name,
    `${route.upstream} (${targets.slice(0, 3).join(', ')}${targets.length > 3 ? `, ${targets.length - 3} more` : ''})`,
    describeCache(config, route),
    describeFilters(config, route)
  ]
}

function describeCache (config: Config, { cache }: RouteConfig): string {
  if (!config.cache.enabled || !cache.enabled) return 'off'
  const rules = cache.ttl.map(({ status, ttl }) => `${status.join('/')} ${formatDuration(ttl)}`)
  return ['on', ...rules].join(', ')
}

/** In the order in which they act; own filters, as the route names them. */
function describeFilters (config: Config, { access, cors, rateLimit, auth, rewrite, response, extensions, transforms }: RouteConfig): string {
  const filters: string[] = []
  const limits = [...limitsOf(config.rateLimit), ...limitsOf(rateLimit)]
  if (rewrite.methodOverride !== undefined) filters.push('method-override')
  if (config.access !== undefined || access !== undefined) filters.push('access')
  if (cors !== undefined) filters.push('cors')
  filters.push(...Object.keys(extensions).filter(name => extensions[name] !== false))
  filters.push(...limits.filter(({ key }) => key !== 'identity').map(describeLimit))
  if (auth !== undefined) filters.push(describeAuth(auth))
  filters.push(...limits.filter(({ key }) => key === 'identity').map(describeLimit))
  if (rewrite.stripPrefix !== undefined) filters.push(`strip ${rewrite.stripPrefix}`)
  if (rewrite.replace.length > 0) filters.push('replace')
  if (rewrite.addPrefix !== undefined) filters.push(`add ${rewrite.addPrefix}`)
  if (Object.values(rewrite.query).some(isUsed)) filters.push('query')
  if (rewrite.host !== undefined) filters.push(`host ${rewrite.host}`)
  if ([rewrite.removeFields, rewrite.renameFields, rewrite.copyFields, rewrite.setFields, rewrite.appendFields].some(isUsed)) filters.push('request-fields')
  if (isUsed(response.cookies.domains) || isUsed(response.cookies.paths) || isUsed(response.cookies.rules)) filters.push('cookies')
  if (response.security !== undefined) filters.push(`security ${response.security.preset}`)
  if ([response.setFields, response.removeFields, response.rules].some(isUsed)) filters.push('response-fields')
  for (const name of transforms) filters.push(`transform ${name}`)
  if (response.compression.enabled) filters.push(`compress ${response.compression.codings.join('/')}`)
  if (isUsed(response.errorPages)) filters.push('error-pages')
  return filters.length === 0 ? '-' : filters.join(', ')
}

function describeLimit ({ max, window }: RateLimitConfig): string {
  return `rate-limit ${max}/${formatDuration(window)}`
}

/** `api-key or jwt`, `(api-key or jwt) and client-certificate`. */
function describeAuth (auth: AuthConfig): string {
  const groups = kindsOf(auth).map(kinds => credentialKindsIn(kinds).map(({ name }) => name))
  if (auth.all === undefined && auth.any === undefined) return groups.flat().join(' or ')
  const [within, between] = auth.all === undefined ? [' and ', ' or '] : [' or ', ' and ']
  return groups.map(group => group.length > 1 ? `(${group.join(within)})` : group.join()).join(between)
}

function isUsed (rules: object): boolean {
  return Object.keys(rules).length > 0
}
