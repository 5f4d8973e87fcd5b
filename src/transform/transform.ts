/** Own transformations of content: what an application or an extension registers, and a route then names. */
import type { FieldMap } from '../http/fields.ts'
import type { Forwarding } from '../proxy/forwarding.ts'

/** What may decide on a transformation before storing: no more than what a stored response is found by. */
export interface TransformTarget {
  readonly route: string
  readonly scheme: string
  readonly authority: string
  /** As sent upstream. */
  readonly path: string
  readonly query: string
}

export interface ResponseHead {
  readonly statusCode: number
  /** End-to-end fields, by lower-case name. */
  readonly fields: FieldMap
  readonly target: TransformTarget
  /** Who asks, and more; null before storing, where a response is made for everybody. */
  readonly forwarding: Forwarding | null
}

export interface RequestHead {
  readonly method: string
  readonly fields: FieldMap
  readonly target: TransformTarget
  readonly forwarding: Forwarding
}

/** Text is encoded as UTF-8. */
export type Content = Buffer | string

/** In pieces, as they come. The iterable ends early, or throws, where the sender breaks off: let it throw. */
export interface StreamedContent<Head> {
  readonly stream: (content: AsyncIterable<Buffer>, head: Head) => AsyncIterable<Content>
}

/** All at once, up to a bound. */
export interface WholeContent<Head> {
  readonly whole: (content: Buffer, head: Head) => Content | Promise<Content>
  /** Bytes. */
  readonly maxBytes: number
}

interface Named {
  /** Letters, digits, dashes and underscores, at most 64: in the route's list, in logs, and in entity tags. */
  readonly name: string
  /** To be changed when the same content would be transformed to something else from now on. The same characters. */
  readonly version?: string
}

export type ResponseTransform = Named & {
  /** Once per stored response, so that hits cost nothing; or for each response, hits included. */
  readonly moment: 'beforeStoring' | 'beforeSending'
  /** Whether this response is transformed. Also asked of the head alone (HEAD), and of parts, which then are asked for in full. */
  readonly when: (head: ResponseHead) => boolean
  /** Fields to be set, or removed where null. What says how the content is framed, coded or identified is not to be set. */
  readonly fields?: (head: ResponseHead) => Readonly<Record<string, string | null>>
} & (StreamedContent<ResponseHead> | WholeContent<ResponseHead> & {
  /** What becomes of larger content: it passes unchanged, or the response is a 502. Default is `fail`. */
  readonly aboveMax?: 'pass' | 'fail'
})

/** Content above `maxBytes` is 413. */
export type RequestTransform = Named & {
  readonly when: (head: RequestHead) => boolean
  readonly fields?: (head: RequestHead) => Readonly<Record<string, string | null>>
} & (StreamedContent<RequestHead> | WholeContent<RequestHead>)

/** A registered transformation, and how long it may keep its content waiting, in milliseconds; 0 for no limit. */
export interface Registered<T extends ResponseTransform | RequestTransform> {
  readonly transform: T
  readonly timeoutMs: number
}

export type TransformErrorCode = 'transform_failed' | 'transform_timeout' | 'transform_too_large' | 'transform_busy'

/** A transformation did not work out. The cause is for the log. */
export class TransformError extends Error {
  readonly code: TransformErrorCode
  readonly transform: string

  constructor (code: TransformErrorCode, transform: string, cause?: unknown) {
    super(code, cause === undefined ? {} : { cause })
    this.name = 'TransformError'
    this.code = code
    this.transform = transform
  }
}

const token = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** @throws TypeError for what cannot be a transformation */
export function checkTransform (transform: ResponseTransform | RequestTransform): void {
  const { name, version, when, fields } = transform
  const refuse = (rule: string): never => { throw new TypeError(`transform ${JSON.stringify(name)}: ${rule}`) }
  if (typeof name !== 'string' || !token.test(name)) refuse('name must be 1 to 64 letters, digits, dashes or underscores')
  if (version !== undefined && !token.test(version)) refuse('version must be 1 to 64 letters, digits, dashes or underscores')
  if (typeof when !== 'function') refuse('when must be a function')
  if (fields !== undefined && typeof fields !== 'function') refuse('fields must be a function')
  const whole = 'whole' in transform
  if (whole === 'stream' in transform) refuse('must have either stream or whole')
  if (whole && !(Number.isSafeInteger(transform.maxBytes) && transform.maxBytes > 0)) refuse('maxBytes must be a whole number above 0')
  if ('moment' in transform && transform.moment !== 'beforeStoring' && transform.moment !== 'beforeSending') refuse('moment must be beforeStoring or beforeSending')
}

/** As in entity tags. */
export function idOf ({ name, version }: Pick<ResponseTransform, 'name' | 'version'>): string {
  return version === undefined ? name : `${name}@${version}`
}

/** Fields by which a message would lie about its content, or that belong to a connection. */
const ownBusiness: ReadonlySet<string> = new Set([
  'connection', 'content-encoding', 'content-length', 'content-range', 'date', 'etag', 'expect', 'host', 'keep-alive', 'last-modified',
  'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'accept-ranges', 'content-md5', 'digest', 'content-digest', 'repr-digest'
])
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** @throws TypeError for fields that a transformation may not set, or that are none */
export function applyFields (fields: Record<string, string | string[] | undefined>, changes: Readonly<Record<string, string | null>>): void {
  for (const [written, value] of Object.entries(changes)) {
    const name = written.toLowerCase()
    if (ownBusiness.has(name)) throw new TypeError(`the field ${name} is the proxy's own to set`)
    if (!fieldName.test(name) || (value !== null && (typeof value !== 'string' || !fieldValue.test(value)))) throw new TypeError(`not a field: ${written}`)
    if (value === null) delete fields[name]
    else fields[name] = value
  }
}
