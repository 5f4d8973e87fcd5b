/** Every plugin, then every route, in order: the order is the behaviour of the proxy. */
import cluster from 'node:cluster'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import access from '../plugins/access.ts'
import accessLog from '../plugins/access-log.ts'
import auth from '../plugins/auth.ts'
import cache from '../plugins/cache.ts'
import cors from '../plugins/cors.ts'
import errors from '../plugins/errors.ts'
import extensionsPlugin from '../plugins/extensions.ts'
import forward from '../plugins/forward.ts'
import loadShedding from '../plugins/load-shedding.ts'
import messageChecks from '../plugins/message-checks.ts'
import purge from '../plugins/purge.ts'
import metrics from '../plugins/metrics.ts'
import rateLimit from '../plugins/rate-limit.ts'
import requestContext from '../plugins/request-context.ts'
import requestEnd from '../plugins/request-end.ts'
import { noteSendHooks } from '../plugins/respond.ts'
import transforms, { type TransformsOptions } from '../plugins/transforms.ts'
import rewrite from '../plugins/rewrite.ts'
import proxyRoutes from '../routes/proxy.ts'
import { atOnce } from './pieces.ts'
import { createHttpCache, type HttpCache } from './cache/http-cache.ts'
import { routeRulesOf } from './cache/eviction/route-rules.ts'
import { createMemoryStore, type MemoryStore } from './cache/memory-store.ts'
import type { CacheStore } from './cache/store.ts'
import { extensionsOf } from './config/extension-checks.ts'
import { ConfigError, resolveConfig, type ConfigProblem } from './config/load.ts'
import { isPlain } from './config/plain.ts'
import type { Config, ConfigInput, RouteConfig } from './config/schema.ts'
import type { HoldfastControl } from './control.ts'
import type { Extension, ExtensionPlugin, LoadedExtension } from './extensions/extension.ts'
import { loadExtensions, takeExtensions } from './extensions/load.ts'
import { createFilterRegistry } from './extensions/registry.ts'
import { createPseudonym } from './forward/via.ts'
import type { RequestTallies } from './observe/request-tally.ts'
import { checkOptionNames } from './plugin-options.ts'
import { createCacheCommand } from './proxy/command.ts'
import { createControl } from './proxy/control.ts'
import { createInvalidator, type Invalidation } from './proxy/invalidation.ts'
import { createQueue } from './proxy/queue.ts'
import { createOwnFilters } from './extensions/own-filters.ts'
import type { RouteFilters } from './proxy/proxy-route.ts'
import { limitIds, limitsOfRoute } from './rate-limit/from-config.ts'
import { createMemoryRateLimitStore } from './rate-limit/memory-store.ts'
import { createRuntime, scopesOf, type Runtime } from './proxy/runtime.ts'
import type { RateLimitStore } from './rate-limit/store.ts'
import type { Snapshots } from './snapshot/snapshots.ts'
import { keepTickShape } from './tick-shape.ts'

export interface HoldfastOptions {
  /** The configuration as an operator writes it; or an already resolved one, from `resolveConfig` or `loadConfig`. */
  readonly config: ConfigInput | Resolved
  /** Replaces the memory store. */
  readonly store?: CacheStore
  /** Current time in epoch milliseconds, for tests. */
  readonly now?: () => number
  /** Tells classes of devices apart that get different responses, such as `phone` and `desktop`; part of the cache key. */
  readonly deviceClass?: (request: FastifyRequest) => string
  /** Own transformations of content, for routes that name them in `transforms`. */
  readonly transforms?: TransformsOptions
  /** Names the client for rate limits with `key: custom`; the text is kept as a digest. Where it fails, the address counts. */
  readonly rateLimitKey?: (request: FastifyRequest) => string
  /** Replaces the counters of rate limits, which are in this process by default. */
  readonly rateLimitStore?: RateLimitStore
  /** Carries out what is asked for with the method `PURGE`, in place of this process alone. */
  readonly purge?: HoldfastControl['purge']
  /** Hears what a request such as PUT invalidated (RFC 9111 4.4), for `control.invalidate` of other processes. */
  readonly onInvalidation?: (invalidation: Invalidation) => void
  /** Filters of the application's own, after those that the configuration names; each a Fastify plugin that may call `addFilter`. */
  readonly extensions?: ReadonlyArray<Extension | ExtensionPlugin>
  /** Count what Node says of the process among the metrics. */
  readonly processMetrics?: boolean
  /** Receives the running proxy's controls, also where encapsulation hides `app.holdfast`. */
  readonly onControl?: (control: HoldfastControl, metrics: FastifyInstance['proxyMetrics'], parts: ProxyParts) => void
}

/** What the standalone listener needs to answer hits by itself (`server/quick-hits.ts`). */
export interface ProxyParts {
  readonly cache: HttpCache
  readonly runtime: () => Runtime
  readonly tallies: RequestTallies
  readonly now: () => number
  /** Hooks that extensions have added for every route: what they want to see must not pass them by. */
  readonly hasOwnHooks: () => boolean
}

/** Tells a resolved configuration (milliseconds, bytes) from a written one (seconds, sizes). */
export interface Resolved { readonly resolved: Config }

/** The proxy as a Fastify plugin. Encapsulated: it may be registered several times, under different prefixes. */
export async function holdfast (app: FastifyInstance, options: HoldfastOptions): Promise<void> {
  keepTickShape()
  checkOptionNames(options)
  const config = isResolved(options.config) ? options.config.resolved : resolveConfig(options.config)
  const extensions = await extensionsFor(config, options.extensions ?? [])
  const filterRegistry = createFilterRegistry()
  const now = options.now ?? Date.now
  const memoryStore = options.store !== undefined
    ? null
    : createMemoryStore({
      maxBytes: config.cache.enabled ? config.cache.maxBytes : 0,
      maxEntries: config.cache.maxEntries,
      maxVariants: config.cache.maxVariants,
      policy: config.cache.eviction,
      now
    })
  memoryStore?.setRouteRules(routeRulesOf(config.routes))
  // One of the two is there.
  const store = options.store ?? memoryStore as MemoryStore
  const tagRules = { fields: config.cache.tagFields, forward: config.cache.forwardTags, maxTags: config.cache.maxTags }
  const httpCache = createHttpCache({
    store,
    tagRules,
    onFailure: error => { app.log.warn({ err: error, code: 'store_failed' }, 'the store failed') },
    onRemoval: key => { snapshots?.noteRemoval(key) }
  })
  const rateLimits = options.rateLimitStore ?? createMemoryRateLimitStore({
    now,
    onFull: ({ name, clients }) => {
      app.log.warn({ code: 'rate_limit_full', limit: name, clients }, 'all clients that a rate limit remembers have used it up: others are not counted')
    }
  })
  const { file, interval } = config.cache.snapshot
  let snapshots: Snapshots | null = null
  if (file !== undefined) {
    const [{ createSnapshots }, { snapshotOf }] = await Promise.all([import('./snapshot/snapshots.ts'), import('./snapshot/files.ts')])
    snapshots = createSnapshots({ file: snapshotOf(file, cluster.worker?.id), intervalMs: interval, cache: httpCache, log: app.log, now, scopes: () => scopesOf(runtime) })
  }

  /** Made when all plugins are there: own filters and transformations are known by then. */
  let runtime: Runtime
  await app.register(requestEnd)
  await app.register(errors, { identifier: config.cache.name, pages: () => runtime.errorPages })
  await app.register(loadShedding, { config: config.loadShedding })
  await app.register(access)
  await app.register(cors)
  await app.register(rateLimit, { store: rateLimits, ...(options.rateLimitKey === undefined ? {} : { rateLimitKey: options.rateLimitKey }) })
  await app.register(auth, { now })
  await app.register(transforms, options.transforms ?? {})

  const makeFilters = (route: RouteConfig, config: Config, index: number): RouteFilters => {
    const lists = [config.access, route.access].filter(list => list !== undefined)
    const problems: ConfigProblem[] = []
    const report = (problem: ConfigProblem): void => { problems.push(problem) }
    const used = extensionsOf(route, index, extensions, report)
    const transforms = app.createRouteTransforms(route, index, report)
    if (problems.length > 0) throw new ConfigError(problems)
    return {
      checkAccess: lists.length === 0 ? null : app.createRouteAccess(lists, route.cors?.preflight === 'answer'),
      handleCors: route.cors === undefined ? null : app.createRouteCors(route.cors),
      ...app.createRouteRateLimit(limitsOfRoute(route, config), route.auth !== undefined),
      authenticate: route.auth === undefined ? null : app.createRouteAuthentication(route.auth),
      transforms,
      own: used.length === 0 ? null : createOwnFilters(filterRegistry, used)
    }
  }
  const invalidator = createInvalidator({ cache: httpCache, current: () => runtime, prefix: app.prefix, tell: options.onInvalidation, log: app.log })
  const command = createCacheCommand({ cache: httpCache, current: () => runtime, mount: app.prefix, now })
  const inOrder = createQueue()
  const control = createControl({
    inOrder,
    cache: httpCache,
    command,
    invalidate: invalidator.repeat,
    current: () => runtime,
    replace: next => {
      runtime = next
      memoryStore?.setRouteRules(routeRulesOf(next.config.routes))
      rateLimits.retain?.(limitIds(next.config))
    },
    build: (next, previous) => createRuntime(next, previous, makeFilters, { log: app.log }),
    filters: filterRegistry,
    snapshots,
    transforms: app.transformStatistics,
    log: app.log
  })
  app.decorate('holdfast', control)

  await app.register(messageChecks, { maxFields: config.server.limits.headerCount })
  await app.register(requestContext, { runtime: () => runtime, prefix: app.prefix })
  await app.register(purge, { purge: options.purge ?? command.purge })
  await app.register(rewrite)
  await app.register(cache, { cache: httpCache, identifier: config.cache.name, now, ...(options.deviceClass === undefined ? {} : { deviceClass: options.deviceClass }) })
  await app.register(forward, { cache: httpCache, invalidator, identifier: config.cache.name, pseudonym: createPseudonym(config.cache.name), now })
  await app.register(extensionsPlugin, { extensions, registry: filterRegistry })
  runtime = atOnce(createRuntime(config, null, makeFilters, { log: app.log }))
  await app.register(metrics, { stats: control.stats, processMetrics: options.processMetrics ?? false, extensionFailures: filterRegistry.failures })
  if (config.log.access) await app.register(accessLog)
  options.onControl?.(control, app.proxyMetrics, { cache: httpCache, runtime: () => runtime, tallies: app.requestTallies, now, hasOwnHooks: () => filterRegistry.hooks().length > 0 })

  app.addHook('onReady', done => {
    noteSendHooks(app)
    done()
  })
  // A process that cannot listen leaves the snapshot to the one that does.
  app.addHook('onListen', done => {
    snapshots?.load()
    snapshots?.start()
    done()
  })
  app.addHook('onClose', async () => {
    // Exchanges that no client waits for any more are not waited for either. A reload under way is: it makes upstreams.
    await inOrder(() => Promise.all([...runtime.upstreams.values()].map(upstream => upstream.destroy())))
    await snapshots?.close()
    httpCache.clear()
  })
  await app.register(proxyRoutes)
}

/** What a caller without types hands in may be anything; what is no configuration is told as such. */
function isResolved (config: HoldfastOptions['config']): config is Resolved {
  return isPlain(config) && 'resolved' in config
}

/** Throws a `ConfigError` with everything that is wrong with them. */
async function extensionsFor (config: Config, given: ReadonlyArray<Extension | ExtensionPlugin>): Promise<LoadedExtension[]> {
  const problems: ConfigProblem[] = []
  const loaded = await loadExtensions(config.extensions, process.cwd(), problem => { problems.push(problem) })
  if (problems.length > 0) throw new ConfigError(problems)
  return takeExtensions(given, loaded)
}
