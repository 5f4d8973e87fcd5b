/** What the proxy knows of one request while it passes the filter chain. */
import type { Readable } from 'node:stream'
import type { FieldMap } from '../http/fields.ts'
import type { RequestTarget } from '../http/target.ts'
import type { CacheLookup } from '../cache/http-cache.ts'
import type { Identity } from './identity.ts'
import type { KnownTarget } from './known-targets.ts'
import type { ProxyRoute } from './proxy-route.ts'
import type { TransformChoice } from '../transform/route-transforms.ts'
import type { Runtime } from './runtime.ts'
import type { RateTicket } from '../rate-limit/ticket.ts'

/** So that a purge of the URL finds what is stored for all values. */
export interface KeyedQuery {
  /** What the URL alone says. */
  readonly query: string
  /** What goes upstream. */
  readonly sent: string
}

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
  /** What a quick look has found out already; null where there was none, or where it is not all. */
  readonly known: KnownTarget | null
  /** Path sent upstream and used in the cache key; filters may change it before the lookup. */
  path: string
  /** Query sent upstream and used in the cache key: empty, or `?` and the rest, as received. */
  query: string
  /** What of the query is in the cache key where values in it are taken from the request; null where all of it is. */
  keyed: KeyedQuery | null
  /** Request fields as the route's rules change them; null before the rules have run. */
  fields: FieldMap | null
  /** Address of the client, taken from forwarding fields only behind a trusted proxy. */
  readonly clientAddress: string
  /** Who asks, once authentication has found out; null before, and where nobody has to say. */
  identity: Identity | null
  /** What it was charged by rate limits; null before, and where none is counted. */
  rateTicket: RateTicket | null
  /** Request fields in lower case that tell the upstream who asks; set by authentication alone. Null where there are none. */
  identityFields: Readonly<Record<string, string>> | null
  /** Authentication judged what stands in `Authorization`. */
  judgedAuthorization: boolean
  /** Keys that stood in the query, by parameter; null where one was given twice, and null altogether where there were none. */
  queryKeys: Readonly<Record<string, string | null>> | null
  /** The request has content, which goes upstream unread. */
  readonly hasContent: boolean
  /** Names in lower case of request fields that own filters set or removed; null without any. */
  ownFields: Set<string> | null
  /** What own filters added to the key, by name; null for nothing. */
  keyParts: Map<string, string> | null
  /** An own filter wants nothing of this request stored or answered from the store. */
  bypassCache: boolean
  /** What the route's transformations make of this request; null where it has none. */
  transforming: TransformChoice | null
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
