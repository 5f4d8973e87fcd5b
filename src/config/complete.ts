/** Defaults put in where an option is absent, and units turned into numbers. */
import { isPlain } from './plain.ts'
import { fits, hasType, memberSchema, standards } from './validate.ts'
import type { SchemaNode } from './validate.ts'
import { parseDuration, parseSize } from './units.ts'

/**
 * A copy of `value` with the defaults of `schema`, inside lists and named entries too; not to be changed, as defaults are
 * shared. What does not fit is kept as it is, for validation to tell. (TypeBox's own defaults do not reach into unions that are not valid yet.)
 */
export function completed (schema: SchemaNode, value: unknown): unknown {
  if (value === undefined) return schema.default === undefined ? undefined : standardOf(schema)
  if (schema.anyOf !== undefined) {
    const branch = schema.anyOf.find(branch => hasType(branch.type, value))
    return branch === undefined ? value : completed(branch, value)
  }
  if (Array.isArray(value)) return value.map(item => schema.items === undefined ? item : completed(schema.items, item))
  if (!isPlain(value) || schema.type !== 'object') return value

  const copy: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) {
    const inner = memberSchema(schema, name)
    copy[name] = inner === undefined ? member : completed(inner, member)
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    if (copy[name] !== undefined || Object.hasOwn(copy, name)) continue
    const standard = completed(inner, undefined)
    if (standard !== undefined) copy[name] = standard
  }
  return copy
}

function standardOf (schema: SchemaNode): unknown {
  const known = standards.get(schema)
  if (known !== undefined) return known
  const made = completed(schema, schema.default)
  // The schema of an extension may say what it does not take itself.
  if (fits(schema, made)) standards.set(schema, made)
  return made
}

/**
 * A copy of a value that fits `schema`, with durations in milliseconds and sizes in bytes. (A test holds it against
 * TypeBox's own decoding, which takes seconds for thousands of routes.)
 */
export function decoded (schema: SchemaNode, value: unknown): unknown {
  if (schema.unit === 'duration') return parseDuration(value as string | number)
  if (schema.unit === 'size') return parseSize(value as string | number)
  const branch = schema.anyOf?.find(branch => hasType(branch.type, value))
  if (branch !== undefined) return decoded(branch, value)
  if (Array.isArray(value)) return value.map(item => schema.items === undefined ? item : decoded(schema.items, item))
  if (!isPlain(value)) return value

  const copy: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(value)) copy[name] = decoded(memberSchema(schema, name) ?? {}, member)
  return copy
}
