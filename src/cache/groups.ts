/** Cache groups (RFC 9875): stored responses of one origin that are invalidated together. */
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { parseList } from '../http/structured.ts'

/** A cache has to support at least 32 groups in a field, of at least 32 characters (RFC 9875 2, 3); these bounds leave room and keep an index small. */
const maxGroups = 64
const maxGroupLength = 256

export type GroupField = 'cache-groups' | 'cache-group-invalidation'

/** The strings of a group field; none where the field is absent or no list of strings. */
export function groupsOf (fields: FieldMap, name: GroupField): readonly string[] {
  const value = fieldValue(fields, name)
  if (value === undefined) return []
  const members = parseList(value) ?? []
  const groups = members.map(member => member[0])
  if (!groups.every(group => typeof group === 'string')) return []
  return [...new Set(groups as string[])].filter(group => group.length <= maxGroupLength).slice(0, maxGroups)
}

/** Names a group within its origin, in a form that no cache key has. */
export function groupKey (scheme: string, authority: string, group: string): string {
  return `group ${authority.length} ${scheme}://${authority} ${group}`
}
