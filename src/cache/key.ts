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
 * The primary key of GET and HEAD. The lengths in front say where each part ends, so that different parts never make the
 * same key, whatever they contain: no delimiter has to be kept out of them.
 */
export function primaryKey ({ scope, scheme, authority, path, query }: KeyParts): string {
  return `${scope.length},${scheme.length},${authority.length},${path.length} ${scope} ${scheme}://${authority}${path}${query}`
}

/** Names that a `Vary` may list; with more the response is taken as one that fits no other request. */
const maxVaryNames = 64

/** Lower-case names in `Vary`, sorted and without repetition; `*` when it is anywhere in the list or is unreadable. */
export function varyNames (fields: FieldMap): '*' | readonly string[] {
  const value = fieldValue(fields, 'vary')
  if (value === undefined) return []
  const names = new Set<string>()
  for (const member of value.split(',')) {
    const name = member.trim().toLowerCase()
    if (name === '') continue
    // `__proto__` is no field that Node's request fields could hold: its values could not be told apart.
    if (name === '*' || name === '__proto__' || !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) return '*'
    names.add(name)
    if (names.size > maxVaryNames) return '*'
  }
  return [...names].sort()
}

/**
 * The value a request selects by: lines combined, white space around commas removed where it cannot be part of a quoted
 * string; undefined when the field is absent (RFC 9111 4.1).
 */
export function selectingValue (request: FieldMap, name: string): string | undefined {
  // Node's request fields have a prototype: what `Vary: constructor` finds there is not a field.
  if (!Object.hasOwn(request, name)) return undefined
  const value = fieldValue(request, name)
  if (value === undefined || !value.includes(',') || value.includes('"')) return value?.trim()
  return value.split(',').map(member => member.trim()).join(',')
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
