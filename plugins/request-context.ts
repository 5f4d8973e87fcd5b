/**
 * Where every request begins: its target is normalised once, its route is found, and `request.forwarding` is made.
 * All that comes later (filters, cache key, upstream) uses the bytes fixed here.
 */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { clientOf } from '../src/forward/forwarded.ts'
import { dropForged } from '../src/auth/identity-fields.ts'
import { takeQueryKeys, type TakenKeys } from '../src/auth/query-keys.ts'
import { parseAuthority } from '../src/http/authority.ts'
import { isEncrypted } from '../src/http/encrypted.ts'
import { hostLinesOf } from '../src/http/host-lines.ts'
import { normaliseTarget, type RequestTarget, type TargetRefusal } from '../src/http/target.ts'
import type { MutableFieldMap } from '../src/http/fields.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { closeAfterUnreadContent } from '../src/proxy/linger.ts'
import type { ProxyRoute } from '../src/proxy/proxy-route.ts'
import type { Runtime } from '../src/proxy/runtime.ts'
import { knownTarget, type KnownTarget, type LookedAt } from '../src/proxy/known-targets.ts'
import { sendError } from './errors.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the proxy knows of this request; `null` until its route is known. */
    forwarding: Forwarding | null
  }
}

export interface RequestContextOptions {
  /** The runtime of this moment; each request keeps the one it began with. */
  readonly runtime: () => Runtime
  /** Path prefix the proxy is registered under, without a slash at the end; empty at the root. */
  readonly prefix: string
}

export default fp<RequestContextOptions>(async function requestContext (app, options) {
  const { prefix } = options
  app.decorateRequest('forwarding', null)

  app.addHook('onRequest', (request, reply, done) => {
    const runtime = options.runtime()
    const raw = request.raw
    reply.header('x-request-id', request.id)
    const { [knownTarget]: known } = lookedAt(raw)
    if (known?.runtime === runtime) {
      raw.url = known.target.path + known.target.query
      request.forwarding = createForwarding(request, runtime, known.route, known.target, known.target.path, known)
      return done()
    }
    const decision = normaliseTarget({
      method: request.method,
      // Set by Fastify where `rewriteUrl` is in use, as in the standalone server.
      target: (raw as { originalUrl?: string }).originalUrl ?? raw.url as string,
      hostLines: hostLines(request),
      httpVersion: raw.httpVersionMajor === 2 ? '2.0' : raw.httpVersionMinor === 0 ? '1.0' : '1.1',
      scheme: schemeOf(request, runtime),
      mergeSlashes: runtime.config.server.mergeSlashes
    })
    if (!decision.ok) return refuse(request, reply, decision.reason)

    let { target } = decision
    if (target.form === 'asterisk') return answerServerOptions(request, reply)
    // What the application behind sees of the target is what is matched, keyed and forwarded.
    raw.url = target.path + target.query

    const path = withoutPrefix(target.path, prefix)
    if (path === null) return refuse(request, reply, 'outside-prefix')

    const route = purgedRoute(runtime, target, path, request.method) ?? runtime.table.match(target.host, path, request.method)
    if (route === null) return sendError(request, reply, 404, 'route_not_found')

    let taken: TakenKeys | null = null
    if (route.queryKeys.length > 0) {
      taken = takeQueryKeys(target.query, route.queryKeys)
      target = { ...target, query: taken.query }
      raw.url = target.path + target.query
      if ((raw as { originalUrl?: string }).originalUrl !== undefined) (raw as { originalUrl?: string }).originalUrl = raw.url
    }
    if (route.identityFields.size > 0) dropForged(raw.headers as MutableFieldMap, route.identityFields)

    request.forwarding = createForwarding(request, runtime, route, target, path, null)
    if (taken !== null) request.forwarding.queryKeys = taken.keys
    done()
  })

  function createForwarding (request: FastifyRequest, runtime: Runtime, route: ProxyRoute, target: RequestTarget, path: string, known: KnownTarget | null): Forwarding {
    return {
      runtime,
      route,
      routeName: route.name,
      upstreamName: route.upstream.name,
      prefix,
      target,
      known,
      path,
      query: target.query,
      keyed: null,
      fields: null,
      clientAddress: clientOf(request.raw.socket.remoteAddress ?? '', request.headers, runtime.trust).address,
      identity: null,
      rateTicket: null,
      identityFields: null,
      judgedAuthorization: false,
      queryKeys: null,
      hasContent: known === null && hasContent(request),
      ownFields: null,
      keyParts: null,
      bypassCache: false,
      transforming: null,
      lookup: null,
      content: null,
      upstreamStartedAt: 0,
      upstreamEndedAt: 0,
      upstreamTarget: '',
      errorCode: ''
    }
  }
}, { name: 'request-context', fastify: '5.x' })

/** A PURGE is about what a GET is answered with: its route says who may. Null for everything else. */
function purgedRoute (runtime: Runtime, target: RequestTarget, path: string, method: string): ProxyRoute | null {
  if (method !== 'PURGE') return null
  const route = runtime.table.match(target.host, path, 'GET')
  return route?.mayPurge === undefined || route.mayPurge === null ? null : route
}

function refuse (request: FastifyRequest, reply: FastifyReply, reason: TargetRefusal | 'outside-prefix'): void {
  // RFC 9112 3.2 asks for 400. Who writes such requests is not to be read on.
  if (request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
  // The reason goes into the log and the message; the code stays one word that clients can rely on.
  sendError(request, reply, 400, 'bad_target', `The request target or Host was refused: ${reason}.`)
}

/** `OPTIONS *` is about this server, not about a resource behind it (RFC 9110 9.3.7). */
function answerServerOptions (request: FastifyRequest, reply: FastifyReply): void {
  closeAfterUnreadContent(request, reply)
  reply.code(204).header('allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE').send()
}

/** What the quick look saw: of HTTP/2 there was no request yet. */
function lookedAt (raw: FastifyRequest['raw']): LookedAt {
  return raw.httpVersionMajor === 2 ? (raw as unknown as { stream: LookedAt }).stream : raw as LookedAt
}

/** What names the host in a request: its `Host` lines; with HTTP/2 `:authority`, and a `Host` that names another one. */
function hostLines (request: FastifyRequest): readonly string[] {
  const { raw } = request
  if (raw.httpVersionMajor === 2) {
    const { ':authority': authority, host } = request.headers as { readonly ':authority'?: string, readonly host?: string }
    const named = authority ?? host
    if (named === undefined) return []
    // RFC 9113 8.3.1: such a request is to be taken for malformed. Who reads it otherwise would see another host than we do.
    return host === undefined || isSameAuthority(named, host) ? [named] : [named, host]
  }
  return hostLinesOf(raw.rawHeaders)
}

/** HTTP/2 comes over TLS alone. */
function isSameAuthority (a: string, b: string): boolean {
  return a === b || parseAuthority(a, 'https')?.authority === parseAuthority(b, 'https')?.authority
}

function schemeOf (request: FastifyRequest, runtime: Runtime): 'http' | 'https' {
  const { socket } = request.raw
  const own = isEncrypted(socket) ? 'https' : 'http'
  if (!runtime.trust.isTrusted(socket.remoteAddress ?? '')) return own
  const { scheme } = clientOf(socket.remoteAddress ?? '', request.headers, runtime.trust)
  return scheme === 'https' || scheme === 'http' ? scheme : own
}

/** A request has content when its framing says so (RFC 9112 6.3); HTTP/2 has no framing fields. */
function hasContent (request: FastifyRequest): boolean {
  const { headers, raw } = request
  if (headers['transfer-encoding'] !== undefined) return true
  const length = headers['content-length']
  if (length !== undefined) return length !== '0'
  return raw.httpVersionMajor === 2 && !(raw as unknown as { stream: { endAfterHeaders: boolean } }).stream.endAfterHeaders
}

/** The path below the prefix, or null when normalising led out of it. */
function withoutPrefix (path: string, prefix: string): string | null {
  if (prefix === '') return path
  if (!path.startsWith(prefix)) return null
  if (path.length === prefix.length) return '/'
  return path[prefix.length] === '/' ? path.slice(prefix.length) : null
}

export type { RequestTarget }
