/** What changes on the way to the upstream. */
import Type from './type.ts'
import { fieldName, fieldNamePattern, fieldValues, item, prefix, section, texts } from './kinds.ts'

const parameterName = { propertyNames: { pattern: '^[^\\x00-\\x1f\\x7f]{1,256}$', expected: 'a name of a query parameter' }, default: {} }
const fieldNames = (description: string) => Type.Record(fieldName, fieldName, {
  propertyNames: { pattern: fieldNamePattern, expected: 'a field name, such as x-team' }, default: {}, description
})
const parameterValues = (description: string) => Type.Record(Type.String(), Type.String({
  pattern: '^[^\\x00-\\x1f\\x7f]*$', writeOnly: true, expected: 'text without control characters'
}), { ...parameterName, description })

const ReplaceSchema = item('A part of the path that is replaced.', {
  pattern: Type.String({ minLength: 1, maxLength: 500, description: 'Regular expression in the syntax of RE2, which takes linear time: no backreferences, no looking around. Its first match is replaced.' }),
  with: Type.String({ maxLength: 500, pattern: '^[\\x21\\x22\\x24-\\x3e\\x40-\\x7e]*$', expected: 'text of a path, without ?, # and spaces', description: 'What takes its place; `{1}` stands for a group, `{name}` for a named one, `{0}` for the whole match.' })
})

const QuerySchema = section('Query parameters. In this order: remove, rename, set, append. All others stay as they are, octet for octet.', {
  remove: texts('Parameters removed; `*` at the end stands for any rest, as in `utm_*`.'),
  rename: Type.Record(Type.String(), Type.String({ minLength: 1, maxLength: 256 }), { ...parameterName, description: 'Parameters by name, and the name they get.' }),
  set: parameterValues('Parameters put at the end, in place of all of the same name. Values may have names in braces.'),
  append: parameterValues('Parameters put at the end, beside those of the same name. Values may have names in braces.')
})

export const MethodOverrideSchema = item('Lets a POST be taken for another method, for clients that can send no other. Routing, filters, cache and upstream see that method.', {
  field: Type.String({ default: 'x-http-method-override', pattern: fieldNamePattern, expected: 'a field name, such as x-http-method-override', description: 'Field that names the method. It is not passed on.' }),
  methods: Type.Array(Type.String({ pattern: '^[A-Z][A-Z-]*$', expected: 'a request method in capitals, such as DELETE' }), { default: ['PUT', 'PATCH', 'DELETE'], minItems: 1, description: 'Methods that may be named. Any other one, and one that this route does not match, is 400 `bad_method_override`.' })
})

export const RewriteSchema = section('What changes on the way to the upstream, before the cache key is made. Values of fields and parameters may have names in braces, such as `{client.ip}` (docs/filters-request.md); `{{` is a brace.', {
  stripPrefix: prefix('Removed from the front of the path where it is there, whole segments only.'),
  replace: Type.Array(ReplaceSchema, { default: [], maxItems: 8, description: 'Parts of the path that are replaced, one after the other, after stripping. A path of more than 4096 octets is 400 where there are any.' }),
  addPrefix: prefix('Put before the path, after stripping and replacing.'),
  query: QuerySchema,
  host: Type.Optional(Type.String({ pattern: '^(upstream|client|[A-Za-z0-9._\\[\\]:-]+)$', expected: '`upstream`, `client`, or a host such as example.com', description: '`Host` sent on this route, as `host` of the upstream; that is the default.' })),
  removeFields: Type.Array(fieldName, { default: [], description: 'Request fields not forwarded.' }),
  renameFields: fieldNames('Request fields and the name they get, in place of what had it.'),
  copyFields: fieldNames('Request fields and the name of a copy, which takes the place of what had it.'),
  setFields: fieldValues('Request fields set to a value. One of which a part is missing is removed.'),
  appendFields: fieldValues('Field lines added. One of which a part is missing is not.'),
  methodOverride: Type.Optional(MethodOverrideSchema)
})
