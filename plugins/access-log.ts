/** One line per request, when its response is done or its client has left. */
import fp from 'fastify-plugin'
import { outcomeLabel } from '../src/cache/status.ts'
import { createAccessLog } from '../src/observe/access-record.ts'
import { cutCodeOf } from '../src/proxy/cut.ts'

export default fp(async function accessLog (app) {
  const write = createAccessLog(app.log)
  app.onRequestEnd((request, reply, { statusCode, aborted }) => {
    const { forwarding, cacheOutcome } = request
    const { raw } = reply
    const code = cutCodeOf(raw) ?? (aborted && request.errorCode === '' ? 'cancelled' : request.errorCode)
    const wasForwarded = forwarding !== null && forwarding.upstreamStartedAt > 0
    // All members in one literal: what is undefined is not written.
    write({
      reqId: request.id,
      method: request.method,
      path: forwarding?.target.path ?? '',
      route: forwarding?.routeName ?? '',
      status: statusCode,
      cache: outcomeLabel(cacheOutcome),
      client: forwarding?.clientAddress ?? request.raw.socket?.remoteAddress ?? '',
      http: request.raw.httpVersion,
      durationMs: rounded(reply.elapsedTime),
      bytes: bytesSent(raw),
      subject: forwarding?.identity?.subject,
      reason: cacheOutcome?.detail ?? undefined,
      upstream: wasForwarded ? forwarding.upstreamName : undefined,
      target: wasForwarded && forwarding.upstreamTarget !== '' ? forwarding.upstreamTarget : undefined,
      upstreamMs: wasForwarded ? rounded((forwarding.upstreamEndedAt || performance.now()) - forwarding.upstreamStartedAt) : undefined,
      code: code === '' ? undefined : code,
      aborted: aborted ? true : undefined
    })
  })
}, { name: 'access-log', fastify: '5.x', dependencies: ['request-end', 'request-context', 'cache'] })

function rounded (milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000
}

/** Content bytes as announced; of content without announced length Node does not tell, so 0 stands for unknown. */
function bytesSent (raw: { getHeader (name: string): unknown, _contentLength?: number | null }): number {
  if (typeof raw._contentLength === 'number') return raw._contentLength
  return Number(raw.getHeader('content-length') ?? 0) || 0
}
