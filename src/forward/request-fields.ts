/** The fields of a request as they go to the upstream. */
import type { RewriteConfig } from '../config/schema.ts'
import type { FieldMap, MutableFieldMap } from '../http/fields.ts'
import type { RequestTarget } from '../http/target.ts'
import { setForwardedFields } from './forwarded.ts'
import { isHopByHop, nominatedFields } from './hop-by-hop.ts'
import { appendVia } from './via.ts'

export interface RequestFieldsInput {
  /** As Node presents them to the filters: what a filter saw is what the origin server sees. */
  readonly fields: FieldMap
  readonly target: RequestTarget
  readonly httpVersion: string
  readonly peer: string
  readonly peerTrusted: boolean
  readonly pseudonym: string
  readonly requestId: string
  readonly hasContent: boolean
  /** What tells the upstream who asks. */
  readonly identity: FieldMap | null
  readonly rewrite: Pick<RewriteConfig, 'setFields' | 'removeFields'>
  /** Replaces the client's preconditions when the cache validates. */
  readonly conditional: FieldMap | null
}

/** Not forwarded: answered here (`expect`), or written by the dispatcher for the chosen target (`host`). */
const ownBusiness: ReadonlySet<string> = new Set(['host', 'expect'])

/** `If-Range` stays with the `Range` it belongs to. */
const preconditions: ReadonlySet<string> = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'])

export function buildRequestFields (input: RequestFieldsInput): MutableFieldMap {
  const { fields, rewrite, conditional } = input
  const nominated = nominatedFields(fields)
  const built: MutableFieldMap = Object.create(null)

  for (const name of Object.keys(fields)) {
    if (name.charCodeAt(0) === 0x3a || ownBusiness.has(name) || isHopByHop(name, nominated)) continue
    if (conditional !== null && preconditions.has(name)) continue
    built[name] = fields[name] as string | string[]
  }
  // Said by us: a client cannot take it away by naming it in `Connection`.
  if (input.identity !== null) Object.assign(built, input.identity)
  // Of a request without content an announced length of 0 stays; anything else would announce content that never comes.
  if (!input.hasContent && built['content-length'] !== undefined && built['content-length'] !== '0') delete built['content-length']

  setForwardedFields(built, { peer: input.peer, trusted: input.peerTrusted, authority: input.target.authority, scheme: input.target.scheme })
  appendVia(built, input.httpVersion, input.pseudonym)
  built['x-request-id'] = input.requestId
  if (conditional !== null) Object.assign(built, conditional)
  for (const name of rewrite.removeFields) delete built[name.toLowerCase()]
  for (const [name, value] of Object.entries(rewrite.setFields)) built[name.toLowerCase()] = value
  return built
}
