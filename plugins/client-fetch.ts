/** What a client asks of the upstream through reply-from, and how the answer comes to it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { CacheForward, CacheHit } from '../src/cache/http-cache.ts'
import { cacheStatusValue, type CacheOutcome } from '../src/cache/status.ts'
import { interimFields, writeInterim } from '../src/forward/interim.ts'
import type { MutableFieldMap } from '../src/http/fields.ts'
import type { Fetch } from '../src/proxy/fetch.ts'
import type { Audience, PassedResponse } from '../src/proxy/fetch-request.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { exchangeKey, UpstreamError, type Attendant, type Exchange, type FetchCallback, type UpstreamResponse } from '../src/upstream/exchange.ts'
import { isOver } from './respond.ts'
import { RouteFetch, type FetchServices } from './route-fetch.ts'
import { failed, noteCutShort } from './upstream-failures.ts'

export class ClientFetch extends RouteFetch implements Audience, Attendant {
  readonly background = false
  exchange: Exchange | null = null
  /** Set when it has begun. */
  fetch: Fetch | null = null
  readonly #reply: FastifyReply
  #callback: FetchCallback | null = null

  constructor (services: FetchServices, request: FastifyRequest, reply: FastifyReply, forwarding: Forwarding, lookup: CacheForward) {
    super(services, request, forwarding, lookup)
    this.#reply = reply
  }

  get audience (): Audience { return this }
  protected attendant (): Attendant { return this }

  dispatch (exchange: Exchange, callback: FetchCallback): void {
    this.exchange = exchange
    this.#callback = callback
    this.forwarding.upstreamStartedAt = performance.now()
    this.#reply.from('/', fromOptions)
  }

  // What the exchange says.

  answered (error: UpstreamError | null, response?: UpstreamResponse): void {
    const callback = this.#callback as FetchCallback
    if (response === undefined) return callback(error)
    this.forwarding.upstreamTarget = response.target
    response.body.onClose(() => { this.#ended() })
    callback(null, response)
  }

  informed (statusCode: number, fields: MutableFieldMap): void {
    passInformation(this.request, this.#reply.raw, statusCode, fields)
  }

  // What the fetch says.

  isGone (): boolean { return isOver(this.#reply.raw) }

  stored (hit: CacheHit): void {
    this.#ended()
    this.services.app.sendStored(this.request, this.#reply, hit)
  }

  passed ({ statusCode, lines, cacheStatus, outcome, body }: PassedResponse): void {
    const { identifier, send } = this.services
    this.request.cacheOutcome = outcome
    send(this.request, this.#reply, { statusCode, lines, ownLines: ['cache-status', cacheStatusValue(cacheStatus, identifier, outcome)], body })
  }

  failed (error: UpstreamError): void {
    this.#ended()
    failed(this.request, this.#reply, error)
  }

  recorded (outcome: CacheOutcome): void { this.request.cacheOutcome = outcome }

  cutShort (error: UpstreamError): void { noteCutShort(this.request, error) }

  cutOff (error: Error): void { this.services.cutOff(this.request, this.lookup, error) }

  #ended (): void { this.forwarding.upstreamEndedAt = performance.now() }
}

/** The exchange carries what is sent and what comes back; reply-from wants a base to resolve against. */
const fromOptions: Parameters<FastifyReply['from']>[1] = {
  getUpstream: () => 'http://upstream.invalid',
  queryString: () => '',
  // Not reply-from's retries: they ignore what a proxy must know (see docs/forwarding.md).
  retryDelay: () => null as never,
  rewriteRequestHeaders: request => ({ [exchangeKey]: askingOf(request).exchange }) as never,
  onResponse (request) {
    const asking = askingOf(request)
    asking.answered(null, asking.exchange?.response as UpstreamResponse)
  },
  onError (reply, { error }) {
    const cause = error instanceof UpstreamError ? error : error.cause
    askingOf(reply.request).answered(cause instanceof UpstreamError ? cause : new UpstreamError('upstream_reset', undefined, error))
  }
}

function askingOf (request: unknown): ClientFetch {
  return (request as FastifyRequest).asking as ClientFetch
}

/** Interim responses held for a client that does not read. */
const maxInterimBytes = 64 * 1024

/** Early hints and other interim responses go on when they come (RFC 9110 15.2); HTTP/1.0 knows none. */
function passInformation (request: FastifyRequest, raw: ServerResponse, statusCode: number, fields: MutableFieldMap): void {
  // A client that does not read them does not get more of them: they are not worth memory.
  if (request.raw.httpVersion === '1.0' || isOver(raw) || raw.writableLength > maxInterimBytes) return
  const { route } = request.forwarding as Forwarding
  try {
    writeInterim(raw, statusCode, interimFields(fields, route.config.response.removeFields))
  } catch (error) {
    // The stream of an HTTP/2 client may have closed this moment; what is lost is a hint.
    request.log.debug({ err: error }, 'interim response not passed on')
  }
}
