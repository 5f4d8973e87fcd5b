/** What `fetch.ts` is asked to fetch, and whom it tells. */
import type { Readable } from 'node:stream'
import type { CacheForward, CacheHit } from '../cache/http-cache.ts'
import type { ReaderOwner } from '../cache/shared-body.ts'
import type { CacheOutcome } from '../cache/status.ts'
import type { ResponseFields } from '../forward/response-fields.ts'
import type { Body } from '../http/body.ts'
import type { FieldMap, MutableFieldMap } from '../http/fields.ts'
import type { TransformCallback } from '../transform/chain.ts'
import type { Exchange, FetchCallback, UpstreamError, UpstreamResponse } from '../upstream/exchange.ts'

/** A response to be passed on while it arrives. */
export interface PassedResponse {
  readonly statusCode: number
  /** Lines `[name, value, ...]`, without `Cache-Status` and what else is hidden from clients. */
  readonly lines: readonly string[]
  /** `Cache-Status` of caches nearer to the origin server, or undefined. */
  readonly cacheStatus: FieldMap[string]
  readonly outcome: CacheOutcome
  readonly body: Body | null
}

/** Who asked. Exactly one of the first three is called, once. */
export interface Audience extends ReaderOwner {
  stored (hit: CacheHit): void
  passed (response: PassedResponse): void
  failed (error: UpstreamError): void
  /** What became of the recording, after `passed`: null when the response is stored. */
  recorded (outcome: CacheOutcome): void
  /** The upstream cut the body short after `passed`. */
  cutShort (error: UpstreamError): void
  /** Nobody is there any more. */
  isGone (): boolean
}

export interface FetchRequest {
  readonly method: string
  readonly lookup: CacheForward
  readonly audience: Audience
  /** Makes the exchange, with these fields in place of the client's preconditions; for the whole although the client asks for a range. */
  readonly prepare: (conditional: FieldMap | null, whole: boolean) => Exchange
  /** Sends it. */
  readonly dispatch: (exchange: Exchange, callback: FetchCallback) => void
  /** End-to-end fields of a response to what was asked, as they are stored and passed on. */
  readonly responseFields: (response: UpstreamResponse, receivedAt: number, lookup: CacheForward) => ResponseFields
  /** Own filters of the route change them; throws when one fails. */
  readonly filterFields: (statusCode: number, fields: MutableFieldMap) => void
  /** `Content-Location` names the target URI. */
  readonly locatesTarget: (fields: FieldMap) => boolean
  /** A response to an unsafe request that changed something (RFC 9111 4.4). */
  readonly invalidate: (fields: FieldMap) => void
  /** What the route does to content before it is stored; null for nothing. */
  readonly transforms: FetchTransforms | null
  readonly maxStoredBytes: number
  /** Names of response fields that clients do not get as they are. */
  readonly hiddenFields: ReadonlySet<string>
  /** Nobody waits for it but the store. */
  readonly background: boolean
}

export interface FetchTransforms {
  /** Makes a 304 be about what was asked for, in place of what that was made of. */
  readonly confirm: (fields: MutableFieldMap, lookup: CacheForward) => void
  /** A part is of content that would be transformed as a whole. May throw. */
  readonly mustBeWhole: (statusCode: number, fields: FieldMap) => boolean
  /** @param body null where there is no content */
  readonly apply: (statusCode: number, fields: FieldMap, body: Readable | null, done: TransformCallback) => void
}
