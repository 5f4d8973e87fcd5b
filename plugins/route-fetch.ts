/**
 * What a request on a route asks of the upstream, whoever waits for the answer, and how the route sees it: the request's side of
 * `src/proxy/fetch.ts`. With a client it is a `ClientFetch` (`client-fetch.ts`).
 *
 * Classes, because there is one for each request that is forwarded: their methods are made once.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { CacheForward } from '../src/cache/http-cache.ts'
import type { RouteCacheConfig } from '../src/config/schema.ts'
import type { StoredResponse } from '../src/cache/stored-response.ts'
import { decideMaxForwards } from '../src/forward/max-forwards.ts'
import { buildRequestFields } from '../src/forward/request-fields.ts'
import { responseFields, type ResponseFields } from '../src/forward/response-fields.ts'
import { fieldValue, noFields, type FieldMap, type MutableFieldMap } from '../src/http/fields.ts'
import type { Audience, FetchRequest, FetchTransforms } from '../src/proxy/fetch-request.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import type { Invalidator } from '../src/proxy/invalidation.ts'
import type { ProxyRoute } from '../src/proxy/proxy-route.ts'
import { templateInput } from '../src/proxy/template-input.ts'
import type { RouteTransforms, TransformChoice } from '../src/transform/route-transforms.ts'
import type { Attendant, Exchange, FetchCallback, UpstreamResponse } from '../src/upstream/exchange.ts'
import type { OutgoingResponse } from './respond.ts'
import { targetOf } from './transforms.ts'

/** What is the same for all of them. */
export interface FetchServices {
  readonly app: FastifyInstance
  readonly invalidator: Invalidator
  /** Name of this cache in `Cache-Status`. */
  readonly identifier: string
  /** Unique name of this instance in `Via`. */
  readonly pseudonym: string
  /** Names of response fields that clients do not get as they are, under the rules of a route. */
  readonly hiddenFields: (rules: RouteCacheConfig) => ReadonlySet<string>
  readonly send: (request: FastifyRequest, reply: FastifyReply, response: OutgoingResponse) => void
  /** A client does not get all of a response that it shares. */
  readonly cutOff: (request: FastifyRequest, lookup: CacheForward, error: Error) => void
}

/** What is the same with and without a client. */
export abstract class RouteFetch implements FetchRequest {
  abstract readonly audience: Audience
  abstract readonly background: boolean
  readonly transforms: FetchTransforms | null
  protected readonly services: FetchServices
  protected readonly request: FastifyRequest
  protected readonly forwarding: Forwarding
  readonly lookup: CacheForward

  constructor (services: FetchServices, request: FastifyRequest, forwarding: Forwarding, lookup: CacheForward) {
    this.services = services
    this.request = request
    this.forwarding = forwarding
    this.lookup = lookup
    const { transforms } = forwarding.route.filters
    this.transforms = transforms === null ? null : fetchTransforms(transforms, forwarding)
  }

  abstract dispatch (exchange: Exchange, callback: FetchCallback): void
  protected abstract attendant (): Attendant | null

  get method (): string { return this.lookup.request.method }
  get hiddenFields (): ReadonlySet<string> { return this.services.hiddenFields(this.lookup.request.rules) }
  get maxStoredBytes (): number { return this.forwarding.route.maxStoredBytes }

  prepare (validators: FieldMap | null, whole: boolean): Exchange {
    const { request, forwarding, lookup: { request: { method, fields } } } = this
    const { route, target, runtime } = forwarding
    const { transforms } = route.filters
    const acceptEncoding = transforms?.acceptEncoding ?? null
    const conditional = validators !== null && transforms !== null && this.#isLeftPlain(transforms) ? noFields() : validators
    const peer = request.raw.socket.remoteAddress ?? ''
    const built = buildRequestFields({
      fields: acceptEncoding === null ? fields : { ...fields, 'accept-encoding': acceptEncoding },
      target,
      httpVersion: request.raw.httpVersion,
      peer,
      peerTrusted: runtime.trust.isTrusted(peer),
      pseudonym: this.services.pseudonym,
      requestId: request.id,
      hasContent: forwarding.hasContent,
      ownFields: forwarding.ownFields,
      conditional
    })
    route.requestRules.finish(built, () => templateInput(request, forwarding))
    // Who asks is said by us: neither can a client take it away by naming it in `Connection`, nor do filters and rules speak for somebody.
    if (forwarding.identityFields !== null) Object.assign(built, forwarding.identityFields)
    transforms?.askOrigin(built)
    if (whole) {
      delete built['range']
      delete built['if-range']
    }
    const forwards = decideMaxForwards(method, fields)
    if (typeof forwards === 'object') built['max-forwards'] = String(forwards.next)
    const { rewrite, betweenBytes } = route.config
    return {
      upstream: route.upstream,
      method,
      path: forwarding.path + forwarding.query,
      fields: built,
      clientAuthority: target.authority,
      host: rewrite.host,
      body: forwarding.content,
      betweenBytesMs: betweenBytes,
      attendant: this.attendant(),
      running: null,
      response: null
    }
  }

  /** What is stored is not to be confirmed as it is. */
  #isLeftPlain (transforms: RouteTransforms): boolean {
    const { forwarding: { transforming }, lookup: { stored, completion, request: { method } } } = this
    if (stored === null || stored.parts !== null || completion !== null || method !== 'GET') return false
    return transforms.isLeftPlain(stored.response, stored.bodyBytes, transforming as TransformChoice)
  }

  responseFields ({ statusCode, fields }: UpstreamResponse, receivedAt: number, asked: CacheForward): ResponseFields {
    const { forwarding: { route, prefix, target }, services } = this
    return responseFields({
      received: fields,
      statusCode,
      rules: route.responseRules,
      pseudonym: services.pseudonym,
      receivedAt,
      reserved: reservedFields(route, this.method),
      mount: prefix,
      isSecure: target.scheme === 'https',
      updates: etag => updatedBy(asked, statusCode, etag)
    })
  }

  filterFields (statusCode: number, fields: MutableFieldMap): void {
    this.forwarding.route.filters.own?.beforeStoring(statusCode, fields, this.forwarding, this.method)
  }

  locatesTarget (received: FieldMap): boolean {
    return locatesTarget(this.forwarding, received)
  }

  invalidate (received: FieldMap): void {
    this.services.invalidator.answered(this.forwarding.target, received)
  }
}

/** For a validation that goes on behind a stale response (RFC 5861 3). */
export class BackgroundFetch extends RouteFetch {
  readonly audience: Audience
  readonly background = true

  constructor (services: FetchServices, request: FastifyRequest, forwarding: Forwarding, lookup: CacheForward, audience: Audience) {
    super(services, request, forwarding, lookup)
    this.audience = audience
  }

  protected attendant (): null { return null }

  dispatch (exchange: Exchange, callback: FetchCallback): void {
    exchange.upstream.fetch(exchange, callback)
  }
}

function fetchTransforms (transforms: RouteTransforms, forwarding: Forwarding): FetchTransforms {
  const { storing } = forwarding.transforming as TransformChoice
  const target = targetOf(forwarding)
  return {
    confirm: (fields, { validating, stored, request }) => { transforms.confirm(fields, { validating, stored, clientTags: fieldValue(request.fields, 'if-none-match') }) },
    mustBeWhole: (statusCode, fields) => transforms.mustBeWhole({ statusCode, fields, target, forwarding }),
    apply: (statusCode, fields, body, done) => { transforms.apply(storing, { statusCode, fields, target, forwarding: null }, body, done) }
  }
}

/** What a 304 or a part says something of, as far as its entity tag tells before it is looked at closely. */
function updatedBy ({ stored, validating }: CacheForward, statusCode: number, etag: string | undefined): StoredResponse | null {
  if (statusCode === 206) return stored?.response ?? null
  if (statusCode !== 304) return null
  const named = etag === undefined ? undefined : validating.find(({ response }) => fieldValue(response.fields, 'etag') === etag)
  return (named ?? stored ?? validating[0])?.response ?? null
}

/** RFC 9110 9.3.3: what a POST was answered with is a representation of the URI that it names here. */
function locatesTarget ({ target }: Forwarding, fields: FieldMap): boolean {
  const value = fields['content-location']
  if (typeof value !== 'string') return false
  const own = `${target.scheme}://${target.authority === '' ? 'localhost' : target.authority}${target.path}${target.query}`
  return URL.canParse(value, own) && new URL(value, own).href === new URL(own).href
}

const none: ReadonlySet<string> = new Set()

/** Where preflights are forwarded, what the origin server says to an OPTIONS is passed on as it is. */
function reservedFields ({ reservedFields, config }: ProxyRoute, method: string): ReadonlySet<string> {
  return method === 'OPTIONS' && config.cors?.preflight === 'forward' ? none : reservedFields
}
