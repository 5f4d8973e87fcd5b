/** What the proxy knows of one request while it passes the filter chain. */
import type { Readable } from 'node:stream'
import type { RequestTarget } from '../http/target.ts'
import type { CacheLookup } from '../cache/http-cache.ts'
import type { Identity } from './identity.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { Runtime } from './runtime.ts'

export interface Forwarding {
  /** The configuration this request began with and finishes on. */
  readonly runtime: Runtime
  readonly route: ProxyRoute
  readonly routeName: string
  readonly upstreamName: string
  /** Path prefix the proxy is registered under; empty at the root. */
  readonly prefix: string
  /** What the client asked for, normalised, without a key that stood in the query. */
  readonly target: RequestTarget
  /** Path sent upstream and used in the cache key; filters may change it before the lookup. */
  path: string
  /** Query sent upstream and used in the cache key: empty, or `?` and the rest, as received. */
  query: string
  /** Address of the client, taken from forwarding fields only behind a trusted proxy. */
  readonly clientAddress: string
  /** Who asks, once authentication has found out; null before, and where nobody has to say. */
  identity: Identity | null
  /** Request fields in lower case that tell the upstream who asks; set by authentication alone. Null where there are none. */
  identityFields: Readonly<Record<string, string>> | null
  /** Authentication judged what stands in `Authorization`. */
  judgedAuthorization: boolean
  /** Keys that stood in the query, by parameter; null where one was given twice, and null altogether where there were none. */
  readonly queryKeys: Readonly<Record<string, string | null>> | null
  /** The request has content, which goes upstream unread. */
  readonly hasContent: boolean
  /** What the cache said; null until it was asked. */
  lookup: CacheLookup | null
  /** Request content after it was taken over for the upstream; null before, or when there is none. */
  content: Readable | null
  /** `performance.now()` at the start and end of the upstream exchange, 0 if there was none. */
  upstreamStartedAt: number
  upstreamEndedAt: number
  /** Origin of the target that answered, for the log. */
  upstreamTarget: string
  /** Stable code of what went wrong, or empty. */
  errorCode: string
}
