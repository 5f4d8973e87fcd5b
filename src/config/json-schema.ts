/**
 * The configuration schema as editors want it: plain JSON Schema (2020-12), where options with a default may be
 * left out and every value may come from the environment.
 */
import { ConfigSchema } from './schema.ts'
import { schemaNode } from './validate.ts'
import type { SchemaNode } from './validate.ts'

type Json = Record<string, unknown>

/** Annotations that only this program reads; editors may complain of keywords they do not know. */
const ownKeywords = new Set(['unit', 'expected', 'least', 'most'])

const substitution = {
  type: 'string',
  pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}',
  description: 'From the environment: ${NAME}, or ${NAME:-default}.' // eslint-disable-line no-template-curly-in-string
}

/** The text of `config/holdfast.schema.json`. */
export function formatJsonSchema (): string {
  const { type, ...rest } = convertObject(schemaNode(ConfigSchema))
  // The file may leave `upstreams` and `routes` to `--upstream`.
  delete rest.required
  const schema = { $schema: 'https://json-schema.org/draft/2020-12/schema', type, ...rest, $defs: { substitution } }
  return JSON.stringify(schema, null, 2) + '\n'
}

function convert (schema: SchemaNode): Json {
  if (schema.type === 'object') return convertObject(schema)
  if (schema.items !== undefined) return { ...annotated(schema), items: convert(schema.items) }

  const branches = schema.anyOf?.map(branch => branch.type === 'object' || branch.type === 'array' ? convert(branch) : annotated(branch))
  const takesAnyText = schema.type === 'string' && schema.pattern === undefined
  if (branches === undefined && takesAnyText) return annotated(schema)
  // Beside its own form the value may be spelled in the environment.
  const { description, default: standard, ...form } = annotated(schema)
  return {
    ...description !== undefined && { description },
    ...standard !== undefined && { default: standard },
    anyOf: [...branches ?? [form], { $ref: '#/$defs/substitution' }]
  }
}

function convertObject (schema: SchemaNode): Json {
  const converted = annotated(schema)
  const required = (schema.required ?? []).filter(name => schema.properties?.[name]?.default === undefined)
  delete converted.required
  return {
    ...converted,
    ...schema.properties !== undefined && { properties: mapValues(schema.properties, convert) },
    ...schema.patternProperties !== undefined && { patternProperties: mapValues(schema.patternProperties, convert) },
    ...schema.propertyNames !== undefined && { propertyNames: annotated(schema.propertyNames) },
    ...required.length > 0 && { required }
  }
}

/** The schema's own keywords, without ours and without symbols. */
function annotated (schema: SchemaNode): Json {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !ownKeywords.has(keyword) && !keyword.startsWith('~')))
}

function mapValues (schemas: Readonly<Record<string, SchemaNode>>, change: (schema: SchemaNode) => Json): Json {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, change(schema)]))
}
