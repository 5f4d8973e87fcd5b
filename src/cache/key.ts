/** Cache keys: the primary key, and what `Vary` adds to it (RFC 9111 sections 2 and 4.1). */
import { fieldValue, type FieldMap } from '../http/fields.ts'

export interface KeyParts {
  /** Fingerprint of the rules of the route. */
  readonly scope: string
  readonly scheme: string
  readonly authority: string
  readonly path: string
  readonly query: string
}

/**
 * The primary key of GET and HEAD. A line feed can stand in none of the parts (scopes and authorities are validated,
 * targets refuse control characters), so different parts never make the same key.
 */
export function primaryKey (parts: KeyParts): string {
  return `${parts.scope}\n${parts.scheme}\n${parts.authority}\n${parts.path}${parts.query}`
}

/** Lower-case names in `Vary`, sorted and without repetition; `*` when it is anywhere in the list or is unreadable. */
export function varyNames (fields: FieldMap): '*' | readonly string[] {
  const value = fieldValue(fields, 'vary')
  if (value === undefined) return []
  const names = new Set<string>()
  for (const member of value.split(',')) {
    const name = member.trim().toLowerCase()
    if (name === '') continue
    if (name === '*' || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return '*'
    names.add(name)
  }
  return [...names].sort()
}

/** The value a request selects by: lines combined, white space around commas removed; undefined when the field is absent. */
export function selectingValue (request: FieldMap, name: string): string | undefined {
  const value = fieldValue(request, name)
  return value === undefined ? undefined : value.trim().replace(/[ \t]*,[ \t]*/g, ',')
}

/** Selecting values of a request for the names in `Vary`, as `[name, value, ...]`. */
export function selectingValues (request: FieldMap, names: readonly string[]): readonly (string | undefined)[] {
  return names.flatMap(name => [name, selectingValue(request, name)])
}

/** Whether a request selects what was stored under these values: all the same, absent fields included (4.1). */
export function selects (request: FieldMap, selecting: readonly (string | undefined)[]): boolean {
  for (let i = 0; i < selecting.length; i += 2) {
    if (selectingValue(request, selecting[i] as string) !== selecting[i + 1]) return false
  }
  return true
}
