/** Whether a response is stored (RFC 9111 section 3). */
import type { RouteCacheConfig } from '../config/schema.ts'
import type { CacheControl } from '../http/cache-control.ts'
import { parseEntityTag } from '../http/entity-tag.ts'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { parseContentRange, type ContentRange } from '../http/range.ts'
import { freshnessLifetime, isHeuristicallyCacheable, lastModifiedOf, overrideFor, type Lifetime } from './freshness.ts'
import type { ReasonWord } from './reasons.ts'
import { varyNames } from './vary.ts'

export interface StorableExchange {
  readonly method: string
  readonly requestFields: FieldMap
  readonly requestControl: CacheControl
  /** The request was let in by a credential, be it in `Authorization` or elsewhere. */
  readonly authenticated: boolean
  /** Whoever shares the key may have what is stored under it, whatever credentials let them in. */
  readonly common: boolean
  /** The key is that of one identity, and the route stores what is private to it. */
  readonly personal: boolean
  readonly hasContent: boolean
  /** A part was asked for, by the client or by the cache itself. */
  readonly ranged: boolean
  readonly statusCode: number
  /** End-to-end response fields. */
  readonly fields: FieldMap
  /** Directives in force. */
  readonly control: CacheControl
  /** They are those of a targeted field (RFC 9213). */
  readonly targeted: boolean
  /** `Content-Location` names the target URI itself. */
  readonly locatesTarget: boolean
  readonly rules: RouteCacheConfig
  /** Epoch milliseconds. */
  readonly receivedAt: number
}

export type StoringDecision =
  | { readonly store: true, readonly lifetime: Lifetime, readonly vary: readonly string[], readonly range: (ContentRange & { readonly totalBytes: number }) | null }
  | { readonly store: false, readonly reason: ReasonWord }

/**
 * Final status codes whose caching requirements are known here: all that RFC 9110 defines, but 304. Others are stored by
 * their explicit lifetime alone.
 */
const understood: ReadonlySet<number> = new Set([
  200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 305, 307, 308,
  400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426,
  500, 501, 502, 503, 504, 505
])

/** "Responses with this status code MUST NOT be stored by a cache" (RFC 6585), whatever they say of themselves. */
const neverStored: ReadonlySet<number> = new Set([428, 429, 431, 511])

const preconditions = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'] as const

/** Request fields that the proxy writes anew for each request: a response that varies by them fits nobody else. */
const generated: ReadonlySet<string> = new Set(['x-forwarded-for', 'x-forwarded-port', 'x-real-ip', 'forwarded', 'via', 'x-request-id', 'traceparent', 'tracestate'])

/**
 * Clauses are checked in the order of the RFC; the first one that forbids storing is the reason. Reads no clock, changes
 * nothing, never throws.
 */
export function decideStoring (exchange: StorableExchange): StoringDecision {
  const { method, statusCode, fields, control, rules } = exchange

  if (method !== 'GET' && method !== 'POST') return no('method')
  if (exchange.hasContent && method === 'GET') return no('request-content')
  if (statusCode < 200 || statusCode === 304 || neverStored.has(statusCode)) return no('status')
  if (answersConditionOnly(exchange)) return no('status')
  const range = statusCode === 206 ? storableRange(exchange) : null
  if (statusCode === 206 && range === null) return no('partial')
  if (control.mustUnderstand && !understood.has(statusCode)) return no('must-understand')
  if (rules.requestDirectives === 'honor' && exchange.requestControl.noStore) return no('request-no-store')
  // 5.2.2.3: a cache that knows the status code ignores the no-store beside must-understand.
  if (control.noStore && !control.mustUnderstand) return no('no-store')
  if (control.malformed) return no('malformed')
  if (control.private === true && !exchange.personal) return no('private')

  if (!mayBeShared(exchange.requestFields, exchange, control)) return no('authorization')

  const vary = varyNames(fields)
  if (vary === '*') return no('vary-star')
  if (vary.some(name => generated.has(name))) return no('vary-generated')
  // Where the origin server itself limits the field to one user, what is stored does not have it.
  const limited = names(control.private, 'set-cookie') || names(control.noCache, 'set-cookie')
  if (fields['set-cookie'] !== undefined && rules.setCookie === 'bypass' && !limited) return no('set-cookie')

  const lifetime = freshnessLifetime(exchange)
  const explicit = lifetime.source === 's-maxage' || lifetime.source === 'max-age' || lifetime.source === 'expires' || lifetime.source === 'rule'
  // RFC 9110 9.3.3: of POST only with an explicit lifetime, and for a GET of the URI that the content is a representation of.
  if (method === 'POST' && !(explicit && exchange.locatesTarget && statusCode < 400 && statusCode !== 206)) return no('method')
  if (!explicit && !control.public && !isHeuristicallyCacheable(statusCode)) return no('no-lifetime')

  // What can neither be used nor validated later is not worth its room.
  const hasValidator = parseEntityTag(fieldValue(fields, 'etag')) !== null || lastModifiedOf(fields, exchange.receivedAt) !== null
  const usableStale = (control.staleIfError ?? rules.staleIfError) > 0 || (control.staleWhileRevalidate ?? rules.staleWhileRevalidate) > 0
  const noCache = control.noCache === true && overrideFor(rules, statusCode)?.ignoreOrigin !== true
  if (!hasValidator && (noCache || (lifetime.seconds <= 0 && !usableStale))) return no('no-lifetime')

  return { store: true, lifetime, vary, range }
}

/** 3.5: what an authenticated request got is only for others where one of these directives permits it. */
export function mayBeShared (requestFields: FieldMap, { authenticated, common }: Pick<StorableExchange, 'authenticated' | 'common'>, control: CacheControl): boolean {
  if (common || (!authenticated && requestFields['authorization'] === undefined)) return true
  return control.public || control.mustRevalidate || control.sMaxage !== undefined
}

/** The one part that a 206 transfers, when it says which of how many bytes that is (3.3). Several parts in one message are not taken apart. */
function storableRange ({ method, ranged, fields, rules }: StorableExchange): (ContentRange & { readonly totalBytes: number }) | null {
  if (!rules.partial || method !== 'GET' || !ranged) return null
  const range = parseContentRange(fields['content-range'])
  if (range === null || range.totalBytes === null || /^multipart\/byteranges/i.test(fieldValue(fields, 'content-type') ?? '')) return null
  const length = fieldValue(fields, 'content-length')
  if (length !== undefined && Number(length) !== range.end - range.start + 1) return null
  return { ...range, totalBytes: range.totalBytes }
}

/** A 412 or 416 is about the precondition or range of its own request and says nothing to others (RFC 9110 15.5.13, 15.5.17). */
function answersConditionOnly ({ statusCode, requestFields, ranged }: StorableExchange): boolean {
  if (statusCode === 412) return preconditions.some(name => requestFields[name] !== undefined)
  return statusCode === 416 && ranged
}

function names (directive: boolean | readonly string[], field: string): boolean {
  return typeof directive === 'object' && directive.includes(field)
}

function no (reason: ReasonWord): StoringDecision {
  return { store: false, reason }
}
