/**
 * One line per request, when its response is done or its client has left. Only what is named here is written: no fields of the request, whose
 * values may be secrets, and no query, for the same reason.
 */
import fp from 'fastify-plugin'
import { outcomeLabel } from '../src/cache/status.ts'
import { cutCodeOf } from '../src/proxy/cut.ts'

export default fp(async function accessLog (app) {
  app.onRequestEnd((request, reply, { statusCode, aborted }) => {
    const { forwarding, cacheOutcome } = request
    const { raw } = reply
    const line: Record<string, unknown> = {
      reqId: request.id,
      method: request.method,
      path: forwarding?.target.path ?? '',
      route: forwarding?.routeName ?? '',
      status: statusCode,
      cache: outcomeLabel(cacheOutcome),
      client: forwarding?.clientAddress ?? request.raw.socket?.remoteAddress ?? '',
      http: request.raw.httpVersion,
      durationMs: Math.round(reply.elapsedTime * 1000) / 1000,
      bytes: bytesSent(raw)
    }
    if (forwarding?.identity != null) line['subject'] = forwarding.identity.subject
    if (cacheOutcome?.detail != null) line['reason'] = cacheOutcome.detail
    if (forwarding !== null && forwarding.upstreamStartedAt > 0) {
      line['upstream'] = forwarding.upstreamName
      line['target'] = forwarding.upstreamTarget
      line['upstreamMs'] = Math.round(((forwarding.upstreamEndedAt || performance.now()) - forwarding.upstreamStartedAt) * 1000) / 1000
    }
    const code = cutCodeOf(raw) ?? (aborted && request.errorCode === '' ? 'cancelled' : request.errorCode)
    if (code !== '') line['code'] = code
    if (aborted) line['aborted'] = true
    request.log.info(line, 'request')
  })
}, { name: 'access-log', fastify: '5.x', dependencies: ['request-end', 'request-context', 'cache'] })

/** Content bytes as announced; of content without announced length Node does not tell, so 0 stands for unknown. */
function bytesSent (raw: { getHeader (name: string): unknown, _contentLength?: number | null }): number {
  if (typeof raw._contentLength === 'number') return raw._contentLength
  return Number(raw.getHeader('content-length') ?? 0) || 0
}
