/** Tags that an origin server gives its responses (`Surrogate-Key`, `Cache-Tag`), so that what belongs together can be purged together. */
import { copyFields, type FieldMap, type MutableFieldMap } from '../http/fields.ts'

export interface TagField {
  readonly name: string
  readonly separator: 'space' | 'comma'
}

export interface TagRules {
  readonly fields: readonly TagField[]
  /** Clients get the fields as well. */
  readonly forward: boolean
  /** Tags one stored response may have. */
  readonly maxTags: number
}

export const defaultTagRules: TagRules = {
  fields: [{ name: 'surrogate-key', separator: 'space' }, { name: 'cache-tag', separator: 'comma' }],
  forward: false,
  maxTags: 128
}

/** Characters in one tag: what the CDNs that know these fields allow. */
export const maxTagLength = 1024

/**
 * `null`: the response says nothing of tags. `too-many`: more or longer ones than are kept. Such a response must not be
 * stored at all: without one of its tags, a purge would pass it by.
 */
export type Tags = readonly string[] | null | 'too-many'

export interface TakenTags {
  readonly tags: Tags
  /** The fields as they are stored. */
  readonly fields: FieldMap
}

/** Reads the tags of a response and takes the fields that carry them out, unless clients get them. */
export function takeTags (fields: FieldMap, rules: TagRules): TakenTags {
  let found: Set<string> | null = null
  let left: MutableFieldMap | null = null
  for (const { name, separator } of rules.fields) {
    const field = name.toLowerCase()
    const value = fields[field]
    if (value === undefined) continue
    found ??= new Set()
    for (const line of typeof value === 'string' ? [value] : value) {
      for (const tag of line.split(separator === 'comma' ? ',' : /[ \t]+/)) {
        const trimmed = tag.trim()
        if (trimmed !== '') found.add(trimmed)
      }
    }
    if (rules.forward) continue
    left ??= copyFields(fields)
    delete left[field]
  }
  if (found === null) return { tags: null, fields }
  const tooMany = found.size > rules.maxTags || [...found].some(tag => tag.length > maxTagLength)
  return { tags: tooMany ? 'too-many' : [...found], fields: left ?? fields }
}

/** Names, in lower case, of the fields that clients do not get. */
export function hiddenTagFields (rules: TagRules): ReadonlySet<string> {
  return new Set(rules.forward ? [] : rules.fields.map(({ name }) => name.toLowerCase()))
}

/** Names a tag in a form that no key of a URI or group has. */
export function tagKey (tag: string): string {
  return `tag ${tag}`
}
