/** Fields that end at this hop (RFC 9110 section 7.6.1), in both directions. */
import { fieldValue, noFields, type FieldMap, type MutableFieldMap } from '../http/fields.ts'

const hopByHop: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings',
  'proxy-authenticate', 'proxy-authorization', 'proxy-authentication-info'
])

/** Fields that a `Connection` field cannot take away, because the message would mean something else without them. */
const essential: ReadonlySet<string> = new Set([
  'host', 'content-length', 'content-type', 'content-encoding', 'content-range', 'cache-control', 'set-cookie', 'vary', 'date', 'age', 'expires', 'etag'
])

/** What `Connection` says of the connection itself. */
const aboutConnection = /^(?:keep-alive|close)$/i

/** Whether a field is for this connection only; `nominated` are the names in `Connection`. */
export function isHopByHop (name: string, nominated: ReadonlySet<string> | null): boolean {
  return hopByHop.has(name) || (nominated !== null && nominated.has(name))
}

/**
 * Names that `Connection` nominates, or null. Ones that no sender may nominate are left out: "a sender MUST NOT send a
 * connection option corresponding to a field that is intended for all recipients of the content", Cache-Control above all.
 */
export function nominatedFields (fields: FieldMap): ReadonlySet<string> | null {
  const value = fieldValue(fields, 'connection')
  if (value === undefined || aboutConnection.test(value)) return null
  const names = new Set<string>()
  for (const member of value.split(',')) {
    const name = member.trim().toLowerCase()
    if (name !== '' && !essential.has(name)) names.add(name)
  }
  return names
}

/**
 * The fields of a request without those that its client says are for this connection alone: the upstream does not get them, so a
 * response is not selected by them, whatever its `Vary` says. The very ones given where there are none.
 * @param kept names of fields that filters have set: those are not the client's to take away
 */
export function withoutNominated (all: FieldMap, kept: ReadonlySet<string> | null): FieldMap {
  const nominated = nominatedFields(all)
  if (nominated === null) return all
  const rest = noFields()
  for (const name of Object.keys(all)) {
    if (name !== 'connection' && (!nominated.has(name) || kept?.has(name) === true)) rest[name] = all[name] as string | string[]
  }
  return rest
}

/** The end-to-end fields of those received: the same map, or a new one where there are others. */
export function endToEndFields (all: MutableFieldMap): MutableFieldMap {
  const nominated = nominatedFields(all)
  let hasOthers = false
  for (const name in all) if (isHopByHop(name, nominated)) hasOthers = true
  if (!hasOthers) return all
  // A map from which fields are deleted is slow from then on.
  const kept = noFields()
  for (const name in all) if (!isHopByHop(name, nominated)) kept[name] = all[name]
  return kept
}
