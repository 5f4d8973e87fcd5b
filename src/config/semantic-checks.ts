/**
 * Rules that join several options, or that a schema cannot say. They run on every part that is valid in itself,
 * also when another part is not, so that one look shows everything that is wrong.
 */
import type { Pieces } from '../pieces.ts'
import type { AccessConfig, AdminConfig, CacheConfig, Config, RateLimitConfig, RouteConfig, ServerConfig, UpstreamConfig } from './schema.ts'
import type { ConfigProblem } from './problems.ts'
import { checkGlobalFilters } from './access-checks.ts'
import { authWarnings } from './auth-checks.ts'
import { identityWarnings } from './identity-checks.ts'
import { checkListeners } from './listener-checks.ts'
import { rewriteWarnings } from './rewrite-checks.ts'
import { checkRoutes } from './route-checks.ts'
import { checkUpstreams } from './upstream-checks.ts'

/** The decoded parts of a configuration; `null` stands for one that is not valid in itself. */
export interface ConfigParts {
  readonly server: ServerConfig | null
  readonly admin: AdminConfig | null
  readonly cache: CacheConfig | null
  /** Absent where there are none. */
  readonly access: AccessConfig | null | undefined
  readonly rateLimit: RateLimitConfig | readonly RateLimitConfig[] | null | undefined
  readonly upstreams: ReadonlyMap<string, UpstreamConfig | null>
  readonly routes: ReadonlyArray<RouteConfig | null>
}

export type Report = (problem: ConfigProblem) => void

/** Reports what the parts get wrong together. */
export function * checkMeaning (parts: ConfigParts, report: Report): Pieces<void> {
  checkListeners(parts, report)
  checkGlobalFilters(parts, report)
  yield * checkUpstreams(parts, report)
  yield * checkRoutes(parts, report)
}

/** What works but is dangerous or without effect, to be said at every start. */
export function warningsFor (config: Config): ConfigProblem[] {
  const warnings: ConfigProblem[] = []
  const used = new Set(config.routes.map(route => route.upstream))

  for (const [name, upstream] of Object.entries(config.upstreams)) {
    if (!upstream.tls.verify) {
      warnings.push({ path: `/upstreams/${name}/tls/verify`, rule: 'tls-not-verified', message: 'the certificates of this upstream are not verified: anyone on the path can read and change its traffic' })
    }
    if (!used.has(name)) warnings.push({ path: `/upstreams/${name}`, rule: 'unused-upstream', message: 'no route uses this upstream' })
  }
  for (const [index, route] of config.routes.entries()) {
    if (route.cache.setCookie === 'store') {
      warnings.push({ path: `/routes/${index}/cache/setCookie`, rule: 'shared-cookies', message: 'responses with Set-Cookie are stored: one client\'s cookies are sent to others' })
    }
    warnings.push(...rewriteWarnings(route, `/routes/${index}`))
  }
  return [...warnings, ...authWarnings(config), ...identityWarnings(config.routes)]
}
