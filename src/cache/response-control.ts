/**
 * The directives that govern a response: those of the first targeted field that is valid and not empty (RFC 9213 2.2),
 * else those of `Cache-Control`.
 */
import { absentControl, fieldNames, maxDeltaSeconds, parseCacheControl, type CacheControl } from '../http/cache-control.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { parseDictionary, type Dictionary } from '../http/structured.ts'

export interface ResponseControl {
  readonly control: CacheControl
  /** Lower-case name of the field the directives come from. Where it is a targeted one, `Expires` counts no more than `Cache-Control`. */
  readonly source: string
}

/** @param targetList names of targeted fields, the most applicable first */
export function responseControl (fields: FieldMap, targetList: readonly string[]): ResponseControl {
  for (const name of targetList) {
    const source = name.toLowerCase()
    const value = fieldValue(fields, source)
    if (value === undefined) continue
    const directives = parseDictionary(value)
    // Empty, or not to be parsed: as if it were not there (2.1).
    if (directives !== null && directives.size > 0) return { control: fromDictionary(directives, value), source }
  }
  return { control: parseCacheControl(fields), source: 'cache-control' }
}

/** Members of a type that the directive cannot have are ignored, parameters as well (RFC 9213 2.1). */
function fromDictionary (directives: Dictionary, text: string): CacheControl {
  const seconds = (name: string): number | undefined => {
    const value = directives.get(name)?.[0]
    if (typeof value !== 'number' || value < 0 || isDecimal(text, name)) return undefined
    return Math.min(value, maxDeltaSeconds)
  }
  const flag = (name: string): boolean => directives.get(name)?.[0] === true
  const names = (name: string): boolean | readonly string[] => {
    const value = directives.get(name)?.[0]
    return typeof value === 'string' ? fieldNames(value) ?? true : value === true
  }
  return {
    ...absentControl,
    maxAge: seconds('max-age'),
    sMaxage: seconds('s-maxage'),
    noStore: flag('no-store'),
    noCache: names('no-cache'),
    private: names('private'),
    public: flag('public'),
    mustRevalidate: flag('must-revalidate'),
    proxyRevalidate: flag('proxy-revalidate'),
    mustUnderstand: flag('must-understand'),
    noTransform: flag('no-transform'),
    immutable: flag('immutable'),
    staleWhileRevalidate: seconds('stale-while-revalidate'),
    staleIfError: seconds('stale-if-error')
  }
}

/**
 * The parser makes the same number of `60` and `60.0`, of which only the first is a delta-seconds. Of members of one name
 * the last counts (RFC 9651 3.2); without its strings, a dictionary is divided by its commas.
 */
function isDecimal (text: string, name: string): boolean {
  const members = text.replace(/"(?:[^"\\]|\\.)*"/g, '').split(',').map(member => member.trim())
  const last = members.findLast(member => member.startsWith(name) && /^[=;]|^$/.test(member.slice(name.length)))
  return last !== undefined && /^=-?\d+\./.test(last.slice(name.length))
}
