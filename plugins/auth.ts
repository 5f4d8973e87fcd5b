/**
 * Who may use a route, and who it is that asks. Each kind of credential is a verifier in `src/auth`; `@fastify/auth` joins
 * them as the route says: one that fits, all of several, or groups of them.
 */
import auth from '@fastify/auth'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import { Agent } from 'undici'
import { fieldsFor, kindsOf, stripCredentials } from '../src/auth/identity-fields.ts'
import { answerTo, type Admission, type AuthRequest, type Refusal, type Verdict, type Verifier } from '../src/auth/verdict.ts'
import { createVerifiers } from '../src/auth/verifiers.ts'
import type { AuthConfig } from '../src/config/schema.ts'
import type { MutableFieldMap } from '../src/http/fields.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { clientKey } from '../src/rate-limit/client-key.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Makes the filter of one route. Throws when a file that it names cannot be used. */
    createRouteAuthentication: (config: AuthConfig) => onRequestHookHandler
  }
  interface FastifyRequest {
    /** What authentication has found out so far; `null` before and where nobody is asked. */
    authAttempt: AuthAttempt | null
  }
}

export interface AuthPluginOptions {
  /** Epoch milliseconds. */
  readonly now: () => number
}

interface Grouped { readonly verifier: Verifier, readonly group: number }

/** What the verifiers of one request have said, in the order in which they were asked. */
export interface AuthAttempt {
  readonly request: AuthRequest
  readonly admissions: Array<Grouped & { readonly admission: Admission }>
  readonly refusals: Array<Grouped & { readonly refusal: Refusal }>
}

type Asked = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

const refused = new Error('no credential that fits')

/** Connections to one service that decides, or publishes keys. */
const maxConnections = 128
/** The deadline is each question's own; this is for what comes after the head of an answer. */
const bodyTimeoutMs = 10_000

export default fp<AuthPluginOptions>(async function authPlugin (app, { now }) {
  let combine: ((asked: Array<Asked | Asked[]>, relation: 'and' | 'or') => onRequestHookHandler) | null = null
  await app.register(async inner => {
    await inner.register(auth)
    combine = (asked, relation) => inner.auth(asked as never, { relation }) as unknown as onRequestHookHandler
  })
  app.decorateRequest('authAttempt', null)

  const dispatcher = new Agent({ connections: maxConnections, bodyTimeout: bodyTimeoutMs })
  app.addHook('onClose', async () => { await dispatcher.destroy() })

  app.decorate('createRouteAuthentication', (config: AuthConfig): onRequestHookHandler => {
    const groups = kindsOf(config).map(kinds => createVerifiers(kinds, {
      dispatcher,
      now,
      addressKey: clientKey,
      onFailure: (error, code) => { app.log.warn({ err: error, code }, 'a service that authentication needs failed') }
    }))
    const asked = groups.map((verifiers, group) => verifiers.map(verifier => ask({ verifier, group })))
    // A route that asks for authentication and names no way to pass it lets nobody in.
    if (asked.flat().length === 0) asked.push([(_request, _reply, done) => { done(refused) }])
    const join = combine as NonNullable<typeof combine>
    // Members of a list within the list are joined the other way round.
    const isGrouped = config.all !== undefined || config.any !== undefined
    const decide = isGrouped ? join(asked, config.all === undefined ? 'or' : 'and') : join(asked.flat(), 'or')

    return function authenticate (request, reply, done) {
      const forwarding = request.forwarding as Forwarding
      const attempt: AuthAttempt = { request: questionOf(request, forwarding), admissions: [], refusals: [] }
      request.authAttempt = attempt
      // What comes after must not run within the combination: it would take an error there for a refusal.
      let isWithin = true
      let decided: { readonly error: Error | null } | null = null
      decide.call(this, request, reply, (error?: Error | null) => {
        decided = { error: error ?? null }
        if (!isWithin) proceed(decided.error)
      })
      isWithin = false
      const atOnce = decided as { readonly error: Error | null } | null
      if (atOnce !== null) proceed(atOnce.error)

      function proceed (error: Error | null): void {
        if (error !== null && error !== refused) return done(error)
        if (error !== null) return refuse(request, reply, config, attempt)
        admit(request, forwarding, config, attempt)
        done()
      }
    }
  })
}, { name: 'auth', fastify: '5.x', dependencies: ['errors'] })

/** The verifier as `@fastify/auth` calls it. */
function ask ({ verifier, group }: Grouped): Asked {
  return (request, _reply, done) => {
    const { request: question, admissions, refusals } = request.authAttempt as AuthAttempt
    verifier.verify(question, (verdict: Verdict) => {
      if (verdict.ok) admissions.push({ verifier, group, admission: verdict })
      else refusals.push({ verifier, group, refusal: verdict })
      done(verdict.ok ? undefined : refused)
    })
  }
}

function questionOf (request: FastifyRequest, { target, clientAddress, queryKeys }: Forwarding): AuthRequest {
  const { raw } = request
  return {
    method: request.method,
    fields: raw.headers,
    lines: raw.rawHeaders,
    queryKeys,
    scheme: target.scheme,
    authority: target.authority,
    path: target.path,
    query: target.query,
    clientAddress,
    socket: raw.socket
  }
}

/** The identity, and what the upstream gets to know of it; the credentials go, if the route says so. */
function admit (request: FastifyRequest, forwarding: Forwarding, config: AuthConfig, { admissions }: AuthAttempt): void {
  // Of alternatives that were tried before the one that fits, nothing counts.
  const last = admissions.at(-1)
  const counting = config.any === undefined ? admissions : admissions.filter(({ group }) => group === last?.group)
  const [first, ...others] = counting
  if (first === undefined) return
  const { identity } = first.admission
  forwarding.identity = others.length === 0 ? identity : { ...identity, others: others.map(({ admission }) => admission.identity) }
  forwarding.judgedAuthorization = counting.some(({ verifier }) => verifier.judgesAuthorization)

  const fields = fieldsFor(config, forwarding.identity)
  for (const { admission } of counting) Object.assign(fields, admission.fields)
  const headers = request.raw.headers as MutableFieldMap
  if (config.strip) stripCredentials(headers, config)
  if (Object.keys(fields).length === 0) return
  forwarding.identityFields = fields
  // Where `Vary` names them, stored responses are selected by them.
  Object.assign(headers, fields)
}

function refuse (request: FastifyRequest, reply: FastifyReply, config: AuthConfig, { refusals }: AuthAttempt): void {
  // Of groups that all have to fit, the first that does not is the last that was asked.
  const last = refusals.at(-1)
  const counting = config.all === undefined ? refusals : refusals.filter(({ group }) => group === last?.group)
  const { statusCode, code, challenges, retryAfter } = answerTo(counting)
  if (challenges.length > 0) reply.header('www-authenticate', challenges.length === 1 ? challenges[0] : challenges)
  if (retryAfter !== null) reply.header('retry-after', String(retryAfter))
  sendError(request, reply, statusCode, code)
}
