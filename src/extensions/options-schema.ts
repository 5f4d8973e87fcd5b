/** What an extension says of its options, brought into the form in which our own options are checked and told. */
import { completed, decoded } from '../config/complete.ts'
import { isPlain, type Plain } from '../config/plain.ts'
import type { ConfigProblem } from '../config/problems.ts'
import { validate, type SchemaNode } from '../config/validate.ts'

/** The keywords that validation knows; annotations that it need not know are let pass. */
const known: ReadonlySet<string> = new Set([
  'type', 'enum', 'anyOf', 'properties', 'patternProperties', 'additionalProperties', 'propertyNames', 'minProperties', 'required', 'items',
  'minItems', 'maxItems', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'description', 'default', 'writeOnly', 'expected', 'unit', 'least', 'most',
  'title', 'examples', '$comment', '$schema', '$id', 'deprecated', 'readOnly'
])
const types: ReadonlySet<unknown> = new Set(['object', 'array', 'string', 'boolean', 'integer', 'number'])
const deepest = 16

/** An extension without a schema has no options. */
export const noOptions: SchemaNode = { type: 'object', properties: {}, additionalProperties: false }

/**
 * A copy of `schema` with the keywords of `SchemaNode` only. Throws a `TypeError` that says which part is not understood:
 * what is not checked must not look as if it were.
 */
export function readOptionsSchema (schema: unknown): SchemaNode {
  const read = readSchema(schema, 'optionsSchema', 0)
  if (read.type !== 'object') throw new TypeError('optionsSchema must be of type object')
  return read
}

function readSchema (schema: unknown, place: string, depth: number): SchemaNode {
  if (!isPlain(schema) || depth > deepest) throw new TypeError(`${place} is no JSON Schema that is understood`)
  const copy: Plain = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'const' || keyword.startsWith('~')) continue
    if (!known.has(keyword)) throw new TypeError(`${place} has the keyword ${keyword}, which is not understood`)
    copy[keyword] = value
  }
  // TypeBox writes a choice of words as a union of constants.
  if (Object.hasOwn(schema, 'const')) return { ...copy, enum: [wordOf(schema['const'], place)] } as SchemaNode
  const branches = Array.isArray(copy['anyOf']) ? copy['anyOf'].map((branch, index) => readSchema(branch, `${place}/anyOf/${index}`, depth + 1)) : null
  if (branches !== null && branches.length > 0 && branches.every(branch => branch.enum !== undefined)) {
    const { anyOf: _anyOf, ...rest } = copy
    return { ...rest, enum: branches.flatMap(branch => branch.enum ?? []) } as SchemaNode
  }
  if (branches !== null) {
    const kinds = branches.map(branch => branch.type)
    if (kinds.includes(undefined) || new Set(kinds).size < kinds.length) throw new TypeError(`${place}/anyOf must have branches of different types`)
    copy['anyOf'] = branches
    copy['expected'] ??= `of type ${kinds.join(' or ')}`
  } else if (copy['enum'] !== undefined) {
    if (!Array.isArray(copy['enum'])) throw new TypeError(`${place}/enum must be a list`)
    copy['enum'] = copy['enum'].map(word => wordOf(word, place))
  } else if (!types.has(copy['type'])) throw new TypeError(`${place} must have one type of ${[...types].join(', ')}`)
  if (typeof copy['pattern'] === 'string') RegExp(copy['pattern'], 'u')

  for (const keyword of ['properties', 'patternProperties'] as const) {
    if (isPlain(copy[keyword])) copy[keyword] = Object.fromEntries(Object.entries(copy[keyword]).map(([name, inner]) => [name, readSchema(inner, `${place}/${keyword}/${name}`, depth + 1)]))
  }
  if (copy['type'] === 'object' && copy['properties'] === undefined && copy['patternProperties'] === undefined) copy['properties'] = {}
  if (copy['items'] !== undefined) copy['items'] = readSchema(copy['items'], `${place}/items`, depth + 1)
  // Every keyword that is used has been looked at.
  return copy as SchemaNode
}

function wordOf (value: unknown, place: string): string {
  if (typeof value !== 'string') throw new TypeError(`${place}: only words can be chosen from, not ${JSON.stringify(value)}`)
  return value
}

/** Options complete with their defaults; problems are reported for what does not fit, at places below `path`. */
export function readOptions (schema: SchemaNode, written: unknown, path: string, report: (problem: ConfigProblem) => void): Readonly<Record<string, unknown>> {
  const complete = completed(schema, written === true ? {} : written)
  let fits = true
  validate(schema, complete, path, problem => {
    fits = false
    report(problem)
  })
  return fits ? decoded(schema, complete) as Readonly<Record<string, unknown>> : {}
}
