/** The listener that the world sees: Fastify over `node:http`, `node:https` or `node:http2`, with every limit set. */
import Fastify, { LogController, type FastifyInstance, type FastifyServerOptions } from 'fastify'
import http, { METHODS, type IncomingMessage, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { Socket } from 'node:net'
import { holdfast, type HoldfastOptions } from '../app.ts'
import type { Config } from '../config/schema.ts'
import type { HoldfastControl } from '../control.ts'
import { createRequestIds } from '../proxy/request-id.ts'
import { guardConnections, type ConnectionGuard } from './connection-guard.ts'
import { answerClientErrors } from './client-errors.ts'
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
}

/** Streams one HTTP/2 client may have open, and resets it may ask for before it is shown the door (CVE-2023-44487). */
const maxConcurrentStreams = 128
const streamResets = { streamResetBurst: 200, streamResetRate: 33 }

export async function createProxyListener (input: ProxyListenerInput): Promise<ProxyListener> {
  const { config, tls } = input
  const { limits } = config.server
  const options = {
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headerTimeout,
    requestTimeout: limits.requestTimeout,
    keepAliveTimeout: limits.idleTimeout,
    connectionsCheckingInterval: 1000,
    insecureHTTPParser: false,
    requireHostHeader: true,
    noDelay: true,
    rejectNonStandardBodyWrites: false
  }

  let connections: ConnectionGuard | null = null
  const app = Fastify({
    ...(input.logger === undefined ? { logger: false } : { loggerInstance: input.logger }),
    logController: new LogController({ disableRequestLogging: true }),
    // A child logger per request costs more than the rest of a hit; our lines name the request themselves.
    childLoggerFactory: (logger: never) => logger,
    genReqId: createRequestIds() as never,
    requestIdHeader: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    trustProxy: false,
    // There is one route; what the client asked for is normalised by us and put back (plugins/request-context.ts).
    rewriteUrl: () => '/',
    serverFactory: (handler: (request: IncomingMessage, response: ServerResponse) => void) => {
      const server = tls === null
        ? http.createServer(options, handler)
        : tls.http2
          ? http2.createSecureServer({
            ...options,
            ...tls.options,
            allowHTTP1: true,
            settings: { maxConcurrentStreams, maxHeaderListSize: limits.headerBytes, enableConnectProtocol: false },
            ...streamResets
          }, handler as never)
          : https.createServer({ ...options, ...tls.options }, handler)
      const plain = server as http.Server
      // Node cuts the list of fields off silently at its own limit; above ours the request is refused instead.
      plain.maxHeadersCount = limits.headerCount + 1
      plain.maxConnections = limits.connections
      plain.maxRequestsPerSocket = limits.requestsPerConnection
      plain.headersTimeout = limits.headerTimeout
      plain.requestTimeout = limits.requestTimeout
      plain.keepAliveTimeout = limits.idleTimeout
      answerClientErrors(plain)
      connections = guardConnections(plain, limits)
      tls?.attach(server as never)
      return server as http.Server
    }
  } as unknown as FastifyServerOptions)

  for (const method of METHODS) {
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
  }

  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    if (raw.rawHeaders.length / 2 > limits.headerCount) return refuse(raw, reply.raw, 431, 'too_many_fields')
    // RFC 9112 6.1: such a message's framing cannot be relied on.
    if (raw.httpVersionMajor === 1 && raw.httpVersionMinor === 0 && raw.headers['transfer-encoding'] !== undefined) return refuse(raw, reply.raw, 400, 'bad_request')
    done()
    function refuse (_raw: IncomingMessage, response: ServerResponse, statusCode: number, code: string): void {
      reply.hijack()
      response.writeHead(statusCode, { connection: 'close', 'content-type': 'application/json; charset=utf-8' })
      response.end(JSON.stringify({ error: { code, status: statusCode } }), () => { (response.socket as Socket | null)?.destroySoon() })
    }
  })

  let control: HoldfastControl | null = null
  let metrics: FastifyInstance['proxyMetrics'] | null = null
  await app.register(holdfast, {
    ...input.holdfast,
    config: { resolved: config },
    processMetrics: true,
    onControl: (made, registry) => {
      control = made
      metrics = registry
    }
  } satisfies HoldfastOptions)
  await app.ready()
  return { app, control: control as unknown as HoldfastControl, metrics: metrics as unknown as FastifyInstance['proxyMetrics'], connections: connections as unknown as ConnectionGuard }
}
