/**
 * Prometheus metrics (`fastify-metrics`). Its own per-request hooks are off: they cost more than a hit. What is counted
 * per request is counted once, when it is over (`src/observe/request-tally.ts`).
 *
 * Label values come from the configuration or from a fixed list, never from traffic.
 */
import fp from 'fastify-plugin'
import fastifyMetrics from 'fastify-metrics'
import type { Histogram, Registry } from '@prometheus-io/client'
import type { PurgeStatistics } from '../src/cache/purging.ts'
import { outcomeLabel } from '../src/cache/status.ts'
import type { HoldfastControl } from '../src/control.ts'
import { registerRequestMetrics } from '../src/observe/request-metrics.ts'
import { count, createRequestTallies, durationBounds, type RequestTallies } from '../src/observe/request-tally.ts'
import type { FilterRegistry } from '../src/extensions/registry.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Metrics of this proxy, for the admin listener or an application's own endpoint. */
    proxyMetrics: Registry
    /** Requests counted so far, by labels. */
    requestTallies: RequestTallies
  }
}

export interface MetricsOptions {
  readonly stats: HoldfastControl['stats']
  /** Also what Node says of the process: memory, event loop, garbage collection. */
  readonly processMetrics: boolean
  readonly extensionFailures: FilterRegistry['failures']
}

/** Upstreams remembered; beyond it (a reload may rename them without end) they are looked up again. */
const maxObservers = 1000

export default fp<MetricsOptions>(async function metrics (app, options) {
  let client: unknown = null
  await app.register(async inner => {
    if (!inner.hasDecorator('metrics')) {
      await inner.register(fastifyMetrics as never, { endpoint: null, defaultMetrics: { enabled: false }, routeMetrics: { enabled: false } })
    }
    client = (inner as unknown as { metrics: { client: unknown } }).metrics.client
  })
  const prometheus = client as typeof import('@prometheus-io/client')
  const registry = new prometheus.Registry() as Registry
  const registers = [registry]
  if (options.processMetrics) prometheus.collectDefaultMetrics({ register: registry as never })
  app.decorate('proxyMetrics', registry)

  const tallies = createRequestTallies()
  app.decorate('requestTallies', tallies)
  registerRequestMetrics(registry, tallies)
  const upstreamDurations: Histogram<string> = new prometheus.Histogram({
    name: 'holdfast_upstream_duration_seconds', help: 'Upstream exchanges, from queue to last byte.', labelNames: ['upstream'], buckets: [...durationBounds], registers
  })

  const observers = new Map<string, { observe: (seconds: number) => void }>()
  app.onRequestEnd((request, reply, { statusCode }) => {
    const { forwarding } = request
    count(tallies.of(forwarding?.routeName ?? '(none)', request.method, statusCode, outcomeLabel(request.cacheOutcome)), reply.elapsedTime / 1000)
    if (forwarding !== null && forwarding.upstreamStartedAt > 0) {
      const endedAt = forwarding.upstreamEndedAt || performance.now()
      upstreamObserver(forwarding.upstreamName).observe((endedAt - forwarding.upstreamStartedAt) / 1000)
    }
  })

  function upstreamObserver (upstream: string): { observe: (seconds: number) => void } {
    let observer = observers.get(upstream)
    if (observer === undefined) {
      observer = upstreamDurations.labels({ upstream })
      if (observers.size >= maxObservers) observers.clear()
      observers.set(upstream, observer)
    }
    return observer
  }

  gauge('holdfast_cache_bytes', 'Bytes of stored responses.', () => options.stats().cache.bytes)
  gauge('holdfast_cache_max_bytes', 'Bound on the bytes of stored responses.', () => options.stats().cache.maxBytes)
  gauge('holdfast_cache_entries', 'Stored responses.', () => options.stats().cache.entries)
  gauge('holdfast_cache_recording_bytes', 'Bytes of responses on their way into the store.', () => options.stats().cache.recordingBytes)
  gauge('holdfast_cache_max_entries', 'Bound on the number of stored responses.', () => options.stats().cache.maxEntries)
  gauge('holdfast_cache_keys', 'Different keys of stored responses; the rest of the entries are further variants.', () => options.stats().cache.keys)
  gauge('holdfast_cache_tags', 'Different tags of stored responses.', () => options.stats().cache.tags)
  purgeCounter('holdfast_cache_purges_total', 'Purges, by what was chosen and by mode; without dry runs.', ({ purges }) => purges)
  purgeCounter('holdfast_cache_purged_responses_total', 'Stored responses that were purged.', ({ responses }) => responses)
  purgeCounter('holdfast_cache_purged_bytes_total', 'Bytes of stored responses that were purged.', ({ bytes }) => bytes)
  counter('holdfast_cache_hits_total', 'Requests answered without asking the upstream.', [], add => { add({}, options.stats().cache.hits) })
  counter('holdfast_cache_misses_total', 'Requests that no stored response could answer.', [], add => { add({}, options.stats().cache.misses) })
  counter('holdfast_cache_stale_total', 'Requests answered with a stale response.', [], add => { add({}, options.stats().cache.stale) })
  counter('holdfast_cache_collapsed_total', 'Requests answered with the response that another one had asked for.', [], add => { add({}, options.stats().cache.collapsed) })
  counter('holdfast_cache_evictions_total', 'Stored responses that left for lack of room.', [], add => { add({}, options.stats().cache.evictions) })
  counter('holdfast_cache_failures_total', 'Calls of the store that failed.', [], add => { add({}, options.stats().cache.failures) })
  if (options.stats().snapshot !== undefined) {
    gauge('holdfast_snapshot_loaded_entries', 'Stored responses that came back from the snapshot at the start.', () => options.stats().snapshot?.loaded ?? 0)
    gauge('holdfast_snapshot_entries', 'Stored responses in the last snapshot written.', () => options.stats().snapshot?.entries ?? 0)
    gauge('holdfast_snapshot_bytes', 'Length of the last snapshot written.', () => options.stats().snapshot?.bytes ?? 0)
    counter('holdfast_snapshots_written_total', 'Snapshots written.', [], add => { add({}, options.stats().snapshot?.written ?? 0) })
    counter('holdfast_snapshot_failures_total', 'Snapshots that could not be written.', [], add => { add({}, options.stats().snapshot?.failed ?? 0) })
  }
  counter('holdfast_extension_failures_total', 'Requests in which an own filter failed, by extension, phase and code.', ['extension', 'phase', 'code'], add => {
    for (const { extension, phase, code, count } of options.extensionFailures()) add({ extension, phase, code }, count)
  })
  counter('holdfast_compressed_responses_total', 'Responses compressed, by coding.', ['coding'], add => {
    for (const [coding, count] of Object.entries(options.stats().transforms.compression.compressed)) add({ coding }, count)
  })
  counter('holdfast_uncompressed_responses_total', 'Responses that passed uncompressed because too many were being compressed.', [], add => { add({}, options.stats().transforms.compression.skipped) })
  counter('holdfast_transform_failures_total', 'Own transformations that failed, by name and code.', ['transform', 'code'], add => {
    for (const { transform, code, count } of options.stats().transforms.failures) add({ transform, code }, count)
  })
  gauge('holdfast_compressing_responses', 'Responses that are being compressed.', () => options.stats().transforms.compression.running)
  counter('holdfast_upstream_requests_total', 'Exchanges begun with an upstream.', ['upstream'], add => {
    for (const [upstream, stats] of Object.entries(options.stats().upstreams)) add({ upstream }, stats.requests)
  })
  counter('holdfast_upstream_retries_total', 'Second attempts.', ['upstream'], add => {
    for (const [upstream, stats] of Object.entries(options.stats().upstreams)) add({ upstream }, stats.retries)
  })
  counter('holdfast_upstream_errors_total', 'Exchanges that failed, by code.', ['upstream', 'code'], add => {
    for (const [upstream, stats] of Object.entries(options.stats().upstreams)) {
      for (const [code, count] of Object.entries(stats.errors)) add({ upstream, code }, count)
    }
  })
  gaugeOf('holdfast_upstream_open_sockets', 'Open connections to an upstream.', stats => stats.targets.reduce((sum, target) => sum + target.openSockets, 0))
  gaugeOf('holdfast_upstream_queued', 'Requests that wait for a connection.', stats => stats.queued)
  gaugeOf('holdfast_upstream_healthy_targets', 'Targets that are not taken out.', stats => stats.targets.filter(target => target.healthy).length)

  type Add = (labels: Record<string, string>, value: number) => void

  function gauge (name: string, help: string, read: () => number): void {
    const made = new prometheus.Gauge({ name, help, registers, collect: () => { made.set(read()) } })
  }

  function purgeCounter (name: string, help: string, read: (statistics: PurgeStatistics) => number): void {
    counter(name, help, ['kind', 'mode'], add => {
      for (const [kind, modes] of Object.entries(options.stats().cache.purges)) {
        for (const [mode, statistics] of Object.entries(modes)) add({ kind, mode }, read(statistics))
      }
    })
  }

  function gaugeOf (name: string, help: string, read: (stats: ReturnType<MetricsOptions['stats']>['upstreams'][string]) => number): void {
    const made = new prometheus.Gauge({
      name,
      help,
      labelNames: ['upstream'],
      registers,
      collect: () => {
        made.reset()
        for (const [upstream, stats] of Object.entries(options.stats().upstreams)) made.set({ upstream }, read(stats))
      }
    })
  }

  /** A counter kept elsewhere, copied when it is asked for. */
  function counter (name: string, help: string, labelNames: string[], copy: (add: Add) => void): void {
    const made = new prometheus.Counter({
      name,
      help,
      labelNames,
      registers,
      collect: () => {
        made.reset()
        copy((labels, value) => { made.inc(labels, value) })
      }
    })
  }
}, { name: 'metrics', fastify: '5.x', dependencies: ['request-end', 'request-context', 'cache'] })
