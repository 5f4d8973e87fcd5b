/** What changes on the way to the upstream. */
import Type from 'typebox'
import { fieldName, fieldValues, prefix, section } from './kinds.ts'

export const RewriteSchema = section('What changes on the way to the upstream, before the cache key is made.', {
  stripPrefix: prefix('Removed from the front of the path where it is there, whole segments only.'),
  addPrefix: prefix('Put before the path, after stripping.'),
  setFields: fieldValues('Request fields set to a value.'),
  removeFields: Type.Array(fieldName, { default: [], description: 'Request fields not forwarded.' })
})
