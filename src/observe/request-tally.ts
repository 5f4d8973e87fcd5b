/**
 * Counts requests and their durations for the metrics. A request costs two additions here: what the metrics library
 * keeps per label set is made when somebody asks for it.
 */

/** Upper bounds of the histogram, in seconds: from a hit to a slow backend. */
export const durationBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

/** Label values come from the configuration or from a fixed list, never from traffic. */
export interface RequestLabels {
  readonly route: string
  readonly method: string
  readonly status_class: string
  readonly cache: string
}

export interface Tally {
  readonly labels: RequestLabels
  /** Requests in each bucket, the last one for what is above all bounds; not cumulated. */
  readonly buckets: Float64Array
  sum: number
  count: number
  /** Requests of which nobody knows how long they took. */
  untimed: number
}

export interface RequestTallies {
  /** The tally of these labels; may be kept and counted on. */
  of (route: string, method: string, statusCode: number, cache: string): Tally
  all (): Iterable<Tally>
}

const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'])
const statusClasses = ['', '1xx', '2xx', '3xx', '4xx', '5xx']

/** Tallies kept; beyond it (a reload may rename routes without end) the next ones are counted together, under the route `(other)`. */
const maxTallies = 20_000

export function createRequestTallies (): RequestTallies {
  const tallies = new Map<string, Tally>()

  function of (route: string, method: string, statusCode: number, cache: string): Tally {
    const known = knownMethods.has(method) ? method : 'other'
    const statusClass = statusClasses[Math.floor(statusCode / 100)] ?? 'other'
    const key = `${route} ${known} ${statusClass} ${cache}`
    const present = tallies.get(key)
    if (present !== undefined) return present
    if (tallies.size >= maxTallies && route !== '(other)') return of('(other)', method, statusCode, cache)
    const made = { labels: { route, method: known, status_class: statusClass, cache }, buckets: new Float64Array(durationBounds.length + 1), sum: 0, count: 0, untimed: 0 }
    tallies.set(key, made)
    return made
  }

  return { of, all: () => tallies.values() }
}

export function count (tally: Tally, seconds: number): void {
  let bucket = 0
  while (bucket < durationBounds.length && seconds > (durationBounds[bucket] as number)) bucket++
  tally.buckets[bucket] = (tally.buckets[bucket] as number) + 1
  tally.sum += seconds
  tally.count++
}
