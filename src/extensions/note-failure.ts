import type { FastifyRequest } from 'fastify'
import type { ExtensionFailure } from './extension.ts'

/** Logs and counts what went wrong in a filter that is not ours. */
export function noteExtensionFailure (request: FastifyRequest, failure: ExtensionFailure): void {
  const { extension, phase, code } = failure
  request.log.error({ reqId: request.id, code, extension, phase, route: request.forwarding?.routeName ?? '', err: failure.cause }, 'extension failed')
  request.server.filterRegistry.noteFailure(failure)
}
