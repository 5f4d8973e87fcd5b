/** A stored response as data: everything that later decisions need, computed once when it is stored. */
import type { CacheControl } from '../http/cache-control.ts'
import type { EntityTag } from '../http/entity-tag.ts'
import type { FieldMap } from '../http/fields.ts'
import type { ReasonWord } from './reasons.ts'
import type { SelectingField } from './vary.ts'

export interface StoredResponse {
  /** Of a partial response 200, as if it were an incomplete one of the whole (RFC 9111 3.3). */
  readonly statusCode: number
  /** End-to-end fields. */
  readonly fields: FieldMap
  /** Directives in force: those of a targeted field where there is one (RFC 9213). */
  readonly control: CacheControl
  /** The request fields named by `Vary` (RFC 9111 4.1). */
  readonly selecting: readonly SelectingField[]
  readonly etag: EntityTag | null
  /** Epoch milliseconds, or null. */
  readonly lastModifiedAt: number | null
  /** Epoch milliseconds of `Date`, or of receipt where there was none. */
  readonly dateAt: number
  /** Epoch milliseconds when the response head had come. */
  readonly receivedAt: number
  /** Seconds old at `receivedAt` (RFC 9111 4.2.3). */
  readonly initialAge: number
  /** Seconds (RFC 9111 4.2.1). */
  readonly freshnessLifetime: number
  /** The route's rule that changed the lifetime, or null. */
  readonly override: ReasonWord | null
}

/** Whether a response can be validated (RFC 9110 8.8). */
export function hasValidator ({ etag, lastModifiedAt }: Pick<StoredResponse, 'etag' | 'lastModifiedAt'>): boolean {
  return etag !== null || lastModifiedAt !== null
}
