/** Whether the process is alive, and whether it should be sent traffic. */
import type { FastifyInstance } from 'fastify'
import { HealthSchema } from '../src/admin/schemas.ts'

export interface HealthRoutesOptions {
  /** Reasons not to send traffic; none means ready. */
  readonly reasonsNotReady: () => readonly string[]
}

export default async function healthRoutes (app: FastifyInstance, options: HealthRoutesOptions): Promise<void> {
  app.get('/health/live', { config: { doc: { summary: 'Whether the process runs', answer: HealthSchema, open: true } } }, (_request, reply) => { reply.send({ status: 'live' }) })

  app.get('/health/ready', { config: { doc: { summary: 'Whether it should be sent traffic; 503 with reasons when not', answer: HealthSchema, alike: { 503: 'It should not, for the reasons named.' }, open: true } } }, (_request, reply) => {
    const reasons = options.reasonsNotReady()
    if (reasons.length === 0) reply.send({ status: 'ready' })
    else reply.code(503).send({ status: 'not ready', reasons })
  })
}
