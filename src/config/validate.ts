/**
 * Holds a value against a schema and tells every place that does not fit once, in plain English.
 *
 * TypeBox's own report stops after a few errors and lists every branch of a union; what it accepts and refuses is
 * the same, except that this also knows the bounds of durations and sizes (a property test compares the two).
 */
import type { TSchema } from 'typebox'
import { didYouMean, nearest, pointerTo } from './problems.ts'
import type { ConfigProblem } from './problems.ts'
import { isPlain } from './plain.ts'
import type { Plain } from './plain.ts'
import { parseDuration, parseSize } from './units.ts'

/** The keywords of JSON Schema that our schemas use, and our annotations. */
export interface SchemaNode {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly SchemaNode[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: boolean
  readonly propertyNames?: SchemaNode
  readonly minProperties?: number
  readonly required?: readonly string[]
  readonly items?: SchemaNode
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly description?: string
  readonly default?: unknown
  /** A secret, never shown. */
  readonly writeOnly?: boolean
  /** Completes "must be …". */
  readonly expected?: string
  readonly unit?: 'duration' | 'size'
  /** Bounds of a duration. */
  readonly least?: string
  readonly most?: string
}

type Report = (problem: ConfigProblem) => void

/**
 * Defaults as they are where an option is absent (complete.ts), made once, for most routes leave most sections out. They are
 * known to fit their schema and not looked at again.
 */
export const standards = new WeakMap<SchemaNode, unknown>()

/** Reports every place of `value`, which is at the pointer `path`, that does not fit `schema`. */
export function validate (schema: SchemaNode, value: unknown, path: string, report: Report): void {
  if (typeof value === 'object' && standards.get(schema) === value) return
  if (schema.anyOf !== undefined) return validateUnion(schema, schema.anyOf, value, path, report)
  // What an extension says of its own options is held against them elsewhere.
  if (schema.type === undefined && schema.enum === undefined) return
  if (schema.enum !== undefined) return validateEnum(schema.enum, value, path, report)

  const fault = (rule: string, message: string) => report({ path, rule, message, ...shown(schema, value) })
  if (!hasType(schema.type, value)) return fault('type', `must be ${schema.expected ?? typeNames[schema.type ?? ''] ?? schema.type}`)

  if (isPlain(value)) return validateObject(schema, value, path, report)
  if (Array.isArray(value)) return validateList(schema, value, path, report)
  if (typeof value === 'string') {
    if (value.length < (schema.minLength ?? 0)) fault('min-length', schema.minLength === 1 ? 'must not be empty' : `must have at least ${schema.minLength} characters`)
    else if (value.length > (schema.maxLength ?? Infinity)) fault('max-length', `must have at most ${schema.maxLength} characters`)
    else if (schema.pattern !== undefined && !compiled(schema.pattern).test(value)) fault('pattern', `must be ${schema.expected ?? `text that matches ${schema.pattern}`}`)
  }
  if (typeof value === 'number') {
    if (value < (schema.minimum ?? -Infinity)) fault('minimum', `must be at least ${schema.minimum}`)
    else if (value > (schema.maximum ?? Infinity)) fault('maximum', `must be at most ${schema.maximum}`)
  }
}

/** Whether `value` fits `schema`. */
export function fits (schema: SchemaNode, value: unknown): boolean {
  let fits = true
  validate(schema, value, '', () => { fits = false })
  return fits
}

/** A TypeBox schema as plain JSON Schema. Ours have only the keywords of `SchemaNode`; a test makes sure. */
export function schemaNode (schema: TSchema): SchemaNode {
  return schema as SchemaNode
}

/** The schema at a member, or `undefined` where there is none. */
export function memberSchema (schema: SchemaNode, name: string): SchemaNode | undefined {
  if (schema.items !== undefined) return schema.items
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, name)) return schema.properties[name]
  return schema.properties === undefined ? Object.values(schema.patternProperties ?? {})[0] : undefined
}

function validateObject (schema: SchemaNode, value: Plain, path: string, report: Report): void {
  const known = schema.properties
  for (const [name, member] of Object.entries(value)) {
    const place = pointerTo(path, name)
    const nameSchema = schema.propertyNames
    if (known !== undefined && !Object.hasOwn(known, name)) {
      report(unknownOption(place, name, known))
    } else if (nameSchema?.pattern !== undefined && !compiled(nameSchema.pattern).test(name)) {
      report({ path: place, rule: 'name', message: `must be called by ${nameSchema.expected}`, value: name })
    } else {
      const inner = memberSchema(schema, name)
      if (inner !== undefined) validate(inner, member, place, report)
    }
  }
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name)) {
      const description = known?.[name]?.description
      report({ path: pointerTo(path, name), rule: 'required', message: description === undefined ? 'is missing' : `is missing: ${description}` })
    }
  }
  if (Object.keys(value).length < (schema.minProperties ?? 0)) report({ path, rule: 'min-properties', message: 'must not be empty' })
}

/** The value is not shown: it may be a secret under a misspelt name. */
export function unknownOption (path: string, name: string, known: Readonly<Record<string, SchemaNode>>): ConfigProblem {
  // `upstream:shop` without a blank is one name in YAML.
  const suggestion = nearest(/^[^:]+/.exec(name)?.[0] ?? name, Object.keys(known))
  return { path, rule: 'unknown-option', message: `unknown option${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } }
}

function validateList (schema: SchemaNode, value: readonly unknown[], path: string, report: Report): void {
  if (value.length < (schema.minItems ?? 0)) report({ path, rule: 'min-items', message: 'must not be empty' })
  if (value.length > (schema.maxItems ?? Infinity)) report({ path, rule: 'max-items', message: `must have at most ${schema.maxItems} entries`, value: value.length })
  if (schema.items === undefined) return
  for (const [index, item] of value.entries()) validate(schema.items, item, pointerTo(path, index), report)
}

function validateEnum (words: readonly string[], value: unknown, path: string, report: Report): void {
  if (typeof value === 'string' && words.includes(value)) return
  const suggestion = typeof value === 'string' ? nearest(value, words) : undefined
  const message = `must be one of ${words.join(', ')}${didYouMean(suggestion)}`
  report({ path, rule: 'enum', message, ...shown({}, value), ...suggestion !== undefined && { suggestion } })
}

/** The schema has a few dozen patterns, a file thousands of values. */
const patterns = new Map<string, RegExp>()

function compiled (pattern: string): RegExp {
  let expression = patterns.get(pattern)
  if (expression === undefined) patterns.set(pattern, expression = new RegExp(pattern, 'u'))
  return expression
}

/** The branch of the value's own type speaks, where there is one and it has something to say; else the union. */
function validateUnion (schema: SchemaNode, branches: readonly SchemaNode[], value: unknown, path: string, report: Report): void {
  const branch = branches.find(branch => hasType(branch.type, value))
  const fault = (rule: string, message: string) => report({ path, rule, message, ...shown(schema, value) })
  if (branch === undefined) return fault('type', `must be ${schema.expected}`)
  if (schema.unit === undefined) return validate(branch, value, path, report)

  let fits = true
  validate(branch, value, path, () => { fits = false })
  if (!fits) return fault(schema.unit, `must be ${schema.expected}`)

  const quantity = value as string | number // Its branch is number or text.
  if (schema.unit === 'size') {
    if (parseSize(quantity) > Number.MAX_SAFE_INTEGER) fault('maximum', `must be at most ${Number.MAX_SAFE_INTEGER} bytes`)
  } else if (parseDuration(quantity) < parseDuration(schema.least ?? '0s')) fault('minimum', `must be at least ${schema.least}`)
  else if (parseDuration(quantity) > parseDuration(schema.most ?? '24d')) fault('maximum', `must be at most ${schema.most}`)
}

const typeNames: Readonly<Record<string, string>> = {
  object: 'a section with options', array: 'a list', string: 'text', boolean: 'true or false', integer: 'a whole number', number: 'a number'
}

/** Whether a value is of a JSON Schema type; numbers are finite. */
export function hasType (type: string | undefined, value: unknown): boolean {
  switch (type) {
    case 'object': return isPlain(value)
    case 'array': return Array.isArray(value)
    case 'integer': return Number.isInteger(value)
    case 'number': return Number.isFinite(value)
    default: return typeof value === type // eslint-disable-line valid-typeof -- the rest are named alike in both
  }
}

/** A value may be shown unless it is secret, or stands where a section or list is wanted, which may hold secrets. */
function shown (schema: SchemaNode, value: unknown): { value?: unknown } {
  const scalarWanted = schema.type !== 'object' && schema.type !== 'array'
  return schema.writeOnly !== true && scalarWanted && typeof value !== 'object' ? { value } : {}
}
