/**
 * Finds answers to the plainest hits before Fastify's routing.
 *
 * Most requests to a busy cache are a GET without content, for a route whose filters have nothing to ask, that one fresh
 * stored response answers. For them the story of `routes/proxy.ts` comes down to what stands here, done with the same
 * functions: an answer is found, which changes nothing; it is taken once its writer knows that it can go through with it;
 * and it is accounted for when it has left. What is not taken goes the long way from its beginning, so no case is decided
 * here that is not decided there. Who writes them is `quick-hits.ts` for HTTP/1.1, and `quick-streams.ts` for HTTP/2.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { changesNothing } from '../cache/key.ts'
import type { CacheHit, HttpCache } from '../cache/http-cache.ts'
import { PackedEntry } from '../cache/packed-entry.ts'
import { cacheStatusValue } from '../cache/status.ts'
import { clientOf } from '../forward/forwarded.ts'
import type { AccessLog } from '../observe/access-record.ts'
import { count, type RequestTallies, type Tally } from '../observe/request-tally.ts'
import { cutCodeOf } from '../proxy/cut.ts'
import { createKnownTargets, knownTarget, requestOf, type LookedAt } from '../proxy/known-targets.ts'
import type { ProxyRoute } from '../proxy/proxy-route.ts'
import type { Runtime } from '../proxy/runtime.ts'
import { blockOf, type StoredBlock } from '../proxy/stored-block.ts'

export interface QuickAnswersInput {
  readonly cache: HttpCache
  readonly runtime: () => Runtime
  /** Name of this cache in `Cache-Status`. */
  readonly identifier: string
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly requestId: (request: { readonly headers: IncomingHttpHeaders }) => string
  readonly tallies: RequestTallies
  /** Null: no access log. */
  readonly log: AccessLog | null
}

/** An answer that was found, with what has to be known of its request when it is over. */
export interface QuickAnswer {
  readonly method: string
  readonly route: ProxyRoute
  readonly path: string
  readonly client: string
  /** Of `performance.now()`. */
  readonly startedAt: number
  readonly hit: CacheHit
  readonly block: StoredBlock
  /** Known once it is taken: the request's id, and lines of rate limits, each with its CRLF. */
  id: string
  limitLines: string
}

export interface QuickAnswers {
  /**
   * @param request where the long way finds what was worked out; in it is the field map
   * @param connection the scheme of the connection itself
   * @returns null when the request takes the long way
   */
  find (request: LookedAt & { readonly headers: IncomingHttpHeaders }, method: string, connection: 'http' | 'https', host: string, url: string, peer: string): QuickAnswer | null
  /** Charges and counts the hit and names it. False, and nothing has changed, where a limit stands against it. */
  take (answer: QuickAnswer, request: { readonly headers: IncomingHttpHeaders }): boolean
  /** The value of `Cache-Status`. */
  status (answer: QuickAnswer): string
  /**
   * Counts and logs the request when it is over.
   * @param response what `noteCut` was told of
   * @param aborted the client has not got all of it
   */
  finish (answer: QuickAnswer, http: '1.1' | '2.0', response: object, aborted: boolean): void
}

export function createQuickAnswers (input: QuickAnswersInput): QuickAnswers {
  const { cache, identifier } = input
  let current = input.runtime()
  let targets = createKnownTargets(current, isQuick)
  const usual = new WeakMap<ProxyRoute, Tally>()

  function tallyOf (route: ProxyRoute, method: string, statusCode: number): Tally {
    if (method !== 'GET' || statusCode !== 200) return input.tallies.of(route.name, method, statusCode, 'hit')
    let tally = usual.get(route)
    if (tally === undefined) usual.set(route, tally = input.tallies.of(route.name, method, statusCode, 'hit'))
    return tally
  }

  return {
    find (request, method, connection, host, url, peer) {
      const startedAt = performance.now()
      const runtime = input.runtime()
      if (runtime !== current) {
        current = runtime
        targets = createKnownTargets(runtime, isQuick)
      }
      const { headers } = request
      const client = clientOf(peer, headers, runtime.trust)
      const known = targets.of(method, client.scheme ?? connection, host, url)
      if (known === null) return null
      const hit = cache.findHit(known.key, requestOf(known, headers), input.now())
      if (hit === null) {
        request[knownTarget] = known
        return null
      }
      const block = blockOf(hit)
      return block === null ? null : { method, route: known.route, path: known.target.path, client: client.address, startedAt, hit, block, id: '', limitLines: '' }
    },

    take (answer, request) {
      const { limitQuickly } = answer.route.filters
      if (limitQuickly !== null) {
        const lines = limitQuickly(answer.client, request.headers)
        if (lines === null) return false
        answer.limitLines = lines
      }
      cache.noteHit(answer.hit)
      answer.id = input.requestId(request)
      return true
    },

    // Blocks are made of packed entries alone.
    status: ({ hit }) => cacheStatusValue((hit.entry as PackedEntry).cacheStatus, identifier, hit.outcome),

    finish ({ id, method, route, path, client, startedAt, hit, block }, http, response, aborted) {
      const durationMs = performance.now() - startedAt
      count(tallyOf(route, method, block.statusCode), durationMs / 1000)
      if (input.log === null) return
      const code = cutCodeOf(response) ?? (aborted ? 'cancelled' : null)
      input.log({
        reqId: id,
        method,
        path,
        route: route.name,
        status: block.statusCode,
        cache: 'hit',
        client,
        http,
        durationMs: Math.round(durationMs * 1000) / 1000,
        bytes: block.contentBytes,
        reason: hit.outcome.detail ?? undefined,
        code: code ?? undefined,
        aborted: aborted ? true : undefined
      })
    }
  }
}

/** No filter of the route has anything to say before a hit is sent. */
function isQuick ({ filters, config, requestRules, urlRules, finishes, identityFields }: ProxyRoute): boolean {
  const { limitRate, limitIdentity, settleHit, limitForwarded, limitQuickly, ...others } = filters
  const isLimited = limitRate !== null || limitIdentity !== null || settleHit !== null || limitForwarded !== null
  if (finishes || (isLimited && limitQuickly === null) || Object.values(others).some(filter => filter !== null)) return false
  // Keys that depend on more than the URL are worked out on the long way; so are fields that clients must not send.
  return identityFields.size === 0 && changesNothing(config.cache.key) && !requestRules.changeWhatTheCacheSees && !urlRules.queryOfRequest
}
