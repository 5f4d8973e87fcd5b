/**
 * The request target, normalised once (RFC 9112 section 3.2, RFC 3986 section 6.2.2). Routing, filters, cache key and
 * upstream all use what comes out of here. What cannot be normalised without guessing is refused.
 */
import { parseAuthority } from './authority.ts'

export interface RequestTarget {
  readonly form: 'origin' | 'absolute' | 'asterisk'
  /** As the client sees it. */
  readonly scheme: 'http' | 'https'
  /** Lower case, without the default port: `example.com`, `example.com:8080`, `[::1]:81`; empty for HTTP/1.0 without Host. */
  readonly authority: string
  /** The authority without its port. */
  readonly host: string
  /** Normalised; `*` for the asterisk form. */
  readonly path: string
  /** Empty, or `?` and the octets as received. */
  readonly query: string
}

export type TargetRefusal =
  | 'missing-host' | 'duplicate-host' | 'bad-host'
  | 'authority-form' | 'bad-form' | 'bad-scheme' | 'userinfo'
  | 'fragment' | 'control-character' | 'backslash' | 'bad-escape' | 'null-byte' | 'above-root' | 'encoded-dot-segment'

export type TargetDecision =
  | { readonly ok: true, readonly target: RequestTarget }
  | { readonly ok: false, readonly reason: TargetRefusal }

export interface TargetInput {
  readonly method: string
  /** As received, one character per octet. */
  readonly target: string
  /** Every `Host` line, or `:authority`. */
  readonly hostLines: readonly string[]
  readonly httpVersion: '1.0' | '1.1' | '2.0'
  /** Scheme of the connection. */
  readonly scheme: 'http' | 'https'
  readonly mergeSlashes: boolean
}

export function normaliseTarget (input: TargetInput): TargetDecision {
  const { method, hostLines, scheme } = input
  let { target } = input

  // 3.2: exactly one, also beside an absolute-form; HTTP/1.0 did not know it yet.
  if (hostLines.length > 1) return refused('duplicate-host')
  if (hostLines.length === 0 && input.httpVersion !== '1.0') return refused('missing-host')
  let authority = parseAuthority(hostLines[0] ?? '', scheme)
  if (authority === null || (authority.authority === '' && input.httpVersion !== '1.0')) return refused('bad-host')
  if (method === 'CONNECT') return refused('authority-form')

  let form: RequestTarget['form'] = 'origin'
  if (target === '*') {
    if (method !== 'OPTIONS') return refused('bad-form')
    form = 'asterisk'
  } else if (target[0] !== '/') {
    const absolute = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/is.exec(target)
    if (absolute === null) return refused('bad-form')
    const [, givenScheme = '', givenAuthority = '', rest = ''] = absolute
    if (!/^https?$/i.test(givenScheme)) return refused('bad-scheme')
    if (givenAuthority.includes('@')) return refused('userinfo')
    // 3.2.2: the authority of the target replaces Host. The connection alone says what its scheme is.
    authority = parseAuthority(givenAuthority, givenScheme.toLowerCase() === 'https' ? 'https' : 'http')
    if (authority === null || authority.authority === '') return refused('bad-host')
    form = 'absolute'
    target = rest === '' ? '/' : rest[0] === '?' ? `/${rest}` : rest
    // 3.2.4: OPTIONS for a whole server, in absolute-form.
    if (method === 'OPTIONS' && rest === '') form = 'asterisk'
  }
  if (form === 'asterisk') return { ok: true, target: { form, scheme, ...authority, path: '*', query: '' } }

  const unsafe = firstUnsafe(target)
  if (unsafe !== null) return refused(unsafe)
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  const query = mark === -1 ? '' : target.slice(mark)

  const normalised = plainPath.test(path) ? path : normalisePath(path, input.mergeSlashes)
  if (typeof normalised === 'object') return normalised
  return { ok: true, target: { form, scheme, ...authority, path: normalised, query } }
}

function refused (reason: TargetRefusal): { readonly ok: false, readonly reason: TargetRefusal } {
  return { ok: false, reason }
}

/** Nothing in it that normalising could change: no escape, no dot at the start of a segment, no empty segment but the last. */
const plain = String.raw`\/(?:[!$&'()*+,;=:@\w~-][!$&'()*+,;=:@\w.~-]*(?:\/[!$&'()*+,;=:@\w~-][!$&'()*+,;=:@\w.~-]*)*\/?)?`
const plainPath = new RegExp(`^${plain}$`)
/** With any octets in the query that may be there. */
const plainTarget = new RegExp(String.raw`^${plain}(?:\?[\x21\x22\x24-\x7e\x80-\xff]*)?$`)

/** Whether a target is in origin-form, and the path and query in it are what normalising would give. */
export function isPlainTarget (target: string): boolean {
  return plainTarget.test(target)
}

/** Octets that no target may have, anywhere (RFC 9112 3.2: no white space; a fragment is never sent). */
function firstUnsafe (target: string): TargetRefusal | null {
  for (let i = 0; i < target.length; i++) {
    const octet = target.charCodeAt(i)
    if (octet <= 0x20 || octet === 0x7f || octet > 0xff) return 'control-character'
    if (octet === 0x23) return 'fragment'
  }
  return null
}

const unreserved = /[A-Za-z0-9._~-]/

function normalisePath (received: string, mergeSlashes: boolean): string | { readonly ok: false, readonly reason: TargetRefusal } {
  if (received.includes('\\')) return refused('backslash')

  // 6.2.2.1 and 6.2.2.2: escapes in upper case, those of unreserved characters decoded; other octets above ASCII escaped.
  let path = ''
  for (let i = 0; i < received.length; i++) {
    const character = received[i] as string
    const octet = received.charCodeAt(i)
    if (octet >= 0x80) {
      path += `%${octet.toString(16).toUpperCase()}`
    } else if (character !== '%') {
      path += character
    } else {
      const hex = received.slice(i + 1, i + 3)
      if (!/^[0-9a-f]{2}$/i.test(hex)) return refused('bad-escape')
      const decoded = Number.parseInt(hex, 16)
      if (decoded === 0) return refused('null-byte')
      const decodedCharacter = String.fromCharCode(decoded)
      path += unreserved.test(decodedCharacter) ? decodedCharacter : `%${hex.toUpperCase()}`
      i += 2
    }
  }

  if (mergeSlashes) path = path.replace(/\/{2,}/g, '/')

  // RFC 3986 5.2.4, except that going above the root is refused.
  const kept: string[] = []
  const segments = path.split('/')
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i] as string
    const last = i === segments.length - 1
    if (segment === '.' || segment === '..') {
      if (segment === '..' && kept.pop() === undefined) return refused('above-root')
      if (last) kept.push('')
    } else if (hidesDotSegment(segment)) {
      return refused('encoded-dot-segment')
    } else {
      kept.push(segment)
    }
  }
  return `/${kept.join('/')}`
}

/** An origin server that takes an escaped slash for a slash would see a dot segment here, and leave the route's prefix. */
function hidesDotSegment (segment: string): boolean {
  if (!segment.includes('%2F') && !segment.includes('%5C')) return false
  return segment.split(/%2F|%5C/).some(part => part === '.' || part === '..')
}
