/**
 * `Cache-Control` of requests and responses (RFC 9111 section 5.2), and of any field with the same grammar.
 *
 * Fails closed: what cannot be understood shortens or forbids reuse, it never allows it. Of directives that occur twice
 * with different arguments the most restrictive counts (section 4.2.1 leaves the choice; this one is safe).
 */
import { fieldValue, type FieldMap } from './fields.ts'

export interface CacheControl {
  readonly maxAge: number | undefined
  readonly sMaxage: number | undefined
  readonly noStore: boolean
  /** True without field names, else the lower-case names it is qualified with. */
  readonly noCache: boolean | readonly string[]
  readonly private: boolean | readonly string[]
  readonly public: boolean
  readonly mustRevalidate: boolean
  readonly proxyRevalidate: boolean
  readonly mustUnderstand: boolean
  readonly noTransform: boolean
  readonly immutable: boolean
  readonly onlyIfCached: boolean
  readonly minFresh: number | undefined
  /** Seconds; `Infinity` for the directive without an argument. */
  readonly maxStale: number | undefined
  readonly staleWhileRevalidate: number | undefined
  readonly staleIfError: number | undefined
  /** Something in the field does not follow the grammar, so that nothing in it can be trusted to allow reuse. */
  readonly malformed: boolean
}

/** Largest lifetime in seconds: larger values mean this one (RFC 9111 1.2.2). */
export const maxDeltaSeconds = 2 ** 31

type Writable = { -readonly [K in keyof CacheControl]: CacheControl[K] }

function nothingSaid (): Writable {
  return {
    maxAge: undefined,
    sMaxage: undefined,
    noStore: false,
    noCache: false,
    private: false,
    public: false,
    mustRevalidate: false,
    proxyRevalidate: false,
    mustUnderstand: false,
    noTransform: false,
    immutable: false,
    onlyIfCached: false,
    minFresh: undefined,
    maxStale: undefined,
    staleWhileRevalidate: undefined,
    staleIfError: undefined,
    malformed: false
  }
}

const absent: CacheControl = Object.freeze(nothingSaid())

/** Directives of a message; never throws. `name` is the field to read. */
export function parseCacheControl (fields: FieldMap, name = 'cache-control'): CacheControl {
  const value = fieldValue(fields, name)
  return value === undefined ? absent : parseDirectives(value)
}

// One directive: a token, and perhaps `=` with a token or a quoted string; then a comma or the end. Sticky, linear.
const directive = /[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",;=][^\s",]*)?))?)?[ \t]*(,|$)/y

function parseDirectives (value: string): CacheControl {
  const control = nothingSaid()
  directive.lastIndex = 0
  while (directive.lastIndex < value.length) {
    const start = directive.lastIndex
    const match = directive.exec(value)
    if (match === null) {
      // Not a directive: skip to the next comma and remember that the field cannot be trusted.
      control.malformed = true
      const comma = value.indexOf(',', start)
      if (comma === -1) break
      directive.lastIndex = comma + 1
      continue
    }
    const [, name, quoted, token] = match
    if (name !== undefined) applyDirective(control, name.toLowerCase(), quoted === undefined ? token : quoted.replace(/\\(.)/g, '$1'), match[0].includes('='))
  }
  return control
}

function applyDirective (control: Writable, name: string, argument: string | undefined, hasArgument: boolean): void {
  switch (name) {
    case 'max-age': control.maxAge = shorter(control.maxAge, argument); break
    case 's-maxage': control.sMaxage = shorter(control.sMaxage, argument); break
    case 'no-store': control.noStore = true; break
    case 'no-cache': control.noCache = qualified(control, control.noCache, argument, hasArgument); break
    case 'private': control.private = qualified(control, control.private, argument, hasArgument); break
    case 'public': control.public = true; break
    case 'must-revalidate': control.mustRevalidate = true; break
    case 'proxy-revalidate': control.proxyRevalidate = true; break
    case 'must-understand': control.mustUnderstand = true; break
    case 'no-transform': control.noTransform = true; break
    case 'immutable': control.immutable = true; break
    case 'only-if-cached': control.onlyIfCached = true; break
    // For a request asking for fresher the larger value is the stricter one.
    case 'min-fresh': control.minFresh = Math.max(control.minFresh ?? 0, parseDeltaSeconds(argument) ?? maxDeltaSeconds); break
    case 'max-stale': control.maxStale = Math.min(control.maxStale ?? Infinity, hasArgument ? parseDeltaSeconds(argument) ?? 0 : Infinity); break
    case 'stale-while-revalidate': control.staleWhileRevalidate = shorter(control.staleWhileRevalidate, argument); break
    case 'stale-if-error': control.staleIfError = shorter(control.staleIfError, argument); break
    default: // Extension directives that are not known are ignored (5.2.3).
  }
}

/** An argument that is no number means no lifetime at all (RFC 9111 4.2.1 encourages stale). */
function shorter (present: number | undefined, argument: string | undefined): number {
  const seconds = parseDeltaSeconds(argument) ?? 0
  return present === undefined ? seconds : Math.min(present, seconds)
}

/** Seconds of `1*DIGIT`, capped; null for anything else (RFC 9111 1.2.2). */
export function parseDeltaSeconds (text: string | undefined): number | null {
  if (text === undefined || !/^\d+$/.test(text)) return null
  return Math.min(Number(text), maxDeltaSeconds)
}

/** `no-cache` and `private` may name fields (5.2.2.4, 5.2.2.7); without understandable names they cover everything. */
function qualified (control: Writable, present: boolean | readonly string[], argument: string | undefined, hasArgument: boolean): boolean | readonly string[] {
  if (!hasArgument) return true
  const names = (argument ?? '').split(',').map(name => name.trim().toLowerCase()).filter(name => name !== '')
  if (names.length === 0 || names.some(name => !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))) {
    control.malformed = true
    return true
  }
  if (present === true) return true
  return present === false ? names : [...present, ...names]
}
