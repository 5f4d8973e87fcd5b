/**
 * Values that are made for each request: text with names in braces, such as `user-{auth.subject}`. They are taken apart
 * once, when a route is made ready; `{{` and `}}` stand for the braces themselves.
 *
 * A value of which one part is missing, or has an octet that no field value may have, is not made at all: half of it could
 * mean something else to who reads it, and no client can end a field line with what it sends.
 */
import { fieldValue, type FieldMap } from '../http/fields.ts'

/** What a URL says. */
export interface UrlInput {
  readonly scheme: string
  /** Without port. */
  readonly host: string
  /** As routed, before any rule. */
  readonly path: string
  /** Empty, or `?` and the rest. */
  readonly query: string
}

export interface TemplateInput extends UrlInput {
  readonly clientAddress: string
  readonly requestId: string
  readonly method: string
  /** As the client sent them. */
  readonly fields: FieldMap
  readonly identity: { readonly subject: string, readonly claims: Readonly<Record<string, unknown>> } | null
}

interface Part {
  readonly name: string
  /** `url`: octets of the URL, escaped as they came; `text`: octets of anything else. */
  readonly kind: 'url' | 'text'
  /** Undefined where there is no such value. */
  readonly read: (input: TemplateInput) => string | undefined
}

export interface Template {
  readonly parts: ReadonlyArray<string | Part>
  /** What it names. */
  readonly names: readonly string[]
  /** It names something that the URL does not say. */
  readonly ofRequest: boolean
}

export type TemplateResult =
  | { readonly ok: true, readonly template: Template }
  /** The reason completes "the value …"; with the name that is not known, and those that are. */
  | { readonly ok: false, readonly reason: string, readonly unknown?: { readonly name: string, readonly known: readonly string[] } }

const readers: Readonly<Record<string, Omit<Part, 'name'>>> = {
  'client.ip': { kind: 'text', read: input => input.clientAddress },
  'request.id': { kind: 'text', read: input => input.requestId },
  'request.method': { kind: 'text', read: input => input.method },
  host: { kind: 'url', read: input => input.host },
  scheme: { kind: 'url', read: input => input.scheme },
  path: { kind: 'url', read: input => input.path },
  query: { kind: 'url', read: input => input.query.slice(1) },
  'auth.subject': { kind: 'text', read: input => octetsOf(input.identity?.subject) }
}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** Names that end in a name of the operator's own choice. */
const families: ReadonlyArray<readonly [prefix: string, make: (rest: string) => Omit<Part, 'name'> | null]> = [
  ['auth.claim.', claim => ({ kind: 'text', read: input => claimOf(input.identity?.claims, claim) })],
  ['query.', name => ({ kind: 'url', read: input => parameterOf(input.query, name) })],
  ['field.', name => token.test(name) ? { kind: 'text', read: input => fieldOf(input.fields, name.toLowerCase()) } : null],
  ['cookie.', name => token.test(name) ? { kind: 'text', read: input => cookieOf(fieldOf(input.fields, 'cookie'), name) } : null]
]

/** @param segments names of the route's pattern, each with its place in the path; null for another place than between slashes */
export function parseTemplate (text: string, segments: readonly (string | null)[]): TemplateResult {
  const pieces = piecesOf(text)
  if (typeof pieces === 'string') return { ok: false, reason: pieces }
  const parts: Array<string | Part> = []
  for (const piece of pieces) {
    if (!piece.isName) {
      parts.push(piece.text)
      continue
    }
    const part = partOf(piece.text, segments)
    if (part === null) return unknown(piece.text, segments)
    parts.push(part)
  }
  const named = parts.filter(part => typeof part !== 'string')
  return {
    ok: true,
    template: {
      parts,
      names: named.map(({ name }) => name),
      ofRequest: named.some(({ name }) => !/^(?:host|scheme|path|query)(?:\.|$)/.test(name))
    }
  }
}

/** Of a text that has passed `parseTemplate`; throws for any other, which validation has ruled out. */
export function compileTemplate (text: string, segments: readonly (string | null)[]): Template {
  const result = parseTemplate(text, segments)
  if (!result.ok) throw new TypeError(`the value ${result.reason}`)
  return result.template
}

export interface Piece { readonly isName: boolean, readonly text: string }

/** Text and names in turn; or what is wrong, completing "the value …". */
export function piecesOf (text: string): Piece[] | string {
  const pieces: Piece[] = []
  let plain = ''
  for (let at = 0; at < text.length;) {
    const character = text[at] as string
    if (character !== '{' && character !== '}') {
      plain += character
      at++
    } else if (text[at + 1] === character) {
      plain += character
      at += 2
    } else {
      const end = character === '{' ? text.indexOf('}', at) : -1
      if (end === -1) return `has a lone ${character}: write ${character}${character} for the character itself`
      if (plain !== '') pieces.push({ isName: false, text: plain })
      plain = ''
      pieces.push({ isName: true, text: text.slice(at + 1, end) })
      at = end + 1
    }
  }
  if (plain !== '' || pieces.length === 0) pieces.push({ isName: false, text: plain })
  return pieces
}

function partOf (name: string, segments: readonly (string | null)[]): Part | null {
  const known = Object.hasOwn(readers, name) ? readers[name] : undefined
  if (known !== undefined) return { name, ...known }
  if (name.startsWith('path.')) {
    const place = segments.indexOf(name.slice('path.'.length))
    return place === -1 ? null : { name, kind: 'url', read: input => input.path.split('/', place + 2)[place + 1] }
  }
  for (const [prefix, make] of families) {
    if (!name.startsWith(prefix) || name.length === prefix.length) continue
    const made = make(name.slice(prefix.length))
    return made === null ? null : { name, ...made }
  }
  return null
}

function unknown (name: string, segments: readonly (string | null)[]): TemplateResult {
  const own = segments.filter(segment => segment !== null).map(segment => `path.${segment}`)
  const known = [...own, ...Object.keys(readers), ...families.map(([prefix]) => `${prefix}NAME`)]
  return { ok: false, reason: `names {${name}}, which is not known here`, unknown: { name, known } }
}

const fieldContent = /^[\t\x20-\x7e\x80-\xff]*$/

/** As a field value; null when a part is missing or may not be in one. */
export function renderField (template: Template, input: TemplateInput): string | null {
  let text = ''
  for (const part of template.parts) {
    const value = typeof part === 'string' ? part : part.read(input)
    if (value === undefined || !fieldContent.test(value)) return null
    text += value
  }
  // White space around a value is no part of it (RFC 9110 5.5).
  return text.trim()
}

/** As the value of a query parameter, escaped so that it stays one; null when a part is missing. */
export function renderParameter (template: Template, input: TemplateInput): string | null {
  let text = ''
  for (const part of template.parts) {
    if (typeof part === 'string') {
      text += escapeText(octetsOf(part) ?? '')
      continue
    }
    const value = part.read(input)
    if (value === undefined) return null
    text += part.kind === 'url' ? escapeUrl(value) : escapeText(value)
  }
  return text
}

/** What a client wrote into its URL is escaped already, but for what would end the parameter. */
function escapeUrl (value: string): string {
  return value.replace(/[&+#;]|[^\x21-\x7e]/g, escapeOctet)
}

/** @param value one character per octet */
export function escapeText (value: string): string {
  return value.replace(/[^A-Za-z0-9._~-]/g, escapeOctet)
}

function escapeOctet (character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

/** Text as octets in UTF-8, one character each; nothing for no text. */
function octetsOf (text: unknown): string | undefined {
  return typeof text !== 'string' || text === '' ? undefined : Buffer.from(text, 'utf8').toString('latin1')
}

function claimOf (claims: Readonly<Record<string, unknown>> | undefined, name: string): string | undefined {
  const value = claims !== undefined && Object.hasOwn(claims, name) ? claims[name] : undefined
  if (Array.isArray(value)) return value.every(isScalar) ? octetsOf(value.join(',')) : undefined
  return isScalar(value) ? octetsOf(String(value)) : undefined
}

function isScalar (value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/** Node's request fields have a prototype, which is no field. */
function fieldOf (fields: FieldMap, name: string): string | undefined {
  return Object.hasOwn(fields, name) ? fieldValue(fields, name) : undefined
}

/** The first one: a browser sends the most specific one first (RFC 6265 5.4). */
function cookieOf (cookies: string | undefined, name: string): string | undefined {
  for (const pair of cookies?.split(';') ?? []) {
    const equals = pair.indexOf('=')
    if (equals !== -1 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
  }
  return undefined
}

/** The octets of the first parameter of a name, escaped as they came. */
function parameterOf (query: string, name: string): string | undefined {
  for (const text of query.slice(1).split('&')) {
    const equals = text.indexOf('=')
    if (parameterName(text) === name) return equals === -1 ? '' : text.slice(equals + 1)
  }
  return undefined
}

/** The decoded name of `name=value`; as it came where it cannot be decoded. */
export function parameterName (text: string): string {
  const equals = text.indexOf('=')
  const name = (equals === -1 ? text : text.slice(0, equals)).replaceAll('+', ' ')
  if (!name.includes('%')) return name
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
