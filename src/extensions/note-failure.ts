import type { FastifyRequest } from 'fastify'
import { lineId } from '../observe/line-id.ts'
import type { ExtensionFailure } from './extension.ts'

/** Logs and counts what went wrong in a filter that is not ours. */
export function noteExtensionFailure (request: FastifyRequest, failure: ExtensionFailure): void {
  const { extension, phase, code } = failure
  request.log.error({ ...lineId(request), code, extension, phase, route: request.forwarding?.routeName ?? '', err: failure.cause }, 'extension failed')
  request.server.filterRegistry.noteFailure(failure)
}
