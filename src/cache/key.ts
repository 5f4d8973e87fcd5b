/** The primary cache key (RFC 9111 section 2), and what the rules of a route make of the parts it consists of. */
import { fieldValue, type FieldMap } from '../http/fields.ts'

export interface KeyParts {
  /** Fingerprint of the rules of the route. */
  readonly scope: string
  readonly scheme: string
  readonly authority: string
  readonly path: string
  /** Empty, or `?` and the rest. */
  readonly query: string
  /** What else the route tells requests apart by: fields, cookies, class of device. Empty where there is nothing. */
  readonly extra: string
}

/**
 * The key under which the responses of a target URI are stored. The lengths in front say where each part ends, so that
 * different parts never make the same key, whatever they contain: no delimiter has to be kept out of them.
 */
export function primaryKey (parts: KeyParts): string {
  const { extra } = parts
  return extra === '' ? uriKey(parts) : `${uriKey(parts)} ${extra}`
}

/** The same for all that differs in `extra` only: what an unsafe request to the target URI invalidates (section 4.4). */
export function uriKey ({ scope, scheme, authority, path, query }: KeyParts): string {
  return `${scope.length},${scheme.length},${authority.length},${path.length},${query.length} ${scope} ${scheme}://${authority}${path}${query}`
}

/** As `uriKey` writes the lengths of paths up to this one, without a query. */
const pathLengths = Array.from({ length: 512 }, (_, length) => `${length},0 `)

/** Makes what `uriKey` makes, for many paths and queries of one place. */
export function uriKeysOf ({ scope, scheme, authority }: Pick<KeyParts, 'scope' | 'scheme' | 'authority'>): (path: string, query: string) => string {
  const before = `${scope.length},${scheme.length},${authority.length},`
  const after = `${scope} ${scheme}://${authority}`
  return (path, query) => {
    const lengths = query === '' ? pathLengths[path.length] : undefined
    return lengths === undefined ? `${before}${path.length},${query.length} ${after}${path}${query}` : before + lengths + after + path
  }
}

/** The parts that `uriKey` was made of; null for any other text. */
export function parseUriKey (key: string): Omit<KeyParts, 'extra'> | null {
  const start = key.indexOf(' ') + 1
  const lengths = key.slice(0, Math.max(0, start - 1)).split(',').map(Number)
  const [scope = NaN, scheme = NaN, authority = NaN, path = NaN, query = NaN] = lengths
  const pathAt = start + scope + 1 + scheme + 3 + authority
  if (lengths.length !== 5 || pathAt + path + query !== key.length) return null
  return {
    scope: key.slice(start, start + scope),
    scheme: key.slice(start + scope + 1, start + scope + 1 + scheme),
    authority: key.slice(pathAt - authority, pathAt),
    path: key.slice(pathAt, pathAt + path),
    query: key.slice(pathAt + path)
  }
}

/**
 * Where authority, path and query begin in what `uriKey` made, without taking it apart: for walks over many keys.
 * Gives back `found`, changed; -1 everywhere for any other text.
 */
export function locateUriParts (key: string, found: UriPlaces): UriPlaces {
  let position = 0
  let number = 0
  let part = 0
  const lengths = [0, 0, 0, 0, 0] as [number, number, number, number, number]
  for (; part < 5 && position < key.length; position++) {
    const code = key.charCodeAt(position)
    if (code >= 48 && code <= 57) {
      number = number * 10 + code - 48
      continue
    }
    if (code !== (part === 4 ? 32 : 44)) break
    lengths[part++] = number
    number = 0
  }
  const [scope, scheme, authority, path, query] = lengths
  found.authority = position + scope + 1 + scheme + 3
  found.path = found.authority + authority
  found.query = found.path + path
  if (part < 5 || found.query + query !== key.length) found.authority = found.path = found.query = -1
  return found
}

/** Positions in a key. */
export interface UriPlaces { authority: number, path: number, query: number }

/** Everything but the query, for what is declared about the queries of one path. */
export function pathKey (parts: KeyParts): string {
  return `path ${primaryKey({ ...parts, query: '' })}`
}

export interface KeyRules {
  readonly query: {
    /** Parameters left out; a name that ends in `*` stands for all that begin so. */
    readonly ignore: readonly string[]
    /** If set, all others are left out. */
    readonly keep?: readonly string[]
    readonly sort: boolean
  }
  readonly fields: readonly string[]
  readonly cookies: readonly string[]
  /** Other names of a host and the one they are stored under. */
  readonly hosts: Readonly<Record<string, string>>
  readonly ignorePathCase: boolean
  /** Each identity apart. */
  readonly identity: boolean
}

/**
 * Applies the rules of a route. What goes upstream is not changed.
 * @param request fields of the request, undefined for the key of a URI that nobody has asked for
 * @param device class of the client's device, as the application's own function names it
 * @param identity what tells identities apart, where the route wants that
 */
export function applyKeyRules (parts: Omit<KeyParts, 'extra'>, rules: KeyRules, request: FieldMap | undefined, device: string, identity = ''): KeyParts {
  return {
    scope: parts.scope,
    scheme: parts.scheme,
    authority: aliasOf(parts.authority, rules.hosts),
    path: rules.ignorePathCase ? parts.path.toLowerCase() : parts.path,
    query: keyQuery(parts.query, rules.query),
    extra: request === undefined ? '' : keyExtra(rules, request, device, identity)
  }
}

/** Host names are what a client writes: `constructor` is one, and no alias. */
function aliasOf (authority: string, hosts: KeyRules['hosts']): string {
  return Object.hasOwn(hosts, authority) ? hosts[authority] as string : authority
}

/** Whether the rules leave keys as they are, so that applying them can be spared. */
export function changesNothing (rules: KeyRules): boolean {
  const { query, fields, cookies, hosts, ignorePathCase, identity } = rules
  return query.ignore.length === 0 && query.keep === undefined && !query.sort && fields.length === 0 && cookies.length === 0 && Object.keys(hosts).length === 0 && !ignorePathCase && !identity
}

function keyExtra (rules: KeyRules, request: FieldMap, device: string, identity: string): string {
  if (rules.fields.length === 0 && rules.cookies.length === 0 && device === '' && !rules.identity) return ''
  const cookies = rules.cookies.length === 0 ? null : parseCookies(fieldValue(request, 'cookie') ?? '')
  // JSON keeps members apart and absent (null) from empty.
  return JSON.stringify([
    ...rules.fields.map(name => fieldOf(request, name.toLowerCase()) ?? null),
    ...rules.cookies.map(name => cookies?.get(name) ?? null),
    device,
    // Where the route does not tell identities apart, keys stay as they were.
    ...rules.identity ? [identity] : []
  ])
}

/** Node's request fields have a prototype, which is no field. */
function fieldOf (request: FieldMap, name: string): string | undefined {
  return Object.hasOwn(request, name) ? fieldValue(request, name) : undefined
}

/** First value of each cookie; a browser sends the most specific one first (RFC 6265 5.4). */
function parseCookies (value: string): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>()
  for (const pair of value.split(';')) {
    const equals = pair.indexOf('=')
    if (equals === -1) continue
    const name = pair.slice(0, equals).trim()
    if (!cookies.has(name)) cookies.set(name, pair.slice(equals + 1).trim())
  }
  return cookies
}

function keyQuery (query: string, rules: KeyRules['query']): string {
  const { ignore, keep, sort } = rules
  if (query === '' || (ignore.length === 0 && keep === undefined && !sort)) return query
  let parameters = query.slice(1).split('&').map(text => ({ text, name: parameterName(text) }))
  parameters = parameters.filter(({ text, name }) => {
    // Some servers divide at `;` too: what they may see in it must not be left out.
    if (name === null || text.includes(';')) return true
    if (keep !== undefined && !keep.some(pattern => isNamed(pattern, name))) return false
    return !ignore.some(pattern => isNamed(pattern, name))
  })
  if (sort) parameters.sort((a, b) => compare(a.name ?? a.text, b.name ?? b.text))
  return parameters.length === 0 ? '' : `?${parameters.map(({ text }) => text).join('&')}`
}

/** The decoded name of a parameter, `[` and what follows it left out as in `tags[]`; null when it cannot be decoded. */
function parameterName (text: string): string | null {
  const equals = text.indexOf('=')
  const name = (equals === -1 ? text : text.slice(0, equals)).replaceAll('+', ' ')
  try {
    return (name.includes('%') ? decodeURIComponent(name) : name).replace(/\[.*$/s, '')
  } catch {
    return null
  }
}

function isNamed (pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function compare (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
