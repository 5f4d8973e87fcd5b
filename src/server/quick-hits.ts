/**
 * Answers the plainest hits before Fastify's routing.
 *
 * Most requests to a busy cache are a GET without content, for a route whose filters have nothing to ask, that one fresh
 * stored response answers. For them the story of `routes/proxy.ts` comes down to what stands in `answer` below, done with
 * the same functions. It changes nothing before it knows that it can go through with it: what it does not answer takes the
 * long way from its beginning, so no case is decided here that is not decided there.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { canWriteBlock, writeBlock } from '../../plugins/wire.ts'
import { changesNothing } from '../cache/key.ts'
import type { CacheHit, HttpCache } from '../cache/http-cache.ts'
import { PackedEntry } from '../cache/packed-entry.ts'
import { cacheStatusValue } from '../cache/status.ts'
import { clientOf } from '../forward/forwarded.ts'
import { hostLinesOf } from '../http/host-lines.ts'
import type { AccessLog } from '../observe/access-record.ts'
import { count, type RequestTallies, type Tally } from '../observe/request-tally.ts'
import { cutCodeOf } from '../proxy/cut.ts'
import type { ProxyRoute } from '../proxy/proxy-route.ts'
import type { Runtime } from '../proxy/runtime.ts'
import { blockOf, type StoredBlock } from '../proxy/stored-block.ts'
import { createKnownTargets, knownTarget, requestOf, type LookedAt } from '../proxy/known-targets.ts'

export interface QuickHitsInput {
  readonly cache: HttpCache
  readonly runtime: () => Runtime
  /** Name of this cache in `Cache-Status`. */
  readonly identifier: string
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly requestId: (request: IncomingMessage) => string
  readonly tallies: RequestTallies
  /** Null: no access log. */
  readonly log: AccessLog | null
  /** Field lines in a request. */
  readonly maxFields: number
}

/** Answers the request and returns true, or leaves it as it is and returns false. */
export type QuickHits = (request: IncomingMessage, response: ServerResponse) => boolean

/** What has to be known of a request that was answered. */
interface Answered {
  readonly id: string
  readonly route: ProxyRoute
  readonly path: string
  readonly client: string
  readonly startedAt: number
  readonly hit: CacheHit
  readonly block: StoredBlock
}

export function createQuickHits (input: QuickHitsInput): QuickHits {
  const { cache, identifier } = input
  let current = input.runtime()
  let targets = createKnownTargets(current, isQuick)

  function answer (request: IncomingMessage, response: ServerResponse): boolean {
    if (!isPlain(request, response, input.maxFields)) return false
    const startedAt = performance.now()
    const runtime = input.runtime()
    if (runtime !== current) {
      current = runtime
      targets = createKnownTargets(runtime, isQuick)
    }
    const { headers, socket } = request
    const peer = socket.remoteAddress ?? ''
    const client = clientOf(peer, headers, runtime.trust)
    const scheme = client.scheme ?? ((socket as { encrypted?: boolean }).encrypted === true ? 'https' : 'http')

    const known = targets.of(request.method as string, scheme, headers.host as string, request.url as string)
    if (known === null) return false
    const { route, target } = known
    const hit = cache.findHit(known.key, requestOf(known, headers), input.now())
    if (hit === null) {
      ;(request as LookedAt)[knownTarget] = known
      return false
    }
    const block = blockOf(hit)
    if (block === null) return false

    const { limitQuickly } = route.filters
    const limitLines = limitQuickly === null ? '' : limitQuickly(client.address, headers)
    if (limitLines === null) return false

    cache.noteHit(hit)
    const id = input.requestId(request)
    const before = (hit.entry as PackedEntry).cacheStatus
    const age = hit.age === null ? '' : `age: ${hit.age}\r\n`
    writeBlock(response, `${age}cache-status: ${cacheStatusValue(before, identifier, hit.outcome)}\r\n${limitLines}x-request-id: ${id}\r\n`, block)
    account(request, response, { id, route, path: target.path, client: client.address, startedAt, hit, block })
    return true
  }

  /** Now, if all has left already; else when it has, or the client. */
  function account (request: IncomingMessage, response: ServerResponse, answered: Answered): void {
    if (request.socket.writableLength === 0) return finish(request, response, answered)
    response.once('close', () => { finish(request, response, answered) })
  }

  function finish (request: IncomingMessage, response: ServerResponse, { id, route, path, client, startedAt, hit, block }: Answered): void {
    const durationMs = performance.now() - startedAt
    const { statusCode } = block
    const method = request.method as string
    count(tallyOf(route, method, statusCode), durationMs / 1000)
    if (input.log === null) return
    const aborted = !response.writableFinished && response.destroyed
    const code = cutCodeOf(response) ?? (aborted ? 'cancelled' : null)
    input.log({
      reqId: id,
      method,
      path,
      route: route.name,
      status: statusCode,
      cache: 'hit',
      client,
      http: '1.1',
      durationMs: Math.round(durationMs * 1000) / 1000,
      bytes: block.contentBytes,
      reason: hit.outcome.detail ?? undefined,
      code: code ?? undefined,
      aborted: aborted ? true : undefined
    })
  }

  const usual = new WeakMap<ProxyRoute, Tally>()

  function tallyOf (route: ProxyRoute, method: string, statusCode: number): Tally {
    if (method !== 'GET' || statusCode !== 200) return input.tallies.of(route.name, method, statusCode, 'hit')
    let tally = usual.get(route)
    if (tally === undefined) usual.set(route, tally = input.tallies.of(route.name, method, statusCode, 'hit'))
    return tally
  }

  return answer
}

/** Nothing about the request or its connection that some check on the long way would want to see. */
function isPlain (request: IncomingMessage, response: ServerResponse, maxFields: number): boolean {
  const { method, headers } = request
  if ((method !== 'GET' && method !== 'HEAD') || request.httpVersionMajor !== 1 || request.httpVersionMinor !== 1) return false
  if (headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined || headers.expect !== undefined) return false
  // Two Host lines are an attack: Node joins no fields of that name, so they are seen by counting.
  if (headers.host === undefined || request.rawHeaders.length > 2 * maxFields || hostLinesOf(request.rawHeaders).length !== 1) return false
  // A pipelined response that waits behind another has no socket yet.
  return response.socket !== null && !response.socket.destroyed && canWriteBlock(response)
}

/** No filter of the route has anything to say before a hit is sent. */
function isQuick ({ filters, config, requestRules, urlRules, finishes, identityFields }: ProxyRoute): boolean {
  const { limitRate, limitIdentity, settleHit, limitForwarded, limitQuickly, ...others } = filters
  const isLimited = limitRate !== null || limitIdentity !== null || settleHit !== null || limitForwarded !== null
  if (finishes || (isLimited && limitQuickly === null) || Object.values(others).some(filter => filter !== null)) return false
  // Keys that depend on more than the URL are worked out on the long way; so are fields that clients must not send.
  return identityFields.size === 0 && changesNothing(config.cache.key) && !requestRules.changeWhatTheCacheSees && !urlRules.queryOfRequest
}
