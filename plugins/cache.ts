/**
 * The cache in the filter chain: decorates the instance with `httpCache`, answers from it in `preHandler`, and leaves
 * word in `request.cacheOutcome` of what it did. On a hit the story of the request ends here.
 */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify'
import type { CacheHit, CacheLookup, CacheRequest, HttpCache } from '../src/cache/http-cache.ts'
import type { ReasonWord } from '../src/cache/reasons.ts'
import { PackedEntry } from '../src/cache/packed-entry.ts'
import { cacheStatusValue, type CacheOutcome } from '../src/cache/status.ts'
import { nominatedFields } from '../src/forward/hop-by-hop.ts'
import { linesWithout, type FieldMap } from '../src/http/fields.ts'
import { lineId } from '../src/observe/line-id.ts'
import { requestKey } from '../src/proxy/cache-key-of.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { blockOf } from '../src/proxy/stored-block.ts'
import { requestOf } from '../src/proxy/known-targets.ts'
import type { RouteTransforms } from '../src/transform/route-transforms.ts'
import { sendError } from './errors.ts'
import { respond } from './respond.ts'
import { targetOf } from './transforms.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The HTTP cache of this proxy (RFC 9111). */
    httpCache: HttpCache
    /** preHandler: sends the reply when a stored response may be used. */
    answerFromCache: preHandlerHookHandler
    /** Sends a stored response, or what the client's preconditions and ranges make of it. */
    sendStored: SendStored
  }
  interface FastifyRequest {
    /** How the cache handled this request; `null` until the lookup has run. */
    cacheOutcome: CacheOutcome | null
  }
}

/** Named outside of the augmentation: `FastifyReply` in it loses its import in the published declarations. */
export type SendStored = (request: FastifyRequest, reply: FastifyReply, hit: CacheHit) => void

export interface CachePluginOptions {
  readonly cache: HttpCache
  /** Name of this cache as clients see it in `Cache-Status`. */
  readonly identifier: string
  /** Current time in epoch milliseconds. */
  readonly now: () => number
  /** Tells classes of devices apart that get different responses; the result is part of the cache key. */
  readonly deviceClass?: (request: FastifyRequest) => string
}

export default fp<CachePluginOptions>(async function cache (app, options) {
  const { cache, identifier, now, deviceClass } = options
  app.decorate('httpCache', cache)
  app.decorateRequest('cacheOutcome', null)

  app.decorate('sendStored', (request: FastifyRequest, reply: FastifyReply, hit: CacheHit): void => {
    const { entry } = hit
    const { transforms } = (request.forwarding as Forwarding).route.filters
    const send = transforms?.sends === true ? app.respondTransformed : respond
    // A part of what is transformed as a whole would be one of something else.
    const range = hit.range !== null && transforms?.sends === true && isPartOfWhole(transforms, request.forwarding as Forwarding, entry) ? null : hit.range
    request.cacheOutcome = hit.outcome
    const packed = entry instanceof PackedEntry ? entry : null
    const before = packed === null ? entry.response.fields['cache-status'] : packed.cacheStatus
    const ownLines = [...ageLine(hit), 'cache-status', cacheStatusValue(before, identifier, hit.outcome)]

    const block = blockOf(hit)
    const whole = block === null ? {} : { block }
    if (hit.notModified) {
      return send(request, reply, { statusCode: 304, from: entry.response, get lines () { return entry.notModifiedLines }, ownLines, body: null, ...whole })
    }
    if (range !== null) {
      return send(request, reply, { statusCode: range.statusCode, from: entry.response, get lines () { return [...linesWithout(entry.lines, range.replaces), ...range.lines] }, ownLines, body: range.body, ...whole })
    }
    send(request, reply, { statusCode: entry.response.statusCode, from: entry.response, get lines () { return entry.lines }, ownLines, get body () { return entry.body }, ...whole })
  })

  app.decorate('answerFromCache', (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const forwarding = request.forwarding as Forwarding
    const device = deviceClass === undefined ? '' : classOf(request, deviceClass)
    const { known } = forwarding
    const asked = known === null ? cacheRequest(request, forwarding, device ?? '') : requestOf(known, forwarding.fields ?? request.headers)
    const missing = device === null ? 'device-class' : forwarding.bypassCache ? 'own-filter' : isAnonymous(forwarding) ? 'no-identity' : null
    const lookup = missing === null ? cache.lookup(asked, now(), known?.key) : withDetail(cache.lookup({ ...asked, enabled: false }, now()), missing)
    forwarding.lookup = lookup
    request.cacheOutcome = lookup.outcome
    if (lookup.action === 'unsatisfiable') return sendError(request, reply, 504, 'not_in_cache')
    if (lookup.action === 'forward') return done()
    const { settleHit } = forwarding.route.filters
    if (settleHit !== null) settleHit(request, reply)
    app.sendStored(request, reply, lookup)
    if (lookup.revalidate !== null) app.validateInBackground(request, lookup.revalidate)
  })
}, { name: 'cache', fastify: '5.x', dependencies: ['request-context', 'errors', 'transforms'] })

function isPartOfWhole (transforms: RouteTransforms, forwarding: Forwarding, { response: { fields } }: CacheHit['entry']): boolean {
  try {
    return transforms.sendsWhole({ statusCode: 206, fields, target: targetOf(forwarding), forwarding })
  } catch {
    // Asked about the whole it fails with a word on why.
    return true
  }
}

export function ageLine ({ age }: Pick<CacheHit, 'age'>): readonly string[] {
  return age === null ? [] : ['age', String(age)]
}

/** The class that the application's function names; null when it fails: a response for another class would be worse than none. */
function classOf (request: FastifyRequest, deviceClass: (request: FastifyRequest) => string): string | null {
  try {
    const device: unknown = deviceClass(request)
    if (typeof device === 'string') return device
    request.log.warn({ ...lineId(request), code: 'device_class_failed' }, 'deviceClass returned no text')
  } catch (error) {
    request.log.warn({ ...lineId(request), err: error, code: 'device_class_failed' }, 'deviceClass failed')
  }
  return null
}

function withDetail (lookup: CacheLookup, detail: ReasonWord): CacheLookup {
  return lookup.action === 'forward' ? { ...lookup, outcome: { ...lookup.outcome, detail } } : lookup
}

/** Without an identity there is no key, where each identity has its own. */
function isAnonymous ({ route, identity }: Forwarding): boolean {
  return identity === null && route.config.cache.key.identity
}

/**
 * The client sent `Authorization` and said by `Connection` that it is for us alone: the upstream does not get the field, but
 * rules and filters may have made others of it. RFC 9111 3.5 is about the request as it came.
 */
function hidesAuthorization (received: FieldMap, left: FieldMap): boolean {
  return received['authorization'] !== undefined && left['authorization'] === undefined && nominatedFields(received)?.has('authorization') === true
}

function cacheRequest (request: FastifyRequest, forwarding: Forwarding, device: string): CacheRequest {
  const { route, runtime, identity } = forwarding
  const fields = forwarding.fields ?? request.headers
  const { auth, cache: { key, storePrivate } } = route.config
  // A credential that goes upstream without anybody here having looked at it: what comes back may be for its owner alone.
  const foreign = request.headers.authorization !== undefined && !forwarding.judgedAuthorization
  const common = !foreign && (key.identity || auth?.shared === true)
  return {
    ...requestKey(forwarding, fields, device),
    method: request.method,
    fields,
    rules: route.cacheRules,
    enabled: route.cacheEnabled,
    hasContent: forwarding.hasContent,
    authenticated: auth !== undefined || identity !== null || hidesAuthorization(request.headers, fields),
    common,
    personal: common && storePrivate,
    showKey: runtime.config.cache.statusKey
  }
}
