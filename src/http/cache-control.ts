/**
 * `Cache-Control` of requests and responses (RFC 9111 section 5.2), and of any field with the same grammar.
 *
 * Fails closed: what cannot be understood shortens or forbids reuse, it never allows it. Of directives that occur twice
 * with different arguments the most restrictive counts (section 4.2.1 leaves the choice; this one is safe).
 */
import { fieldValue, type FieldMap } from './fields.ts'
import { remembering } from './remembered.ts'

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

/** No directive at all. */
export const absentControl: CacheControl = Object.freeze(nothingSaid())

/** Directives of a message; never throws. `name` is the field to read. */
export function parseCacheControl (fields: FieldMap, name = 'cache-control'): CacheControl {
  const value = fieldValue(fields, name)
  return value === undefined ? absentControl : readDirectives(value)
}

const readDirectives = remembering(parseDirectives, 200)

const token = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const quoted = /"((?:[^"\\]|\\.)*)"/y
const bare = /[^\s",]*/y

/**
 * Reads directive after directive. Each step moves on or gives up on the member, so that the work is proportional to the
 * length whatever the field contains: one regular expression over name, white space and argument would not be.
 */
function parseDirectives (value: string): CacheControl {
  const control = nothingSaid()
  let at = 0
  while ((at = skipWhitespace(value, at)) < value.length) {
    if (value[at] === ',') {
      at++
      continue
    }
    const end = readDirective(control, value, at)
    if (end === -1) {
      // Not a directive: remember that the field cannot be trusted, and look for restrictions behind the next comma.
      control.malformed = true
      const comma = value.indexOf(',', at)
      if (comma === -1) break
      at = comma
    } else {
      at = end
    }
  }
  return control
}

/** Applies the directive at a position and returns where it ends; -1 when there is none, or more than one. */
function readDirective (control: Writable, value: string, start: number): number {
  const name = readAt(token, value, start)?.[0]
  if (name === undefined) return -1
  let at = skipWhitespace(value, start + name.length)
  let argument: string | undefined
  const hasArgument = value[at] === '='
  if (hasArgument) {
    const argumentAt = skipWhitespace(value, at + 1)
    // The grammar has no white space around `=`; who reads over it and who does not disagree about what is meant.
    if (value[at - 1] === ' ' || value[at - 1] === '\t' || argumentAt !== at + 1) control.malformed = true
    const match = readAt(value[argumentAt] === '"' ? quoted : bare, value, argumentAt)
    if (match === null) return -1
    argument = match[1]?.replace(/\\(.)/g, '$1') ?? match[0]
    at = skipWhitespace(value, argumentAt + match[0].length)
  }
  if (at < value.length && value[at] !== ',') return -1
  applyDirective(control, name.toLowerCase(), argument, hasArgument)
  return at
}

function readAt (pattern: RegExp, value: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(value)
}

function skipWhitespace (value: string, at: number): number {
  while (value[at] === ' ' || value[at] === '\t') at++
  return at
}

function applyDirective (control: Writable, name: string, argument: string | undefined, hasArgument: boolean): void {
  switch (name) {
    case 'max-age': control.maxAge = shorter(control.maxAge, argument); break
    case 's-maxage':
      control.sMaxage = shorter(control.sMaxage, argument)
      // Its presence permits sharing (3.5); a value that is none permits nothing.
      if (parseDeltaSeconds(argument) === null) control.malformed = true
      break
    case 'no-store': control.noStore = true; break
    case 'no-cache': control.noCache = qualified(control, control.noCache, argument, hasArgument); break
    case 'private': control.private = qualified(control, control.private, argument, hasArgument); break
    // These three also permit something: with an argument they have not been specified, so that nothing is permitted.
    case 'public': control.public = true; control.malformed ||= hasArgument; break
    case 'must-revalidate': control.mustRevalidate = true; control.malformed ||= hasArgument; break
    case 'must-understand': control.mustUnderstand = true; control.malformed ||= hasArgument; break
    case 'proxy-revalidate': control.proxyRevalidate = true; break
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
  const names = fieldNames(argument ?? '')
  if (names === null) {
    control.malformed = true
    return true
  }
  if (present === true) return true
  return present === false ? names : [...present, ...names]
}

/** Lower-case field names of a comma-separated list; null when there is none or one of them is no field name. */
export function fieldNames (list: string): readonly string[] | null {
  const names = list.split(',').map(name => name.trim().toLowerCase()).filter(name => name !== '')
  return names.length === 0 || names.some(name => !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name)) ? null : names
}
