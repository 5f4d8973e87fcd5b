/** The fields of a response as they go to the client, and into the cache. */
import type { ResponseConfig } from '../config/schema.ts'
import { fieldsFromLines, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { formatHttpDate } from '../http/date.ts'
import { endToEndFields } from './hop-by-hop.ts'
import { appendVia } from './via.ts'

/**
 * End-to-end fields of raw lines `[name, value, ...]`; repeated lines stay apart and in order.
 * @param own fields that are the proxy's own to set, in lower case: here they are taken away
 * @param receivedAt epoch milliseconds: a response without `Date` gets this one (RFC 9110 6.6.1)
 */
export function responseFields (lines: readonly string[], rules: ResponseConfig, pseudonym: string, receivedAt: number, own: ReadonlySet<string>): MutableFieldMap {
  const fields = endToEndFields(fieldsFromLines(lines))
  // One id names the request on both sides; the proxy sends its own.
  delete fields['x-request-id']
  fields['date'] ??= formatHttpDate(receivedAt)
  appendVia(fields, '1.1', pseudonym)
  for (const name of own) delete fields[name]
  for (const name of rules.removeFields) delete fields[name.toLowerCase()]
  for (const [name, value] of Object.entries(rules.setFields)) fields[name.toLowerCase()] = value
  return fields
}

/** Fields as lines `[name, value, ...]`. */
export function linesOf (fields: FieldMap): string[] {
  const lines: string[] = []
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (typeof value === 'string') lines.push(name, value)
    else if (value !== undefined) for (const one of value) lines.push(name, one)
  }
  return lines
}
