/** What changes on the way to the client. */
import Type from 'typebox'
import { CompressionSchema } from './compression.ts'
import { fieldName, fieldValues, section } from './kinds.ts'

export const ResponseSchema = section('What changes on the way to the client, for hits and misses alike.', {
  setFields: fieldValues('Response fields set to a value.'),
  removeFields: Type.Array(fieldName, { default: [], description: 'Response fields not passed on.' }),
  compression: CompressionSchema
})
