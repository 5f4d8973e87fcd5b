/** The fields of a response as they go to the client, and into the cache. */
import { fieldValue, noFields, removeField, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { formatHttpDate } from '../http/date.ts'
import { endToEndFields } from './hop-by-hop.ts'
import type { AboutResponse, ResponseRules } from './response-rules.ts'
import { appendVia } from './via.ts'

export interface ResponseFieldsInput extends Omit<AboutResponse, 'updates'> {
  /** As received, one character per octet; they are changed. */
  readonly received: MutableFieldMap
  readonly rules: ResponseRules
  /** Fields that are the proxy's own to set, in lower case: those of the origin server are taken away. */
  readonly reserved: ReadonlySet<string>
  readonly pseudonym: string
  /** Epoch milliseconds: a response without `Date` gets this one (RFC 9110 6.6.1). */
  readonly receivedAt: number
  /** Path prefix the proxy is registered under; empty at the root. */
  readonly mount: string
  /** The stored response that it updates or is a part of, by its entity tag. */
  readonly updates: (etag: string | undefined) => AboutResponse['updates']
}

export interface ResponseFields {
  /** As clients get them and as they are stored. */
  readonly fields: MutableFieldMap
  /** What tells of other URIs and groups, before the route's rules and filters changed it, with URLs as clients see them. */
  readonly said: FieldMap
}

const none: ReadonlySet<string> = new Set()

const related = ['location', 'content-location', 'cache-group-invalidation'] as const

/** End-to-end fields; repeated lines stay apart and in order. */
export function responseFields ({ received, rules, reserved, pseudonym, receivedAt, mount, updates, statusCode, isSecure }: ResponseFieldsInput): ResponseFields {
  const fields = endToEndFields(received)
  // One id names the request on both sides; the proxy sends its own.
  removeField(fields, 'x-request-id')
  fields['date'] ??= formatHttpDate(receivedAt)
  appendVia(fields, '1.1', pseudonym)
  for (const name of reserved) removeField(fields, name)
  rules.locate(fields, mount)
  const said = noFields()
  for (const name of related) said[name] = fields[name]
  rules.apply?.(fields, { statusCode, isSecure, updates: updates(fieldValue(fields, 'etag')) })
  return { fields, said }
}

/** Fields as lines `[name, value, ...]`. @param without names in lower case that are left out */
export function linesOf (fields: FieldMap, without: ReadonlySet<string> = none): string[] {
  const lines: string[] = []
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (without.has(name)) continue
    if (typeof value === 'string') lines.push(name, value)
    else if (value !== undefined) for (const one of value) lines.push(name, one)
  }
  return lines
}
