/** Interim responses: a proxy MUST forward those it did not ask for, as they come (RFC 9110 15.2). */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import type { FieldMap, MutableFieldMap } from '../http/fields.ts'
import { endToEndFields } from './hop-by-hop.ts'
import { linesOf } from './response-fields.ts'

/** What of an interim response goes on to the client. @param received one character per octet; they are changed */
export function interimFields (received: MutableFieldMap, removed: readonly string[]): FieldMap {
  const fields = endToEndFields(received)
  // It has no content (RFC 9110 8.6).
  delete fields['content-length']
  for (const name of removed) delete fields[name.toLowerCase()]
  return fields
}

/** Interim responses of one that waits for others are kept up to this number: they are not worth more memory. */
const maxWaiting = 8

/** Writes an interim response before the final one. Node's own methods know only some of them, and only some fields. */
export function writeInterim (response: ServerResponse | Http2ServerResponse, statusCode: number, fields: FieldMap): void {
  if ('stream' in response) {
    response.stream.additionalHeaders({ ...fields, ':status': statusCode } as never)
    return
  }
  const lines = linesOf(fields)
  let head = `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}\r\n`
  for (let i = 0; i + 1 < lines.length; i += 2) head += `${lines[i]}: ${lines[i + 1]}\r\n`
  // What Node's own methods use.
  inTurn(response, () => { (response as unknown as { _writeRaw (octets: string, encoding: string): void })._writeRaw(`${head}\r\n`, 'latin1') })
}

/** Asks for the content of a request that waits to be asked (RFC 9110 10.1.1). */
export function writeContinue (response: ServerResponse): void {
  inTurn(response, () => { response.writeContinue() })
}

/**
 * Of a response that waits for those to earlier requests of its connection Node keeps what is written, and puts its head in
 * front of all of that: an interim response would be taken for content. So it waits here, and is left out when the head is there first.
 */
function inTurn (response: ServerResponse, write: () => void): void {
  if (response.socket !== null) return write()
  if (response.listenerCount('socket') < maxWaiting) response.once('socket', () => { if (!response.headersSent) write() })
}
