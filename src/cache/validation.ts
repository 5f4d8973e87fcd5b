/** Validation of stored responses (RFC 9111 section 4.3). */
import { fieldValue, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { StoredResponse } from './stored-response.ts'

/** Request fields that the cache replaces when it validates on its own account. */
export const conditionalNames = ['if-none-match', 'if-modified-since', 'if-match', 'if-unmodified-since', 'if-range'] as const

/** Fields that ask the origin server whether the stored response still holds; null when it has no validator (4.3.1). */
export function conditionalFields (stored: StoredResponse): FieldMap | null {
  const fields: MutableFieldMap = Object.create(null)
  const etag = fieldValue(stored.fields, 'etag')
  if (etag !== undefined && stored.etag !== null) fields['if-none-match'] = etag
  const lastModified = stored.fields['last-modified']
  if (typeof lastModified === 'string' && stored.lastModifiedAt !== null) fields['if-modified-since'] = lastModified
  return fields['if-none-match'] === undefined && fields['if-modified-since'] === undefined ? null : fields
}

/** Fields that describe the stored content and are not changed by a 304 (3.2, RFC 9110 8.6). */
const fixed: ReadonlySet<string> = new Set(['content-length', 'content-encoding', 'content-type', 'content-range', 'transfer-encoding', 'etag'])

/**
 * The fields of a stored response after a 304: those of the 304 replace the stored ones of the same name (3.2). `ETag` is
 * kept too: the 304 confirmed the one that is stored, at most in its weak form.
 */
export function freshenedFields (stored: FieldMap, received: FieldMap): FieldMap {
  const fields: MutableFieldMap = Object.assign(Object.create(null), stored)
  // An age belongs to one response (5.1): the stored one ends with the validation.
  delete fields['age']
  for (const name of Object.keys(received)) {
    if (!fixed.has(name)) fields[name] = received[name] as string | string[]
  }
  return fields
}

/** Whether a 304 is about this stored response: same opaque tag, or none given (4.3.4). */
export function confirms (stored: StoredResponse, received: FieldMap): boolean {
  const etag = fieldValue(received, 'etag')
  if (etag === undefined || stored.etag === null) return true
  return etag.replace(/^W\//, '') === stored.etag.opaque
}
