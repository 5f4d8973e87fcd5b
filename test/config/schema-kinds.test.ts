/** Our maker of schemas is held against TypeBox, whose types it borrows. */
import t from 'tap'
import TypeBox from 'typebox'
import Type from '../../src/config/schema/type.ts'

/** Everything about a schema: its members in their order, and the hidden ones apart, whose order says nothing. */
function anatomy (schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(anatomy)
  if (typeof schema !== 'object' || schema === null) return schema
  const hidden = Object.entries(Object.getOwnPropertyDescriptors(schema)).filter(([, { enumerable }]) => enumerable !== true)
  return {
    members: Object.entries(schema).map(([name, value]) => [name, anatomy(value)]),
    hidden: Object.fromEntries(hidden.map(([name, { value }]) => [name, anatomy(value)]))
  }
}

const decode = (value: unknown): string => String(value)
const encode = (value: unknown): never => value as never
const options = { default: 1, description: 'words', expected: 'a thing' }

const rows: ReadonlyArray<[title: string, make: (kinds: typeof Type) => unknown]> = [
  ['scalars', kinds => [kinds.String(), kinds.String({ pattern: '^a' }), kinds.Boolean(options), kinds.Integer({ minimum: 1 }), kinds.Number(options), kinds.Null(), kinds.Unknown(), kinds.Unknown(options)]],
  ['a list', kinds => kinds.Array(kinds.String(), { minItems: 1, ...options })],
  ['words to choose from', kinds => kinds.Enum(['a', 'b'], options)],
  ['a union', kinds => kinds.Union([kinds.Null(), kinds.String()], options)],
  ['an object with and without what must be there', kinds => [kinds.Object({}), kinds.Object({ a: kinds.Optional(kinds.String()) }), kinds.Object({ a: kinds.Optional(kinds.String(options)), b: kinds.Integer() }, { additionalProperties: false, ...options })]],
  ['names with and without a pattern', kinds => [kinds.Record(kinds.String(), kinds.Integer()), kinds.Record(kinds.String({ pattern: '^x-' }), kinds.Integer(), options)]],
  ['what is decoded, and may be absent', kinds => kinds.Object({ a: kinds.Optional(kinds.Codec(kinds.Union([kinds.Number(), kinds.String()], options)).Decode(decode).Encode(encode)) })]
]

for (const [title, make] of rows) {
  t.test(`${title}: as TypeBox makes it`, async t => {
    t.strictSame(anatomy(make(Type)), anatomy(make(TypeBox as unknown as typeof Type)))
  })
}
