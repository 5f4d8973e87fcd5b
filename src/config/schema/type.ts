/**
 * The kinds of TypeBox that our schemas are made of, and its types. To import TypeBox itself means to read 680 files, a fifth
 * of what a start took; what it makes of these kinds is a dozen plain objects (a test compares the two).
 *
 * Like its own, the schemas are JSON Schema, with what only TypeBox looks at in members that are not enumerable.
 */
import type TypeBox from 'typebox'
import type { TSchema } from 'typebox'

type Kinds = Pick<typeof TypeBox, 'Array' | 'Boolean' | 'Codec' | 'Enum' | 'Integer' | 'Null' | 'Number' | 'Object' | 'Optional' | 'Record' | 'String' | 'Union' | 'Unknown'>
type Node = Record<string, unknown>

/** Any text, as a pattern of names. */
const anyName = '^.*$'

function make (kind: string, keywords: object, options: object = {}): Node {
  return hide({ ...keywords, ...options }, '~kind', kind)
}

function hide (node: Node, name: string, value: unknown): Node {
  return Object.defineProperty(node, name, { value, configurable: true, writable: true, enumerable: false })
}

/** A copy with a hidden member more. */
function marked (schema: TSchema, name: string, value: unknown): Node {
  return hide(Object.defineProperties({}, Object.getOwnPropertyDescriptors(schema)) as Node, name, value)
}

function objectOf (properties: Readonly<Record<string, TSchema>>, options?: object): Node {
  const required = Object.keys(properties).filter(name => !Object.hasOwn(properties[name] as object, '~optional'))
  return make('Object', { type: 'object', ...required.length > 0 && { required }, properties }, options)
}

// What TypeBox says of these is what the callers see: it derives the types of the configuration.
export default {
  Array: (items: TSchema, options?: object) => make('Array', { type: 'array', items }, options),
  Boolean: (options?: object) => make('Boolean', { type: 'boolean' }, options),
  Codec: (schema: TSchema) => ({
    Decode: (decode: unknown) => ({ Encode: (encode: unknown) => marked(schema, '~codec', { decode, encode }) })
  }),
  Enum: (values: readonly string[], options?: object) => make('Enum', { enum: values }, options),
  Integer: (options?: object) => make('Integer', { type: 'integer' }, options),
  Null: (options?: object) => make('Null', { type: 'null' }, options),
  Number: (options?: object) => make('Number', { type: 'number' }, options),
  Object: objectOf,
  Optional: (schema: TSchema) => marked(schema, '~optional', true),
  Record: (key: { readonly pattern?: string }, value: TSchema, options?: object) => make('Record', { type: 'object', patternProperties: { [key.pattern ?? anyName]: value } }, options),
  String: (options?: object) => make('String', { type: 'string' }, options),
  Union: (anyOf: readonly TSchema[], options?: object) => make('Union', { anyOf }, options),
  Unknown: (options?: object) => make('Unknown', {}, options)
} as unknown as Kinds
