/** The listener that the world sees: Fastify over `node:http`, `node:https` or `node:http2`, with every limit set. */
import Fastify, { LogController, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import http, { METHODS } from 'node:http'
import http2, { type Http2SecureServer } from 'node:http2'
import https from 'node:https'
import type { Socket } from 'node:net'
import { holdfast, type HoldfastOptions, type ProxyParts } from '../app.ts'
import type { Config } from '../config/schema.ts'
import type { HoldfastControl } from '../control.ts'
import { createAccessLog } from '../observe/access-record.ts'
import { createRequestIds } from '../proxy/request-id.ts'
import { answerClientError, answerOddRequests, hasUnknownMethod, refuseMethod, refusePlainHttp } from './client-errors.ts'
import { guardConnections, type ConnectionGuard, type RequestHandler } from './connection-guard.ts'
import { lookForPlainHttp } from './plain-http.ts'
import { createQuickAnswers } from './quick-answers.ts'
import { createQuickHits, type QuickHits } from './quick-hits.ts'
import { beforeRequests, createQuickStreams, type QuickStreams } from './quick-streams.ts'
import { createRefusals, type NoteRefusal } from './refusals.ts'
import { schemaController } from './schema-compilers.ts'
import type { TlsContexts } from './tls.ts'

export interface ProxyListener {
  readonly app: FastifyInstance
  readonly control: HoldfastControl
  readonly metrics: FastifyInstance['proxyMetrics']
  readonly connections: ConnectionGuard
}

export interface ProxyListenerInput {
  readonly config: Config
  readonly logger: FastifyServerOptions['loggerInstance']
  readonly tls: TlsContexts | null
  readonly holdfast?: Partial<HoldfastOptions>
  /** Waited for when nothing is in flight any more, before anything else is closed. */
  readonly onDrained?: () => Promise<void>
}

/** Streams one HTTP/2 client may have open, and resets it may ask for before it is shown the door (CVE-2023-44487). */
const maxConcurrentStreams = 128
const streamResets = { streamResetBurst: 200, streamResetRate: 33 }
/** Field lines above the limit that an HTTP/2 client still gets 431 for; with more, its stream is reset. */
const moreFields = 64

export async function createProxyListener (input: ProxyListenerInput): Promise<ProxyListener> {
  const { config, tls } = input
  const { limits } = config.server
  const options = {
    maxHeaderSize: limits.headerBytes,
    connectionsCheckingInterval: Math.min(1000, Math.max(100, limits.headerTimeout)),
    insecureHTTPParser: false,
    // Refused with every other bad target, so that it is logged and counted (plugins/request-context.ts).
    requireHostHeader: false,
    noDelay: true,
    rejectNonStandardBodyWrites: false,
    // Such a request tells nobody of its end, nor that its client has left. We hear of both by the response; extensions may go by it.
    optimizeEmptyRequests: config.extensions.length === 0 && input.holdfast?.extensions === undefined
  }

  let connections: ConnectionGuard | null = null
  // There is one before there are connections.
  const guard = (): ConnectionGuard => connections as ConnectionGuard
  let noteRefusal: NoteRefusal = () => {}
  let quickHits: QuickHits | null = null
  let quickStreams: QuickStreams | null = null
  const requestId = createRequestIds()
  const app = Fastify({
    ...(input.logger === undefined ? { logger: false } : { loggerInstance: input.logger }),
    logController: new LogController({ disableRequestLogging: true }),
    schemaController: schemaController as never,
    // A child logger per request costs more than the rest of a hit; our lines name the request themselves.
    childLoggerFactory: (logger: never) => logger,
    genReqId: requestId as never,
    requestIdHeader: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    trustProxy: false,
    // There is one route; what the client asked for is normalised by us and put back (plugins/request-context.ts).
    rewriteUrl: () => '/',
    clientErrorHandler: (error: Error, socket: Socket) => { answerClientError(error, socket, noteRefusal, guard()) },
    serverFactory: (handler: RequestHandler) => {
      const server = tls === null
        ? http.createServer(options)
        : tls.http2
          ? http2.createSecureServer({
            ...options,
            ...tls.options,
            allowHTTP1: true,
            maxHeaderListPairs: limits.headerCount + moreFields,
            // A field that stands twice is passed on as it came, as over HTTP/1; Node would reset the stream, also where it is a list.
            strictSingleValueFields: false,
            settings: { maxConcurrentStreams, maxHeaderListSize: limits.headerBytes, enableConnectProtocol: false },
            ...streamResets
          })
          : https.createServer({ ...options, ...tls.options })
      const plain = server as unknown as http.Server
      // For the HTTP/1.1 clients of an HTTP/2 server Node 22 takes them from here alone: else their heads may be larger, and drip in for half a minute.
      if (tls?.http2 === true) Object.assign(server, options)
      // Node cuts the list of fields off silently at its own limit; above ours the request is refused instead.
      plain.maxHeadersCount = limits.headerCount + 1
      // Else the second line of a field that may stand once only is dropped, and the first one counts (RFC 9110 13.1.3: neither does).
      ;(plain as http.Server & { joinDuplicateHeaders?: boolean }).joinDuplicateHeaders = true
      plain.maxConnections = limits.connections
      plain.maxRequestsPerSocket = limits.requestsPerConnection
      // A request must be whole in time, so its head must be, too; Node takes the opposite for a contradiction.
      plain.headersTimeout = limits.requestTimeout === 0 ? limits.headerTimeout : Math.min(limits.headerTimeout, limits.requestTimeout)
      plain.requestTimeout = limits.requestTimeout
      lookForPlainHttp(plain, socket => { refusePlainHttp(socket, noteRefusal) })
      answerOddRequests(plain, (socket, status, code) => { noteRefusal(socket, status, code) }, guard)
      connections = guardConnections(plain, limits, (request, response) => {
        if (quickHits?.(request, response) === true) return
        if (hasUnknownMethod(request)) refuseMethod(response, noteRefusal)
        else handler(request, response)
      })
      if (tls?.http2 === true) beforeRequests(server as Http2SecureServer, (stream, headers, rawHeaders) => quickStreams?.(stream, headers, rawHeaders) === true)
      tls?.attach(server as never)
      return plain
    }
  } as unknown as FastifyServerOptions)

  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
  }

  let control: HoldfastControl | null = null
  let metrics: FastifyInstance['proxyMetrics'] | null = null
  let parts: ProxyParts | null = null
  await app.register(holdfast, {
    ...input.holdfast,
    config: { resolved: config },
    processMetrics: true,
    onControl: (made, registry, inner) => {
      control = made
      metrics = registry
      parts = inner
    }
  } satisfies HoldfastOptions)
  // The last hook is the first to run, but for the end of the connections.
  app.addHook('onClose', async () => { await input.onDrained?.() })
  await app.ready()
  const registry = metrics as unknown as FastifyInstance['proxyMetrics']
  const { cache, runtime, tallies, now, hasOwnHooks } = parts as unknown as ProxyParts
  noteRefusal = createRefusals({ tallies, log: config.log.access ? app.log : null })
  const log = config.log.access ? createAccessLog(app.log) : null
  // Neither hooks of others nor classes of devices are known before Fastify has made a request of it.
  if (!hasOwnHooks() && input.holdfast?.deviceClass === undefined) {
    const answers = createQuickAnswers({ cache, runtime, identifier: config.cache.name, now, requestId, tallies, log })
    quickHits = createQuickHits(answers, limits.headerCount)
    quickStreams = createQuickStreams(answers, limits.headerCount)
  }
  return { app, control: control as unknown as HoldfastControl, metrics: registry, connections: guard() }
}
