/** The route table as text: what the proxy does with which request, most specific route first. */
import type { Config, RateLimitConfig, RouteConfig } from '../config/schema.ts'
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

/** In the order in which they act. */
function describeFilters (config: Config, { access, cors, rateLimit, auth, rewrite, response }: RouteConfig): string {
  const filters: string[] = []
  const limits = [...limitsOf(config.rateLimit), ...limitsOf(rateLimit)]
  if (config.access !== undefined || access !== undefined) filters.push('access')
  if (cors !== undefined) filters.push('cors')
  filters.push(...limits.filter(({ key }) => key !== 'identity').map(describeLimit))
  if (auth?.apiKeys !== undefined) filters.push('api-key')
  if (auth?.bearer !== undefined) filters.push('bearer')
  filters.push(...limits.filter(({ key }) => key === 'identity').map(describeLimit))
  if (rewrite.stripPrefix !== undefined) filters.push(`strip ${rewrite.stripPrefix}`)
  if (rewrite.addPrefix !== undefined) filters.push(`add ${rewrite.addPrefix}`)
  if (changesFields(rewrite)) filters.push('request-fields')
  if (changesFields(response)) filters.push('response-fields')
  return filters.length === 0 ? '-' : filters.join(', ')
}

function describeLimit ({ max, window }: RateLimitConfig): string {
  return `rate-limit ${max}/${formatDuration(window)}`
}

function changesFields (changes: { readonly setFields: object, readonly removeFields: readonly string[] }): boolean {
  return Object.keys(changes.setFields).length > 0 || changes.removeFields.length > 0
}
