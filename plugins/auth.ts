/** Who may use a route (`@fastify/auth`): API keys and bearer tokens, kept as SHA-256 and compared in constant time. */
import auth from '@fastify/auth'
import { createHash, timingSafeEqual } from 'node:crypto'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { AuthConfig } from '../src/config/schema.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes the filter of one route. */
    createRouteAuthentication: (config: AuthConfig) => onRequestHookHandler
  }
}

type Verify = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

const refused = new Error('no credential that fits')

export default fp(async function authPlugin (app) {
  let combine: ((functions: Verify[]) => onRequestHookHandler) | null = null
  await app.register(async inner => {
    await inner.register(auth)
    combine = functions => inner.auth(functions as never) as unknown as onRequestHookHandler
  })

  app.decorate('createRouteAuthentication', (config: AuthConfig): onRequestHookHandler => {
    const verifiers: Verify[] = []
    const { apiKeys, bearer } = config
    if (apiKeys !== undefined) {
      const field = apiKeys.field.toLowerCase()
      const digests = apiKeys.keys.map(digestOf)
      verifiers.push((request, _reply, done) => {
        const key = request.headers[field]
        done(typeof key === 'string' && fits(key, digests) ? undefined : refused)
      })
    }
    if (bearer !== undefined) {
      const digests = bearer.tokens.map(digestOf)
      verifiers.push((request, _reply, done) => {
        const token = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(request.headers.authorization ?? '')?.[1]
        done(token !== undefined && fits(token, digests) ? undefined : refused)
      })
    }
    // A route that asks for authentication and names no way to pass it lets nobody in.
    if (verifiers.length === 0) verifiers.push((_request, _reply, done) => { done(refused) })

    const verify = (combine as NonNullable<typeof combine>)(verifiers)
    return function authenticate (request, reply, done) {
      verify.call(this, request, reply, (error?: Error) => {
        if (error === undefined || error === null) return done()
        if (error !== refused) return done(error)
        if (bearer !== undefined) reply.header('www-authenticate', 'Bearer')
        else reply.header('www-authenticate', 'ApiKey')
        sendError(request, reply, 401, 'unauthorized')
      })
    }
  })
}, { name: 'auth', fastify: '5.x', dependencies: ['errors'] })

function digestOf (configured: string): Buffer {
  return Buffer.from(configured.slice('sha256:'.length), 'hex')
}

/** Compares with every digest, so that the time taken does not tell which one was near. */
function fits (credential: string, digests: readonly Buffer[]): boolean {
  const digest = createHash('sha256').update(credential).digest()
  let found = false
  for (const candidate of digests) found = timingSafeEqual(digest, candidate) || found
  return found
}
