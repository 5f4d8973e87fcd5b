/** Tallies of requests as metrics of a Prometheus registry, made when somebody asks. */
import type { Registry } from '@prometheus-io/client'
import { durationBounds, type RequestLabels, type RequestTallies } from './request-tally.ts'

interface Sample {
  readonly metricName?: string
  readonly labels: RequestLabels & { readonly le?: number | '+Inf' }
  readonly value: number
}

interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'histogram'
  readonly samples: () => Sample[]
}

const bounds: ReadonlyArray<number | '+Inf'> = [...durationBounds, '+Inf']

export function registerRequestMetrics (registry: Registry, tallies: RequestTallies): void {
  register({
    name: 'holdfast_http_requests_total',
    help: 'Requests answered.',
    type: 'counter',
    samples: () => [...tallies.all()].map(({ labels, count, untimed }) => ({ labels, value: count + untimed }))
  })
  const name = 'holdfast_http_request_duration_seconds'
  register({
    name,
    help: 'From the request head to the end of the response.',
    type: 'histogram',
    samples: () => [...tallies.all()].filter(({ count }) => count > 0).flatMap(({ labels, buckets, sum, count }) => {
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
    })
  })

  function register ({ name, help, type, samples }: Family): void {
    // What a registry asks of a metric; its types name the library's own classes only.
    registry.registerMetric({ name, help, type, aggregator: 'sum', get: async () => ({ name, help, type, aggregator: 'sum', values: samples() }), reset () {} } as never)
  }
}
