/** What an operator or application can do with a running proxy. */
import type { EntriesPage, EntriesQuery, EntryAnswer, PurgeResult, PurgeSelector } from './admin/schemas.ts'
import type { CacheStatistics } from './cache/http-cache.ts'
import type { PurgeOptions } from './cache/purging.ts'
import type { Config } from './config/schema.ts'
import type { Invalidation } from './proxy/invalidation.ts'
import type { RouteChain } from './proxy/chain.ts'
import type { SnapshotStatistics } from './snapshot/snapshots.ts'
import type { TransformStatistics } from './transform/statistics.ts'
import type { UpstreamStatistics } from './upstream/exchange.ts'

export interface HoldfastControl {
  /** The configuration in force. */
  readonly config: Config
  /**
   * Puts another configuration in force. Requests in flight finish on the old one; stored responses stay unless the
   * cache rules of their route changed. Throws without changing anything when the configuration cannot be used.
   * @returns what changed, and what was given but needs a restart
   */
  reload (config: Config): Promise<{ readonly changed: readonly string[], readonly needsRestart: readonly string[] }>
  /** What the requests of each route pass, in order, with the file that each part comes from. */
  chains (): readonly RouteChain[]
  isReady (): { readonly ready: boolean, readonly reasons: readonly string[] }
  /**
   * Takes stored responses out (`hard`), or makes them stale (`soft`), some milliseconds in a turn of the event loop; what
   * is being fetched at this moment is not stored. Rejects with a `RequestError` for what cannot be meant.
   * @returns how many there were, and their bytes
   */
  purge (selector: PurgeSelector, options?: PurgeOptions): Promise<PurgeResult>
  /** Invalidates what an unsafe request to another process has changed (RFC 9111 4.4), as `onInvalidation` was told of it there. */
  invalidate (invalidation: Invalidation): void
  /** A page of what is stored. */
  entries (query?: EntriesQuery): Promise<EntriesPage>
  /** Everything that is stored under a URL, with what decides on its use. */
  entry (url: string): Promise<EntryAnswer>
  stats (): {
    readonly cache: CacheStatistics
    /** Absent where no snapshot is kept. */
    readonly snapshot?: SnapshotStatistics
    readonly upstreams: Readonly<Record<string, UpstreamStatistics>>
    readonly transforms: TransformStatistics
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The running proxy. */
    holdfast: HoldfastControl
  }
}
