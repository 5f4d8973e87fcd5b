/** A stored response as data: everything that later decisions need, computed once when it is stored. */
import type { CacheControl } from '../http/cache-control.ts'
import type { EntityTag } from '../http/entity-tag.ts'
import type { FieldMap } from '../http/fields.ts'

export interface StoredResponse {
  readonly statusCode: number
  /** End-to-end fields. */
  readonly fields: FieldMap
  readonly control: CacheControl
  /** `[name, value, ...]` of the request fields named by `Vary`, normalised (RFC 9111 4.1). */
  readonly selecting: readonly (string | undefined)[]
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
}
