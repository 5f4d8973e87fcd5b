/** Refuses requests whose end could be read in two ways, that say more than allowed, or expect what nobody promised. */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sendError } from './errors.ts'

export interface MessageChecksOptions {
  /** Field lines in a request. */
  readonly maxFields: number
}

/** `:method`, `:scheme`, `:authority` and `:path` of HTTP/2 stand among the fields. */
const pseudoFields = 4

export default fp<MessageChecksOptions>(async function messageChecks (app, { maxFields }) {
  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    const isHttp1 = raw.httpVersionMajor === 1
    const coding = raw.headers['transfer-encoding']
    if (isHttp1 && coding !== undefined) {
      // RFC 9112 6.1: Transfer-Encoding in HTTP/1.0 cannot be relied on. 6.3: neither can one that does not end in `chunked`.
      if (raw.httpVersionMinor === 0 || !/(?:^|,)[ \t]*chunked$/i.test(coding)) return refuse(request, reply, 400, 'bad_request')
      // RFC 9112 6.1: a transfer coding that is not understood.
      if (coding.toLowerCase() !== 'chunked') return refuse(request, reply, 501, 'coding_not_supported')
    }
    if (raw.rawHeaders.length / 2 > (isHttp1 ? maxFields : maxFields + pseudoFields)) return refuse(request, reply, 431, 'too_many_fields')
    // RFC 9110 10.1.1; an HTTP/1.0 client cannot expect anything.
    const { expect } = raw.headers
    if (expect !== undefined && raw.httpVersion !== '1.0' && expect.toLowerCase() !== '100-continue') return refuse(request, reply, 417, 'expectation_failed')
    done()
  })
}, { name: 'message-checks', fastify: '5.x', dependencies: ['errors', 'request-end'] })

/** The connection ends with the answer: what follows on it may be taken for something else than the client meant. */
function refuse (request: FastifyRequest, reply: FastifyReply, statusCode: number, code: string): void {
  if (request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
  reply.header('x-request-id', request.id)
  sendError(request, reply, statusCode, code)
}
