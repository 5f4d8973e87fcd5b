/** What an operator or application can do with a running proxy. */
import type { CacheStatistics } from './cache/http-cache.ts'
import type { Config } from './config/schema.ts'
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
  isReady (): { readonly ready: boolean, readonly reasons: readonly string[] }
  stats (): { readonly cache: CacheStatistics, readonly upstreams: Readonly<Record<string, UpstreamStatistics>> }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The running proxy. */
    holdfast: HoldfastControl
  }
}
