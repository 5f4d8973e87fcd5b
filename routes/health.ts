/** Whether the process is alive, and whether it should be sent traffic. */
import type { FastifyInstance } from 'fastify'

export interface HealthRoutesOptions {
  /** Reasons not to send traffic; none means ready. */
  readonly reasonsNotReady: () => readonly string[]
}

export default async function healthRoutes (app: FastifyInstance, options: HealthRoutesOptions): Promise<void> {
  app.get('/health/live', (_request, reply) => { reply.send({ status: 'live' }) })

  app.get('/health/ready', (_request, reply) => {
    const reasons = options.reasonsNotReady()
    if (reasons.length === 0) reply.send({ status: 'ready' })
    else reply.code(503).send({ status: 'not ready', reasons })
  })
}
