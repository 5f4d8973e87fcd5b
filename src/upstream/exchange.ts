/** What the proxy asks of an upstream, and what comes back. */
import type { Readable } from 'node:stream'
import type { Body } from '../http/body.ts'
import type { FieldMap, MutableFieldMap } from '../http/fields.ts'

/** Carries the `Exchange` on the headers object that goes through reply-from, which copies own symbols. */
export const exchangeKey: unique symbol = Symbol('holdfast.exchange')

export interface Exchange {
  readonly upstream: Upstream
  readonly method: string
  /** Path and query exactly as sent on the wire. */
  readonly path: string
  /** Fields to send; `Host` is set for the chosen target. */
  readonly fields: FieldMap
  /** Sent as `Host` where that is to be the client's. */
  readonly clientAuthority: string
  /** In place of what the upstream says of `Host`. */
  readonly host: string | undefined
  readonly body: Readable | null
  /** Milliseconds; replaces the upstream's own limit between two pieces of the body, 0 for none. */
  readonly betweenBytesMs: number | undefined
  /** Who asks; null where no client does. */
  readonly attendant: Attendant | null
  /** Ends the exchange; set when it has begun. */
  running: { cancel (): void } | null
  /** The response, once its head has come. */
  response: UpstreamResponse | null
}

/** A client's side of an exchange. */
export interface Attendant {
  /** An interim response of the origin server, never 100 or 101. */
  informed (statusCode: number, fields: MutableFieldMap): void
  /** The client has left: then `answered` gets the answer past reply-from, which would drop it while others still wait for it. So it does failures. */
  isGone (): boolean
  readonly answered: FetchCallback
}

export interface UpstreamResponse {
  /** 200 to 599. */
  readonly statusCode: number
  /** As received, one character per octet; they belong to who gets them. */
  readonly fields: MutableFieldMap
  /** With back-pressure to the socket. Fails with an `UpstreamError` when cut short; destroying it ends the exchange. */
  readonly body: Body
  /** Origin of the target, for the log. */
  readonly target: string
  /** The connection had been used before. */
  readonly reused: boolean
}

export type UpstreamErrorCode =
  | 'upstream_unreachable' | 'upstream_tls' | 'upstream_reset' | 'upstream_bad_response'
  | 'upstream_connect_timeout' | 'upstream_first_byte_timeout' | 'upstream_between_bytes_timeout' | 'upstream_total_timeout'
  | 'upstream_failed' | 'extension_failed'
  | 'upstream_queue_full' | 'upstream_queue_timeout' | 'upstream_closed' | 'client_body_failed' | 'cancelled'
  // What came could not be made into what clients get.
  | 'transform_failed' | 'transform_timeout' | 'transform_too_large' | 'transform_busy'

const statusOf: Readonly<Record<UpstreamErrorCode, 400 | 499 | 500 | 502 | 503 | 504>> = {
  upstream_unreachable: 502,
  upstream_tls: 502,
  upstream_reset: 502,
  upstream_bad_response: 502,
  upstream_connect_timeout: 504,
  upstream_first_byte_timeout: 504,
  upstream_between_bytes_timeout: 504,
  upstream_total_timeout: 504,
  upstream_failed: 502,
  extension_failed: 500,
  upstream_queue_full: 503,
  upstream_queue_timeout: 503,
  upstream_closed: 503,
  client_body_failed: 400,
  cancelled: 499,
  transform_failed: 500,
  transform_timeout: 504,
  transform_too_large: 502,
  transform_busy: 503
}

/** Why there is no response, or not all of it. The message is safe to show; address and cause are for the log. */
export class UpstreamError extends Error {
  readonly code: UpstreamErrorCode
  readonly statusCode: 400 | 499 | 500 | 502 | 503 | 504
  readonly target: string | undefined

  constructor (code: UpstreamErrorCode, target?: string, cause?: unknown) {
    super(code, cause === undefined ? {} : { cause })
    this.name = 'UpstreamError'
    this.code = code
    this.statusCode = statusOf[code]
    this.target = target
  }
}

export interface TargetStatistics {
  readonly origin: string
  readonly healthy: boolean
  readonly openSockets: number
  readonly inFlight: number
}

export interface UpstreamStatistics {
  readonly targets: readonly TargetStatistics[]
  readonly queued: number
  readonly requests: number
  readonly errors: Readonly<Record<string, number>>
  readonly retries: number
}

export type FetchCallback = (error: UpstreamError | null, response?: UpstreamResponse) => void

export interface Upstream {
  readonly name: string
  /** Calls back once: with an error, or with a response whose body then streams. */
  fetch (exchange: Exchange, callback: FetchCallback): void
  /** At least one target is not taken out. */
  isHealthy (): boolean
  stats (): UpstreamStatistics
  /** Lets running exchanges finish and refuses new ones. */
  close (): Promise<void>
  destroy (): Promise<void>
}
