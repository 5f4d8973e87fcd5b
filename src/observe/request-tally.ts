/**
 * Counts requests, exchanges with upstreams and their durations for the metrics. Each costs two additions here: what the
 * metrics library keeps per label set is made when somebody asks for it.
 */

/** Upper bounds of the histograms, in seconds: from a hit to a slow backend. */
export const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

/** Label values come from the configuration or from a fixed list, never from traffic. */
export interface RequestLabels {
  readonly route: string
  readonly method: string
  readonly status_class: string
  readonly cache: string
}

export interface Durations<Labels> {
  readonly labels: Labels
  /** How many are in each bucket, the last one for what is above all bounds; not cumulated. */
  readonly buckets: Float64Array
  sum: number
  count: number
}

export interface Tally extends Durations<RequestLabels> {
  /** Requests of which nobody knows how long they took. */
  untimed: number
}

export interface RequestTallies {
  /** The tally of these labels; may be kept and counted on. */
  of (route: string, method: string, statusCode: number, cache: string): Tally
  all (): Iterable<Tally>
}

export interface UpstreamTallies {
  of (upstream: string): Durations<{ readonly upstream: string }>
  all (): Iterable<Durations<{ readonly upstream: string }>>
}

const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'])
const statusClasses = ['', '1xx', '2xx', '3xx', '4xx', '5xx']

/** Tallies kept; beyond it (a reload may rename routes without end) the next ones are counted together, under the route `(other)`. */
const maxTallies = 20_000
/** The same of upstreams. */
const maxUpstreams = 1000

const other = '(other)'

export function createRequestTallies (): RequestTallies {
  const all: Tally[] = []
  // One look per label: to put them together to one key would cost more than to count.
  const byRoute = new Map<string, Map<string, Map<string, Map<string, Tally>>>>()

  function of (route: string, method: string, statusCode: number, cache: string): Tally {
    const known = knownMethods.has(method) ? method : 'other'
    const statusClass = statusClasses[Math.floor(statusCode / 100)] ?? 'other'
    const present = byRoute.get(route)?.get(known)?.get(statusClass)?.get(cache)
    if (present !== undefined) return present
    if (all.length >= maxTallies && route !== other) return of(other, method, statusCode, cache)
    const made = { ...noDurations({ route, method: known, status_class: statusClass, cache }), untimed: 0 }
    all.push(made)
    within(within(within(byRoute, route), known), statusClass).set(cache, made)
    return made
  }

  return { of, all: () => all }
}

export function createUpstreamTallies (): UpstreamTallies {
  const tallies = new Map<string, Durations<{ readonly upstream: string }>>()

  function of (upstream: string): Durations<{ readonly upstream: string }> {
    const present = tallies.get(upstream)
    if (present !== undefined) return present
    if (tallies.size >= maxUpstreams && upstream !== other) return of(other)
    const made = noDurations({ upstream })
    tallies.set(upstream, made)
    return made
  }

  return { of, all: () => tallies.values() }
}

function noDurations<Labels> (labels: Labels): Durations<Labels> {
  return { labels, buckets: new Float64Array(durationBounds.length + 1), sum: 0, count: 0 }
}

function within<T> (map: Map<string, Map<string, T>>, key: string): Map<string, T> {
  let inner = map.get(key)
  if (inner === undefined) map.set(key, inner = new Map())
  return inner
}

export function count (durations: Durations<unknown>, seconds: number): void {
  let bucket = 0
  while (bucket < durationBounds.length && seconds > (durationBounds[bucket] as number)) bucket++
  durations.buckets[bucket] = (durations.buckets[bucket] as number) + 1
  durations.sum += seconds
  durations.count++
}
