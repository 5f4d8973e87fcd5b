import type { FastifyRequest } from 'fastify'

/**
 * What names the request in a line of its logger: nothing where that names it itself, as Fastify's do in an application. The
 * standalone process has one logger for all requests (src/server/listener.ts).
 */
export function lineId (request: FastifyRequest): { readonly reqId?: string } {
  return request.log === request.server.log ? { reqId: request.id } : {}
}
