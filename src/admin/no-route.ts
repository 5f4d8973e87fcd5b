/** Answers of the admin listener where no route takes the request: 405 where its path is there for other methods, else 404. */
import type { FastifyInstance } from 'fastify'
import type { DocumentedRoute } from './openapi.ts'

/** @param routes may grow until the first request */
export function refuseOthers (app: FastifyInstance, routes: readonly DocumentedRoute[]): void {
  // Before content is read: what type it is of does not matter where nobody takes it.
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.is404) return done()
    const methods = methodsOf(routes, request.url.split('?', 1)[0] as string)
    if (methods.length === 0) {
      reply.code(404).send({ error: { code: 'not_found', status: 404, message: 'There is no such page; GET / lists what there is.' } })
      return
    }
    const allow = methods.join(', ')
    reply.code(405).header('allow', allow).send({ error: { code: 'method_not_allowed', status: 405, message: `This page takes ${allow} only.` } })
  })
}

function methodsOf (routes: readonly DocumentedRoute[], path: string): string[] {
  // Fastify answers HEAD where it answers GET.
  return routes.filter(({ url }) => url === path).flatMap(({ method }) => method === 'GET' ? ['GET', 'HEAD'] : [method])
}
