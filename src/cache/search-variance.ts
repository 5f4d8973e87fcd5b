/**
 * `No-Vary-Search`: an origin server's word that parts of the query do not matter (draft-ietf-httpbis-no-vary-search).
 *
 * Only queries of one path are ever compared, so a wrong declaration mixes up nothing but the variations of the URL that
 * made it.
 */
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { parseDictionary, type Dictionary } from '../http/structured.ts'

export interface SearchVariance {
  /** Parameters that do not matter; null when all but `vary` do not. */
  readonly noVary: ReadonlySet<string> | null
  /** Parameters that matter although others do not; empty unless `noVary` is null. */
  readonly vary: ReadonlySet<string>
  readonly ignoreOrder: boolean
}

/** The variance a response declares; null for none or one that cannot be understood, which is the same (section 4.2). */
export function searchVariance (fields: FieldMap): SearchVariance | null {
  const value = fieldValue(fields, 'no-vary-search')
  if (value === undefined) return null
  const members = parseDictionary(value)
  return members === null ? null : parseVariance(members)
}

function parseVariance (members: Dictionary): SearchVariance | null {
  const keyOrder = members.get('key-order')?.[0]
  const params = members.get('params')?.[0]
  const except = members.get('except')?.[0]
  if (keyOrder !== undefined && typeof keyOrder !== 'boolean') return null

  let noVary: ReadonlySet<string> | null = new Set()
  if (Array.isArray(params)) {
    const names = namesOf(params)
    if (names === null) return null
    noVary = names
  } else if (params === true) {
    noVary = null
  } else if (params !== undefined && params !== false) {
    return null
  }

  let vary: ReadonlySet<string> = new Set()
  if (except !== undefined) {
    if (params !== true || !Array.isArray(except)) return null
    const names = namesOf(except)
    if (names === null) return null
    vary = names
  }
  const ignoreOrder = keyOrder === true
  // What changes nothing is the default: then queries are compared octet by octet.
  return noVary !== null && noVary.size === 0 && !ignoreOrder ? null : { noVary, vary, ignoreOrder }
}

/** Names as the origin server wrote them, decoded like those of a query (section 4.3); null when one is no string. */
function namesOf (list: readonly unknown[]): ReadonlySet<string> | null {
  const names = new Set<string>()
  for (const item of list) {
    const name = (item as readonly [unknown])[0]
    if (typeof name !== 'string') return null
    // A name alone, read by the parser that reads queries; `&` and `=` are escaped as part of a name.
    names.add(parametersOf(name.replace(/[&=]/g, character => encodeURIComponent(character)))[0]?.[0] ?? '')
  }
  return names
}

/** The form parser, which would take a first `?` of the text for the mark in front of a query: it gets one of its own. */
function parametersOf (text: string): Array<[name: string, value: string]> {
  return [...new URLSearchParams(`?${text}`)]
}

/**
 * What is left of a query under a variance, in one spelling: two queries are equivalent if and only if theirs are the
 * same (section 5). Delimiters within names and values are escaped, so different parameters never look alike.
 * @param query empty, or `?` and the rest
 */
export function significantQuery (query: string, variance: SearchVariance): string {
  // Octets, one character each, are what the parser takes for text otherwise.
  const escaped = query.slice(1).replace(/[\x80-\xff]/g, octet => `%${octet.charCodeAt(0).toString(16)}`)
  let pairs = parametersOf(escaped)
  // What is no UTF-8 is all read as U+FFFD: such values are told apart by their octets, in a form no other query has.
  if (pairs.some(([name, value]) => name.includes('\ufffd') || value.includes('\ufffd'))) return `?${query}`
  pairs = pairs.filter(([name]) => variance.noVary === null ? variance.vary.has(name) : !variance.noVary.has(name))
  // Sorting is stable: values of one name keep their order.
  if (variance.ignoreOrder) pairs.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
  return new URLSearchParams(pairs).toString()
}

/** One spelling of a variance, to compare two. */
export function formatVariance ({ noVary, vary, ignoreOrder }: SearchVariance): string {
  return JSON.stringify([noVary === null ? null : [...noVary].sort(), [...vary].sort(), ignoreOrder])
}
