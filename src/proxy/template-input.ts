/** What values with names in braces are made from, of one request. */
import type { TemplateInput } from '../forward/template.ts'
import type { FieldMap } from '../http/fields.ts'
import type { Forwarding } from './forwarding.ts'

interface AskedRequest { readonly id: string, readonly method: string, readonly headers: FieldMap }

export function templateInput ({ id, method, headers }: AskedRequest, { target, prefix, clientAddress, identity }: Forwarding): TemplateInput {
  return {
    scheme: target.scheme,
    host: target.host,
    path: target.path.slice(prefix.length) || '/',
    query: target.query,
    clientAddress,
    requestId: id,
    method,
    fields: headers,
    identity
  }
}
