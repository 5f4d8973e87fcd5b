/** The fields of a request as they go to the upstream. */
import { noFields, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { RequestTarget } from '../http/target.ts'
import { setForwardedFields } from './forwarded.ts'
import { isHopByHop, nominatedFields } from './hop-by-hop.ts'
import { appendVia } from './via.ts'

export interface RequestFieldsInput {
  /** As Node presents them to the filters, and as the route's rules change them: what a filter saw is what the origin server sees. */
  readonly fields: FieldMap
  readonly target: RequestTarget
  readonly httpVersion: string
  readonly peer: string
  readonly peerTrusted: boolean
  readonly pseudonym: string
  readonly requestId: string
  readonly hasContent: boolean
  /** Names of fields that own filters set or removed. `fields` has them as they are to be sent: a client must not take them away by `Connection`. */
  readonly ownFields: ReadonlySet<string> | null
  /** Replaces the client's preconditions when the cache validates. */
  readonly conditional: FieldMap | null
}

/** Not forwarded: answered here (`expect`), or written by the dispatcher for the chosen target (`host`). */
const ownBusiness: ReadonlySet<string> = new Set(['host', 'expect'])

/** `If-Range` stays with the `Range` it belongs to. */
const preconditions: ReadonlySet<string> = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'])

export function buildRequestFields (input: RequestFieldsInput): MutableFieldMap {
  const { fields, conditional } = input
  const nominated = nominatedFields(fields)
  const built = noFields()

  for (const name of Object.keys(fields)) {
    if (name.charCodeAt(0) === 0x3a || ownBusiness.has(name) || isHopByHop(name, nominated)) continue
    if (conditional !== null && preconditions.has(name)) continue
    built[name] = fields[name] as string | string[]
  }
  // Of a request without content an announced length of 0 stays; anything else would announce content that never comes.
  if (!input.hasContent && built['content-length'] !== undefined && built['content-length'] !== '0') delete built['content-length']

  setForwardedFields(built, { peer: input.peer, trusted: input.peerTrusted, authority: input.target.authority, scheme: input.target.scheme })
  appendVia(built, input.httpVersion, input.pseudonym)
  built['x-request-id'] = input.requestId
  for (const name of input.ownFields ?? []) {
    const value = fields[name]
    if (value === undefined) delete built[name]
    else built[name] = value as string | string[]
  }
  if (conditional !== null) Object.assign(built, conditional)
  return built
}
