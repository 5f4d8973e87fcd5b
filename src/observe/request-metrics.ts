/** Tallies of requests and of exchanges with upstreams as metrics of a Prometheus registry, made when somebody asks. */
import type { Registry } from '@prometheus-io/client'
import { durationBounds, type Durations, type RequestTallies, type UpstreamTallies } from './request-tally.ts'

interface Sample {
  readonly metricName?: string
  readonly labels: object
  readonly value: number
}

interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'histogram'
  readonly samples: () => Sample[]
}

const bounds: ReadonlyArray<number | '+Inf'> = [...durationBounds, '+Inf']

export function registerRequestMetrics (registry: Registry, tallies: RequestTallies, upstreams: UpstreamTallies): void {
  register({
    name: 'holdfast_http_requests_total',
    help: 'Requests answered.',
    type: 'counter',
    samples: () => [...tallies.all()].map(({ labels, count, untimed }) => ({ labels, value: count + untimed }))
  })
  registerDurations('holdfast_http_request_duration_seconds', 'From the request head to the end of the response.', () => tallies.all())
  registerDurations('holdfast_upstream_duration_seconds', 'Upstream exchanges, from queue to last byte.', () => upstreams.all())

  function registerDurations (name: string, help: string, all: () => Iterable<Durations<object>>): void {
    register({ name, help, type: 'histogram', samples: () => [...all()].filter(({ count }) => count > 0).flatMap(durations => histogram(name, durations)) })
  }

  function register ({ name, help, type, samples }: Family): void {
    // What a registry asks of a metric; its types name the library's own classes only.
    registry.registerMetric({ name, help, type, aggregator: 'sum', get: async () => ({ name, help, type, aggregator: 'sum', values: samples() }), reset () {} } as never)
  }
}

function histogram (name: string, { labels, buckets, sum, count }: Durations<object>): Sample[] {
  const cumulated: Sample[] = []
  let below = 0
  for (const [i, le] of bounds.entries()) {
    below += buckets[i] as number
    cumulated.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: below })
  }
  return [
    ...cumulated,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count }
  ]
}
