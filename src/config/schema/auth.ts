/** Who may ask. */
import Type from 'typebox'
import { fieldNamePattern, hashes, item } from './kinds.ts'

export const AuthSchema = item('Who may use the route. One credential that fits is enough.', {
  apiKeys: Type.Optional(item('A key in a field.', {
    field: Type.String({ default: 'x-api-key', pattern: fieldNamePattern, expected: 'a field name, such as x-api-key', description: 'Field that carries the key.' }),
    keys: hashes('SHA-256 of each key, as `sha256:<hex>`.')
  })),
  bearer: Type.Optional(item('An opaque token in `Authorization: Bearer`.', {
    tokens: hashes('SHA-256 of each token, as `sha256:<hex>`.')
  }))
})
