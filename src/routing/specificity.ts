/**
 * The order in which routes are preferred, as a total order over what they match. It is used to print the route
 * table and, by the tests, to check `route-table.ts`, which finds the same route without comparing anything.
 *
 * 1. Host: exact, then wildcards from the longest to the shortest, then any host.
 * 2. Path, segment by segment from the left: plain text, then `:name`, then `/*`. Where one path ends and the
 *    other goes on with `/*`, the one that ends is preferred.
 * 3. Methods: named, then any.
 */
import type { MatchConfig } from '../config/schema.ts'
import { parseHostPattern, parsePathPattern } from './pattern.ts'
import type { HostPattern, PathPattern, PathSegment, PatternResult } from './pattern.ts'

/** One host and one path of a route; a route with several hosts has several places. */
export interface Place {
  /** `null` for any host. */
  readonly host: HostPattern | null
  readonly path: PathPattern
  /** `null` for any method. */
  readonly methods: readonly string[] | null
}

/** The places of a match; throws where a pattern is not valid, which validation has ruled out for a `Config`. */
export function placesOf (match: MatchConfig): Place[] {
  const path = valid(parsePathPattern(match.path), 'path', match.path)
  const methods = match.methods ?? null
  if (match.host === undefined) return [{ host: null, path, methods }]
  const hosts = typeof match.host === 'string' ? [match.host] : match.host
  return hosts.map(host => ({ host: valid(parseHostPattern(host), 'host', host), path, methods }))
}

/** Negative when `a` is preferred, positive when `b` is, 0 when they match the same requests. */
export function comparePlaces (a: Place, b: Place): number {
  return compareHosts(a.host, b.host) || comparePaths(a.path, b.path) ||
    Number(a.methods === null) - Number(b.methods === null) ||
    compareText(methodsKey(a), methodsKey(b))
}

function compareHosts (a: HostPattern | null, b: HostPattern | null): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  if (a.wildcard !== b.wildcard) return Number(a.wildcard) - Number(b.wildcard)
  return (a.wildcard ? b.name.length - a.name.length : 0) || compareText(a.name, b.name)
}

function comparePaths (a: PathPattern, b: PathPattern): number {
  const shared = Math.min(a.segments.length, b.segments.length)
  for (let i = 0; i < shared; i++) {
    const order = compareSegments(a.segments[i] as PathSegment, b.segments[i] as PathSegment)
    if (order !== 0) return order
  }
  if (a.segments.length === b.segments.length) return Number(a.rest) - Number(b.rest)
  // The shorter one matches the longer one's requests only with `/*`; without, any fixed order will do.
  const [shorter, sign] = a.segments.length < b.segments.length ? [a, 1] : [b, -1]
  return shorter.rest ? sign : -sign
}

function compareSegments (a: PathSegment, b: PathSegment): number {
  if (a.kind === 'param' || b.kind === 'param') return Number(a.kind === 'param') - Number(b.kind === 'param')
  return compareText(a.text, b.text)
}

function methodsKey (place: Place): string {
  return place.methods === null ? '' : [...place.methods].sort().join()
}

function compareText (a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

function valid<P> (result: PatternResult<P>, what: string, text: string): P {
  if (!result.ok) throw new TypeError(`the ${what} ${text} of a route ${result.reason}`)
  return result.pattern
}
