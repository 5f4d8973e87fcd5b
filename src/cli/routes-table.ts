/** The route table as text: what the proxy does with which request, most specific route first. */
import { kindsOf } from '../auth/identity-fields.ts'
import type { AuthConfig, Config, RouteConfig } from '../config/schema.ts'
import { targetUrl } from '../config/upstream-checks.ts'
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
    describeFilters(route)
  ]
}

function describeCache (config: Config, { cache }: RouteConfig): string {
  if (!config.cache.enabled || !cache.enabled) return 'off'
  const rules = cache.ttl.map(({ status, ttl }) => `${status.join('/')} ${formatDuration(ttl)}`)
  return ['on', ...rules].join(', ')
}

/** In the order in which they act. */
function describeFilters ({ rateLimit, auth, rewrite, response }: RouteConfig): string {
  const filters: string[] = []
  if (rateLimit !== undefined) filters.push(`rate-limit ${rateLimit.max}/${formatDuration(rateLimit.window)}`)
  if (auth !== undefined) filters.push(describeAuth(auth))
  if (rewrite.stripPrefix !== undefined) filters.push(`strip ${rewrite.stripPrefix}`)
  if (rewrite.addPrefix !== undefined) filters.push(`add ${rewrite.addPrefix}`)
  if (changesFields(rewrite)) filters.push('request-fields')
  if (changesFields(response)) filters.push('response-fields')
  return filters.length === 0 ? '-' : filters.join(', ')
}

const kindNames = [['clientCertificate', 'client-certificate'], ['apiKeys', 'api-key'], ['bearer', 'bearer'], ['jwt', 'jwt'], ['basic', 'basic'], ['external', 'external-auth']] as const

/** `api-key or jwt`, `(api-key or jwt) and client-certificate`. */
function describeAuth (auth: AuthConfig): string {
  const groups = kindsOf(auth).map(kinds => kindNames.filter(([kind]) => kinds[kind] !== undefined).map(([, name]) => name))
  if (auth.all === undefined && auth.any === undefined) return groups.flat().join(' or ')
  const [within, between] = auth.all === undefined ? [' and ', ' or '] : [' or ', ' and ']
  return groups.map(group => group.length > 1 ? `(${group.join(within)})` : group.join()).join(between)
}

function changesFields (changes: { readonly setFields: object, readonly removeFields: readonly string[] }): boolean {
  return Object.keys(changes.setFields).length > 0 || changes.removeFields.length > 0
}

function formatDuration (milliseconds: number): string {
  for (const [unit, size] of [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000]] as const) {
    if (milliseconds >= size && milliseconds % size === 0) return `${milliseconds / size}${unit}`
  }
  return `${milliseconds}ms`
}
