/** Lists of addresses, methods and hosts: the first of our filters, before anything is counted or looked up. */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { createAccessRules, decideAccess } from '../src/access/access-rules.ts'
import { isPreflight } from '../src/access/cors.ts'
import type { AccessConfig } from '../src/config/schema.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes the filter of one route; all of the lists have to let a request pass, in this order. */
    createRouteAccess: (lists: readonly AccessConfig[], answersPreflight: boolean) => onRequestHookHandler
  }
}

export default fp(async function access (app) {
  app.decorate('createRouteAccess', (lists: readonly AccessConfig[], answersPreflight: boolean): onRequestHookHandler => {
    const all = lists.map(createAccessRules)
    return function checkAccess (request, reply, done) {
      const { target, route, clientAddress } = request.forwarding as Forwarding
      const isPurge = request.method === 'PURGE' && route.mayPurge !== null
      const question = {
        address: clientAddress,
        method: request.method,
        host: target.host,
        isOwnAddress: isPurge,
        isOwnMethod: isPurge || (answersPreflight && isPreflight(request.method, request.headers))
      }
      for (const rules of all) {
        const decision = decideAccess(rules, question)
        if (decision !== 'allowed') return refuse(request, reply, decision, rules.allowField)
      }
      done()
    }
  })
}, { name: 'access', fastify: '5.x', dependencies: ['errors'] })

function refuse (request: FastifyRequest, reply: FastifyReply, decision: 'host' | 'address' | 'method', allowField: string): void {
  // RFC 9110 15.5.20: the target is none that this gateway is set up for; a client may ask elsewhere, over another connection.
  if (decision === 'host') return sendError(request, reply, 421, 'misdirected')
  if (decision === 'address') return sendError(request, reply, 403, 'forbidden')
  // RFC 9110 15.5.6: with the methods that there are.
  reply.header('allow', allowField)
  sendError(request, reply, 405, 'method_not_allowed')
}
