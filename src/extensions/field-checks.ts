/** Holds what a filter did to fields against what a field may be. */
import type { FieldMap } from '../http/fields.ts'

/** Fields that say where a message ends, or belong to one connection (RFC 9110 7.6.1): only the proxy sets them. */
const framing: ReadonlySet<string> = new Set([
  'connection', 'content-length', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'
])
const fieldName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/

/** Throws for what no filter may set: a field of framing, a name that is none, a value that would end the line. */
export function checkField (name: string, value: unknown): void {
  if (!fieldName.test(name)) throw new TypeError(`${JSON.stringify(name.slice(0, 64))} is no field name in lower case`)
  if (framing.has(name)) throw new TypeError(`the field ${name} is the proxy's own to set`)
  // The value is not shown: it may be a secret.
  if (typeof value !== 'string' || !fieldValue.test(value)) throw new TypeError(`the value of ${name} is no field value`)
}

/** Throws where `after` has a change that no filter may make. */
export function checkChanges (before: FieldMap, after: FieldMap): void {
  for (const name of Object.keys(after)) {
    const [was, is] = [before[name], after[name]]
    if (is === undefined || isSame(was, is)) continue
    if (Array.isArray(is)) for (const one of is) checkField(name, one)
    else checkField(name, is)
  }
  for (const name of framing) if (before[name] !== undefined && after[name] === undefined) throw new TypeError(`the field ${name} is the proxy's own to set`)
}

function isSame (a: FieldMap[string], b: FieldMap[string]): boolean {
  if (typeof a === 'string' || typeof b === 'string' || a === undefined || b === undefined) return a === b
  return a.length === b.length && a.every((one, i) => one === b[i])
}
