/**
 * Prometheus metrics (`fastify-metrics`). Its own per-request hooks are off: they cost more than a hit. What is counted
 * per request is counted once, when it is over (`src/observe/request-tally.ts`).
 *
 * Label values come from the configuration or from a fixed list, never from traffic.
 */
import fp from 'fastify-plugin'
import fastifyMetrics from 'fastify-metrics'
import type { Registry } from '@prometheus-io/client'
import type { PurgeStatistics } from '../src/cache/purging.ts'
import type { MemoryStatistics } from '../src/cache/store.ts'
import { outcomeLabel } from '../src/cache/status.ts'
import type { HoldfastControl } from '../src/control.ts'
import { registerRequestMetrics } from '../src/observe/request-metrics.ts'
import { count, createRequestTallies, createUpstreamTallies, type RequestTallies } from '../src/observe/request-tally.ts'
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
  const upstreams = createUpstreamTallies()
  registerRequestMetrics(registry, tallies, upstreams)
  app.onRequestEnd((request, reply, { statusCode }) => {
    const { forwarding } = request
    count(tallies.of(forwarding?.routeName ?? '(none)', request.method, statusCode, outcomeLabel(request.cacheOutcome)), reply.elapsedTime / 1000)
    if (forwarding !== null && forwarding.upstreamStartedAt > 0) {
      const endedAt = forwarding.upstreamEndedAt || performance.now()
      count(upstreams.of(forwarding.upstreamName), (endedAt - forwarding.upstreamStartedAt) / 1000)
    }
  })

  /** One look at everything for each time that the metrics are asked for, not one for each metric. */
  let held: ReturnType<MetricsOptions['stats']> | null = null
  const stats = (): ReturnType<MetricsOptions['stats']> => {
    if (held === null) setImmediate(() => { held = null })
    return (held ??= options.stats())
  }

  gauge('holdfast_cache_bytes', 'Bytes of stored responses.', () => stats().cache.bytes)
  gauge('holdfast_cache_max_bytes', 'Bound on the bytes of stored responses.', () => stats().cache.maxBytes)
  gauge('holdfast_cache_entries', 'Stored responses.', () => stats().cache.entries)
  gauge('holdfast_cache_recordings', 'Responses on their way into the store.', () => stats().cache.recordings)
  gauge('holdfast_cache_recording_bytes', 'Bytes of responses on their way into the store.', () => stats().cache.recordingBytes)
  gauge('holdfast_cache_max_entries', 'Bound on the number of stored responses.', () => stats().cache.maxEntries)
  gauge('holdfast_cache_keys', 'Different keys of stored responses; the rest of the entries are further variants.', () => stats().cache.keys)
  gauge('holdfast_cache_tags', 'Different tags of stored responses.', () => stats().cache.tags)
  gauge('holdfast_cache_search_entries', 'Spellings of queries by which responses with No-Vary-Search are found.', () => stats().cache.searchEntries)
  gauge('holdfast_cache_search_bytes', 'Bytes of the index of these spellings.', () => stats().cache.searchBytes)
  purgeCounter('holdfast_cache_purges_total', 'Purges, by what was chosen and by mode; without dry runs.', ({ purges }) => purges)
  purgeCounter('holdfast_cache_purged_responses_total', 'Stored responses that were purged.', ({ responses }) => responses)
  purgeCounter('holdfast_cache_purged_bytes_total', 'Bytes of stored responses that were purged.', ({ bytes }) => bytes)
  total('holdfast_cache_hits_total', 'Requests answered without asking the upstream.', () => stats().cache.hits)
  total('holdfast_cache_misses_total', 'Requests that no stored response could answer.', () => stats().cache.misses)
  total('holdfast_cache_stale_total', 'Requests answered with a stale response.', () => stats().cache.stale)
  total('holdfast_cache_collapsed_total', 'Requests answered with the response that another one had asked for.', () => stats().cache.collapsed)
  total('holdfast_cache_evictions_total', 'Stored responses that left for lack of room.', () => stats().cache.evictions)
  total('holdfast_cache_failures_total', 'Calls of the store that failed.', () => stats().cache.failures)
  if (options.stats().cache.memory !== undefined) {
    counter('holdfast_cache_evictions_by_cause_total', 'The same, by cause: expired for good, above the quota of the route, too many variants, chosen by the policy.', ['cause'], add => {
      for (const [cause, evictions] of Object.entries(memory()?.evictionsBy ?? {})) add({ cause }, evictions)
    })
    gaugesOf('holdfast_cache_rule_in_force', 'The eviction rule that is followed: 1, else 0.', 'rule', () => memory()?.eviction.rules, ({ inForce }) => inForce)
    gaugesOf('holdfast_cache_rule_hit_ratio', 'Share of the sampled requests of late that would have been hits by this rule.', 'rule', () => memory()?.eviction.rules, ({ hitRatio }) => hitRatio)
    total('holdfast_cache_rule_switches_total', 'How often the eviction rule in force has changed.', () => memory()?.eviction.switches ?? 0)
    gauge('holdfast_cache_ghosts', 'Keys remembered of what has left, and of sampled requests.', () => memory()?.eviction.ghosts ?? 0)
    gauge('holdfast_cache_policy_bytes', 'Memory of the eviction policy, with these keys and its estimates.', () => memory()?.eviction.overheadBytes ?? 0)
    gaugesOf('holdfast_cache_route_entries', 'Stored responses of a route.', 'route', () => memory()?.routes, ({ entries }) => entries)
    gaugesOf('holdfast_cache_route_bytes', 'Bytes of stored responses of a route.', 'route', () => memory()?.routes, ({ bytes }) => bytes)
    gaugesOf('holdfast_cache_route_quota_bytes', 'Bytes above which the responses of a route leave first.', 'route', () => memory()?.routes, ({ quotaBytes }) => quotaBytes)
  }
  if (options.stats().snapshot !== undefined) {
    gauge('holdfast_snapshot_loaded_entries', 'Stored responses that came back from the snapshot at the start.', () => stats().snapshot?.loaded ?? 0)
    gauge('holdfast_snapshot_entries', 'Stored responses in the last snapshot written.', () => stats().snapshot?.entries ?? 0)
    gauge('holdfast_snapshot_bytes', 'Length of the last snapshot written.', () => stats().snapshot?.bytes ?? 0)
    gauge('holdfast_snapshot_write_last_duration_seconds', 'How long the last snapshot took to write.', () => (stats().snapshot?.writeMs ?? 0) / 1000)
    gauge('holdfast_snapshot_load_last_duration_seconds', 'How long the snapshot took to load.', () => (stats().snapshot?.loadMs ?? 0) / 1000)
    gauge('holdfast_snapshot_written_timestamp_seconds', 'When the last snapshot was written; 0 before the first. Its age is the time since.', () => Date.parse(stats().snapshot?.writtenAt ?? '1970-01-01') / 1000)
    total('holdfast_snapshots_written_total', 'Snapshots written.', () => stats().snapshot?.written ?? 0)
    total('holdfast_snapshot_failures_total', 'Snapshots that could not be written.', () => stats().snapshot?.failed ?? 0)
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
    for (const [upstream, { requests }] of Object.entries(stats().upstreams)) add({ upstream }, requests)
  })
  counter('holdfast_upstream_retries_total', 'Second attempts.', ['upstream'], add => {
    for (const [upstream, { retries }] of Object.entries(stats().upstreams)) add({ upstream }, retries)
  })
  counter('holdfast_upstream_errors_total', 'Exchanges that failed, by code.', ['upstream', 'code'], add => {
    for (const [upstream, { errors }] of Object.entries(stats().upstreams)) {
      for (const [code, count] of Object.entries(errors)) add({ upstream, code }, count)
    }
  })
  upstreamGauge('holdfast_upstream_open_sockets', 'Open connections to an upstream.', stats => stats.targets.reduce((sum, target) => sum + target.openSockets, 0))
  upstreamGauge('holdfast_upstream_queued', 'Requests that wait for a connection.', stats => stats.queued)
  upstreamGauge('holdfast_upstream_healthy_targets', 'Targets that are not taken out.', stats => stats.targets.filter(target => target.healthy).length)

  type Add = (labels: Record<string, string>, value: number) => void

  function gauge (name: string, help: string, read: () => number): void {
    const made = new prometheus.Gauge({ name, help, registers, collect: () => { made.set(read()) } })
  }

  function purgeCounter (name: string, help: string, read: (statistics: PurgeStatistics) => number): void {
    counter(name, help, ['kind', 'mode'], add => {
      for (const [kind, modes] of Object.entries(stats().cache.purges)) {
        for (const [mode, statistics] of Object.entries(modes)) add({ kind, mode }, read(statistics))
      }
    })
  }

  function upstreamGauge (name: string, help: string, read: (stats: ReturnType<MetricsOptions['stats']>['upstreams'][string]) => number): void {
    gaugesOf(name, help, 'upstream', () => stats().upstreams, read)
  }

  /** One gauge for each of what `all` names; none where `read` knows no number. */
  function gaugesOf<T> (name: string, help: string, label: string, all: () => Readonly<Record<string, T>> | undefined, read: (one: T) => number | undefined): void {
    const made = new prometheus.Gauge({
      name,
      help,
      labelNames: [label],
      registers,
      collect: () => {
        made.reset()
        for (const [value, one] of Object.entries(all() ?? {})) {
          const number = read(one)
          if (number !== undefined) made.set({ [label]: value }, number)
        }
      }
    })
  }

  function memory (): MemoryStatistics | undefined { return stats().cache.memory }

  function total (name: string, help: string, read: () => number): void {
    counter(name, help, [], add => { add({}, read()) })
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
