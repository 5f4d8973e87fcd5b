/**
 * Entity tags of representations that were made here out of an origin server's (RFC 9110 8.8.3).
 *
 * A strong tag promises the same bytes. Those of a compressed response depend on how it arrived (a pause flushes what has
 * come), on the level and on the library, so that no two runs need to agree: what is made here gets a weak tag. It is the
 * origin server's own tag and a mark behind it, such as `W/"v1~holdfast.br"` of `"v1"`: so it is neither that of the
 * original nor of another coding, and the origin server can be asked about it by its own.
 */
import { parseEntityTag, parseEntityTagList, weakMatch, type EntityTag } from '../http/entity-tag.ts'

/** The tag of the original, what it was made of, in order; `-w` where the original's is weak. */
const marked = /^"([\x21\x23-\x7e\x80-\xff]*)~holdfast(-w)?\.([A-Za-z0-9_@+-]+)"$/

export interface MarkedTag {
  /** As the origin server has it. */
  readonly origin: EntityTag
  /** What was done to the original, joined by `+`. */
  readonly ids: string
}

/** The tag of what `ids` made of a representation with the tag `value`; undefined where that is none. */
export function markedTag (value: string | undefined, ids: readonly string[]): string | undefined {
  const tag = parseEntityTag(value)
  return tag === null ? undefined : `W/${tag.opaque.slice(0, -1)}~holdfast${tag.weak ? '-w' : ''}.${ids.join('+')}"`
}

/** What a marked tag says; null for any other. */
export function readMarkedTag ({ opaque, weak }: EntityTag): MarkedTag | null {
  const match = weak ? marked.exec(opaque) : null
  return match === null ? null : { origin: { weak: match[2] !== undefined, opaque: `"${match[1]}"` }, ids: match[3] as string }
}

export function formatEntityTag ({ weak, opaque }: EntityTag): string {
  return weak ? `W/${opaque}` : opaque
}

/**
 * `If-Match` or `If-None-Match` as the origin server understands it: behind each tag that was made here stands its own.
 * The marked one stays, since there may be another proxy of this kind nearer to the origin server, which made it.
 * @param knows whether such a representation is what the client would get today
 */
export function withOriginTags (value: string, knows: (ids: string) => boolean): string {
  return listed(value, knows, (tag, { origin }) => [tag, origin])
}

/** The same with the origin server's tags in place of those that were made here. */
export function withoutMarks (value: string, knows: (ids: string) => boolean): string {
  return listed(value, knows, (_tag, { origin }) => [origin])
}

function listed (value: string, knows: (ids: string) => boolean, replace: (tag: EntityTag, marked: MarkedTag) => readonly EntityTag[]): string {
  const tags = value.includes('~holdfast') ? parseEntityTagList(value) : '*'
  if (tags === '*') return value
  const replaced = tags.flatMap(tag => {
    const mark = readMarkedTag(tag)
    return mark === null || !knows(mark.ids) ? [tag] : replace(tag, mark)
  })
  return [...new Set(replaced.map(formatEntityTag))].join(', ')
}

/**
 * The tag by which a 304 of the origin server confirms one of several: as it is where one of them has it, else that of the
 * first one that was made of what it names; null when it names none.
 */
export function confirmedTag (received: string | undefined, asked: readonly EntityTag[]): EntityTag | null {
  const tag = parseEntityTag(received)
  if (tag === null) return null
  return asked.find(one => weakMatch(one, tag)) === undefined
    ? asked.find(one => {
      const mark = readMarkedTag(one)
      return mark !== null && weakMatch(mark.origin, tag)
    }) ?? null
    : tag
}
