/** Requests per client address and route, counted before any work is spent (`@fastify/rate-limit`). */
import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { RateLimitConfig } from '../src/config/schema.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes the filter of one route; its counters live as long as the filter. */
    createRouteRateLimit: (config: RateLimitConfig) => onRequestHookHandler
  }
}

type RateLimitHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/** What the limiter throws for a request over the limit; turned into our own 429 by the filter. */
class LimitExceeded extends Error {}

export default fp(async function rateLimitPlugin (app) {
  // In a context of its own: its decorators and `onRoute` hook must not meet those of the application around us.
  let create: ((options: Parameters<typeof app.rateLimit>[0]) => RateLimitHandler) | null = null
  await app.register(async inner => {
    await inner.register(rateLimit, { global: false })
    create = options => inner.rateLimit(options) as unknown as RateLimitHandler
  })

  app.decorate('createRouteRateLimit', (config: RateLimitConfig): onRequestHookHandler => {
    const limit = (create as NonNullable<typeof create>)({
      max: config.max,
      timeWindow: config.window,
      cache: config.clients,
      keyGenerator: (request: FastifyRequest) => clientKey(request.forwarding?.clientAddress ?? request.ip),
      errorResponseBuilder: () => new LimitExceeded()
    })
    return function countRequest (request, reply, done) {
      limit(request, reply).then(() => { done() }, (error: unknown) => {
        if (!(error instanceof LimitExceeded)) return done(error as Error)
        sendError(request, reply, 429, 'rate_limited')
      })
    }
  })
}, { name: 'rate-limit', fastify: '5.x', dependencies: ['errors'] })

/** One customer has a /64 of IPv6 addresses and would otherwise have as many counters (RFC 6177). */
export function clientKey (address: string): string {
  if (!address.includes(':')) return address
  if (address.startsWith('::ffff:') && address.includes('.')) return address.slice(7)
  const [head = '', tail] = address.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = tail === undefined ? left : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  return groups.slice(0, 4).join(':')
}
