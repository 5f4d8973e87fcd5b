/**
 * Fields as plain data (RFC 9110 section 5): a `FieldMap` keeps, per lower-case name, one field line as a string
 * or several as an array in the order received.
 */

/** Field lines by lower-case name; several lines of one name stay apart, in order. */
export type FieldMap = Readonly<Record<string, string | readonly string[] | undefined>>

/** A field map under construction. */
export type MutableFieldMap = Record<string, string | string[] | undefined>

/** The combined value of a field, lines joined by `, ` (RFC 9110 5.3); `undefined` if the field is absent. */
export function fieldValue (fields: FieldMap, name: string): string | undefined {
  const value = fields[name]
  return value === undefined || typeof value === 'string' ? value : value.join(', ')
}

/**
 * Reads raw field lines `[name, value, name, value, ...]` into a map without prototype, so that a field named
 * `__proto__` or `constructor` is a field and nothing else.
 */
export function fieldsFromLines (lines: readonly string[]): MutableFieldMap {
  const fields = noFields()
  for (let i = 0; i + 1 < lines.length; i += 2) addLine(fields, (lines[i] as string).toLowerCase(), lines[i + 1] as string)
  return fields
}

/**
 * An empty map in which nothing is inherited. One of `Object.create(null)` would be a hash table from the beginning, which
 * grows with almost every field and has to be sorted to be gone through: a forwarded message has two such maps, and each
 * is gone through several times.
 */
export function noFields (): MutableFieldMap {
  return new Fields()
}

/** A copy that may be changed. */
export function copyFields (fields: FieldMap): MutableFieldMap {
  return Object.assign(noFields(), fields) as MutableFieldMap
}

const Fields = function () {} as unknown as new () => MutableFieldMap
Fields.prototype = Object.create(null)

/** Takes a field away where it is there; to delete what is not there costs as much. */
export function removeField (fields: MutableFieldMap, name: string): void {
  if (fields[name] !== undefined) delete fields[name]
}

/** Adds a line, its name in lower case, behind those of the same name. */
export function addLine (fields: MutableFieldMap, name: string, value: string): void {
  const present = fields[name]
  if (present === undefined) fields[name] = value
  else if (typeof present === 'string') fields[name] = [present, value]
  else present.push(value)
}

/** Lines `[name, value, ...]` without those of some fields, named in lower case as they are in the lines. */
export function linesWithout (lines: readonly string[], names: ReadonlySet<string>): readonly string[] {
  if (names.size === 0) return lines
  const kept: string[] = []
  for (let i = 0; i + 1 < lines.length; i += 2) {
    if (!names.has(lines[i] as string)) kept.push(lines[i] as string, lines[i + 1] as string)
  }
  return kept
}
