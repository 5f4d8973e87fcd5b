/** Entity tags (RFC 9110 8.8.3) and their comparison. */

export interface EntityTag {
  readonly weak: boolean
  /** The opaque tag with its quotes. */
  readonly opaque: string
}

const one = /^(W\/)?("[\x21\x23-\x7e\x80-\xff]*")$/
const next = /(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/y
const separator = /[ \t,]*/y
const end = /[ \t]*(?:,|$)/y

/** An entity tag, or null for what is none. */
export function parseEntityTag (text: string | undefined): EntityTag | null {
  const match = text === undefined ? null : one.exec(text.trim())
  return match === null ? null : { weak: match[1] !== undefined, opaque: match[2] as string }
}

/** The members of `If-Match` or `If-None-Match`: `*`, or a list; what follows something that is no entity tag is not read. */
export function parseEntityTagList (text: string): '*' | readonly EntityTag[] {
  if (text.trim() === '*') return '*'
  const tags: EntityTag[] = []
  // Three steps, each of which only moves forward: one expression for all would take quadratic time on white space.
  for (let at = endOf(separator, text, 0); at !== -1 && at < text.length; at = endOf(separator, text, at)) {
    next.lastIndex = at
    const match = next.exec(text)
    if (match === null) break
    at = endOf(end, text, at + match[0].length)
    if (at === -1) break
    tags.push({ weak: match[1] !== undefined, opaque: match[2] as string })
  }
  return tags
}

function endOf (pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : -1
}

/** Strong comparison: both strong and the same (8.8.3.2). */
export function strongMatch (a: EntityTag, b: EntityTag): boolean {
  return !a.weak && !b.weak && a.opaque === b.opaque
}

/** Weak comparison: the same, whether weak or not (8.8.3.2). */
export function weakMatch (a: EntityTag, b: EntityTag): boolean {
  return a.opaque === b.opaque
}
