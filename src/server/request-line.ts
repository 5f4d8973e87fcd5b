/** What is wrong with a request whose first line the parser of `node:http` gives up, from the octets that it had. */

/** As the parser says it: the octets read last, and how many of them it took. */
export interface ParserError extends NodeJS.ErrnoException {
  readonly rawPacket?: Buffer
  readonly bytesParsed?: number
}

const lf = 0x0a
const requestLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) \S+ HTTP\/1\.[01]\r?$/

/** The method is one that is not known, in a line that is otherwise as it should be. */
export function hasOddMethod (error: ParserError): boolean {
  return error.code === 'HPE_INVALID_METHOD' && requestLine.test(lineOf(error))
}

/**
 * The octets allowed for a head were used up by the request target. Of a line that came in many pieces neither end may be here:
 * then nobody can tell, and it is taken for a field.
 * @param bytesRead on the whole connection, as it is sent
 */
export function hasLongTarget (error: ParserError, bytesRead: number): boolean {
  if (error.code !== 'HPE_HEADER_OVERFLOW') return false
  const { rawPacket, bytesParsed = 0 } = error
  const isFirstLine = rawPacket !== undefined && rawPacket.length === bytesRead && !rawPacket.subarray(0, bytesParsed).includes(lf)
  return isFirstLine || / HTTP\/1\.[01]\r?$/.test(lineOf(error))
}

/** The line in which the parser gave up, as far as it is here. */
function lineOf ({ rawPacket = Buffer.alloc(0), bytesParsed = 0 }: ParserError): string {
  const start = bytesParsed === 0 ? 0 : rawPacket.lastIndexOf(lf, bytesParsed - 1) + 1
  const end = rawPacket.indexOf(lf, bytesParsed)
  return rawPacket.toString('latin1', start, end === -1 ? rawPacket.length : end)
}
