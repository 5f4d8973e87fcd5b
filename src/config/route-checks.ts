/** Rules about routes: what they match, where they lead, and what they change on the way. */
import { METHODS } from 'node:http'
import { parseHostPattern, parsePathPattern } from '../routing/pattern.ts'
import { checkCompression } from './compression-checks.ts'
import { checkRouteFilters } from './access-checks.ts'
import { checkAuth } from './auth-checks.ts'
import { checkNetworks } from './listener-checks.ts'
import { spellingFault } from './path-spelling.ts'
import { didYouMean, nearest } from './problems.ts'
import { checkResponse } from './response-checks.ts'
import { checkRewrite } from './rewrite-checks.ts'
import type { RouteConfig } from './schema.ts'
import type { ConfigParts, Report } from './semantic-checks.ts'

export function checkRoutes ({ routes, upstreams, cache, server }: ConfigParts, report: Report): void {
  const mergeSlashes = server?.mergeSlashes ?? true
  const names = new Map<string, number>()
  const matches = new Map<string, string>()

  for (const [index, route] of routes.entries()) {
    if (route === null) continue
    const place = `/routes/${index}`

    const first = names.get(route.name)
    if (first === undefined) names.set(route.name, index)
    else report({ path: `${place}/name`, rule: 'unique-name', value: route.name, message: `must differ from the name of route ${first}` })

    checkUpstreamName(route, place, upstreams.keys(), report)
    checkMethods(route, place, report)
    checkRewrite(route, place, mergeSlashes, report)
    checkRouteFilters(route, place, report)
    checkAuth(route, place, server, report)
    if (route.purge !== undefined) checkNetworks(route.purge.allow, `${place}/purge/allow`, report)
    checkResponse(route, place, report)
    checkCompression(route.response.compression, `${place}/response/compression`, report)
    if (cache !== null && (route.cache.maxResponseBytes ?? 0) > cache.maxBytes) {
      report({ path: `${place}/cache/maxResponseBytes`, rule: 'fits-cache', message: 'must not be more than cache.maxBytes: such a response could never be stored' })
    }
    if (checkPatterns(route, place, mergeSlashes, report)) checkUnique(route, place, matches, report)
  }
}

function checkUpstreamName (route: RouteConfig, place: string, known: Iterable<string>, report: Report): void {
  const names = [...known]
  if (names.includes(route.upstream)) return
  const suggestion = nearest(route.upstream, names)
  report({
    path: `${place}/upstream`,
    rule: 'known-upstream',
    value: route.upstream,
    message: `names no entry of upstreams${didYouMean(suggestion)}`,
    ...suggestion !== undefined && { suggestion }
  })
}

function checkMethods (route: RouteConfig, place: string, report: Report): void {
  for (const [index, method] of (route.match.methods ?? []).entries()) {
    const path = `${place}/match/methods/${index}`
    if (method === 'CONNECT') report({ path, rule: 'method', value: method, message: 'CONNECT asks for a tunnel, which is never made' })
    else if (!METHODS.includes(method)) {
      const suggestion = nearest(method, METHODS)
      report({ path, rule: 'method', value: method, message: `is no method that this server can receive${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } })
    }
  }
}

/** Whether all patterns of the route are valid. */
function checkPatterns (route: RouteConfig, place: string, mergeSlashes: boolean, report: Report): boolean {
  let valid = true
  const path = parsePathPattern(route.match.path)
  if (!path.ok) refuse('path', route.match.path, 'path-pattern', `the path ${path.reason}`)
  else {
    const fault = spellingFault(route.match.path, mergeSlashes)
    if (fault !== null) refuse('path', route.match.path, 'path-pattern', `the path ${fault}`)
  }

  const { host } = route.match
  for (const [index, text] of hostsOf(route).entries()) {
    const parsed = parseHostPattern(text)
    if (!parsed.ok) refuse(typeof host === 'string' ? 'host' : `host/${index}`, text, 'host-pattern', `the host ${parsed.reason}`)
  }
  return valid

  function refuse (option: string, value: string, rule: string, message: string): void {
    valid = false
    report({ path: `${place}/match/${option}`, rule, value, message })
  }
}

/** Two routes for the same requests: the second could never be reached. `:id` and `:name` match alike. */
function checkUnique (route: RouteConfig, place: string, matches: Map<string, string>, report: Report): void {
  const shape = route.match.path.replace(/\/:[^/]*/g, '/:')
  for (const host of hostsOf(route, '')) {
    for (const method of route.match.methods ?? ['']) {
      const key = JSON.stringify([host.toLowerCase(), shape, method])
      const first = matches.get(key)
      if (first === undefined) matches.set(key, route.name)
      else return report({ path: `${place}/match`, rule: 'unique-match', message: `matches the same requests as ${first === route.name ? 'itself, because a host or method is given twice' : `route "${first}"`}` })
    }
  }
}

function hostsOf (route: RouteConfig, absent?: string): readonly string[] {
  const { host } = route.match
  if (host === undefined) return absent === undefined ? [] : [absent]
  return typeof host === 'string' ? [host] : host
}
