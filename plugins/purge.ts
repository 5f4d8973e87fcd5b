/** The method `PURGE`, for those whom a route allows it: purges what is stored for the target, in place of forwarding. */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify'
import { RequestError } from '../src/admin/request-error.ts'
import type { HoldfastControl } from '../src/control.ts'
import { lineId } from '../src/observe/line-id.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** preHandler: carries out a PURGE where the route has one. */
    answerPurge: preHandlerHookHandler
  }
}

export interface PurgePluginOptions { readonly purge: HoldfastControl['purge'] }

export default fp<PurgePluginOptions>(async function purge (app, options) {
  app.decorate('answerPurge', (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const forwarding = request.forwarding as Forwarding
    if (request.method !== 'PURGE' || forwarding.route.mayPurge === null) return done()
    answer(request, reply, forwarding).catch((error: unknown) => { request.log.error({ err: error, ...lineId(request) }, 'answering a purge failed') })
  })

  async function answer (request: FastifyRequest, reply: FastifyReply, { route, target, clientAddress, hasContent }: Forwarding): Promise<void> {
    if (route.config.purge?.allow.length === 0) {
      reply.header('allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
      return sendError(request, reply, 405, 'purge_off')
    }
    if (route.mayPurge?.isTrusted(clientAddress) !== true) return sendError(request, reply, 403, 'purge_not_allowed')
    if (hasContent) return sendError(request, reply, 400, 'bad_purge', 'PURGE has no content.')
    const mode = request.headers['x-purge-mode'] ?? 'hard'
    if (mode !== 'hard' && mode !== 'soft') return sendError(request, reply, 400, 'bad_purge', 'X-Purge-Mode is hard or soft.')
    if (target.authority === '') return sendError(request, reply, 400, 'bad_purge', 'PURGE needs a Host.')
    try {
      const result = await options.purge({ url: `${target.scheme}://${target.authority}${target.path}${target.query}` }, { mode })
      reply.header('cache-control', 'no-store').header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(result))
    } catch (error) {
      if (error instanceof RequestError) return sendError(request, reply, 400, 'bad_purge', error.message)
      request.log.error({ err: error, ...lineId(request) }, 'purge failed')
      sendError(request, reply, 503, 'purge_failed')
    }
  }
}, { name: 'purge', fastify: '5.x', dependencies: ['request-context', 'errors'] })
