/** Answers TRACE and OPTIONS that must not be forwarded any further (RFC 9110 7.6.2). */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { credentialFields, isIdentityField } from '../src/auth/identity-fields.ts'
import { closeAfterUnreadContent } from '../src/proxy/linger.ts'

export function answerHere (request: FastifyRequest, reply: FastifyReply): void {
  closeAfterUnreadContent(request, reply)
  if (request.method === 'OPTIONS') {
    reply.code(204).header('allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS').send()
    return
  }
  // TRACE would send back what the client wrote, or a proxy before us, credentials included (RFC 9110 9.3.8 lets them be left out).
  const route = request.forwarding?.route
  const secret = new Set(['authorization', 'cookie', 'proxy-authorization', 'x-api-key', ...credentialFields(route?.config.auth)])
  const isSecret = (name: string): boolean => secret.has(name.toLowerCase()) || (route !== undefined && isIdentityField(name, route.identityFields))
  let text = `TRACE ${request.url} HTTP/${request.raw.httpVersion}\r\n`
  for (let i = 0; i + 1 < request.raw.rawHeaders.length; i += 2) {
    const name = request.raw.rawHeaders[i] as string
    if (!isSecret(name)) text += `${name}: ${request.raw.rawHeaders[i + 1]}\r\n`
  }
  reply.code(200).header('content-type', 'message/http').send(`${text}\r\n`)
}
