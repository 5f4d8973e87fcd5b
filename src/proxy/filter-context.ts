/**
 * A request as own filters see it. What a filter changes here holds for the cache key and the upstream alike; it comes too
 * late once the cache was asked, which is an error.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CacheOutcome } from '../cache/status.ts'
import { checkField } from '../extensions/field-checks.ts'
import { normaliseTarget, type RequestTarget } from '../http/target.ts'
import { pathParameters } from '../routing/path-parameters.ts'
import type { Forwarding } from './forwarding.ts'
import type { Identity } from './identity.ts'

/** Bounds of what filters may add to the key of one request. */
const maxKeyParts = 16
const maxKeyPartLength = 1024

export class FilterContext {
  readonly request: FastifyRequest
  /** To answer the request: `return context.reply.code(403).send('no')`. Nothing is forwarded or stored then. */
  readonly reply: FastifyReply
  readonly #forwarding: Forwarding

  constructor (request: FastifyRequest, reply: FastifyReply, forwarding: Forwarding) {
    this.request = request
    this.reply = reply
    this.#forwarding = forwarding
  }

  /** Name of the route. */
  get route (): string { return this.#forwarding.routeName }

  /** What the client asked for, normalised. */
  get target (): RequestTarget { return this.#forwarding.target }

  /** Path as it goes upstream and into the key; before `rewrite` in the request phases. */
  get path (): string { return this.#forwarding.path }

  /** Query as it goes upstream and into the key: empty, or `?` and the rest. */
  get query (): string { return this.#forwarding.query }

  /** Segments that `:name` in the path of the route stands for, percent-encoded as received. */
  get params (): Readonly<Record<string, string>> {
    const { route, target, prefix } = this.#forwarding
    return pathParameters(route.config.match.path, target.path.slice(prefix.length) || '/')
  }

  /** Address of the client, taken from forwarding fields only behind a trusted proxy. */
  get clientAddress (): string { return this.#forwarding.clientAddress }

  /** Who asks; null before authentication, and where nobody has to say. */
  get identity (): Identity | null { return this.#forwarding.identity }

  /** How the cache handled the request; null until it was asked. */
  get outcome (): CacheOutcome | null { return this.request.cacheOutcome }

  /** What filters added to the key, by name. */
  get keyParts (): ReadonlyMap<string, string> { return this.#forwarding.keyParts ?? none }

  /** @param path absolute, without query; brought into its normal form; throws a `TypeError` for what has none */
  setPath (path: string): void { this.#setTarget(path, this.#forwarding.query) }

  /** @param query empty, or `?` and the rest, percent-encoded */
  setQuery (query: string): void { this.#setTarget(this.#forwarding.path, query) }

  /**
   * Sets a field of the request, as the rest of the chain, `Vary`, the key and the upstream see it.
   * @param name in any letter case; throws a `TypeError` for fields of framing, and for values with control characters
   */
  setField (name: string, value: string): void {
    this.#early()
    const lower = this.#checked(name, value)
    this.request.headers[lower] = value
    this.#changes().add(lower)
  }

  removeField (name: string): void {
    this.#early()
    const lower = this.#checked(name, '')
    delete this.request.headers[lower]
    this.#changes().add(lower)
  }

  /** Tells requests of one URI apart: with another value a response is stored apart. The same name again replaces it. */
  addKeyPart (name: string, value: string): void {
    this.#early()
    if (typeof name !== 'string' || typeof value !== 'string' || name === '' || name.length + value.length > maxKeyPartLength) {
      throw new TypeError(`a part of the key is a name and text of together at most ${maxKeyPartLength} characters`)
    }
    const parts = this.#forwarding.keyParts ??= new Map()
    if (parts.size >= maxKeyParts && !parts.has(name)) throw new TypeError(`at most ${maxKeyParts} parts can be added to the key of a request`)
    parts.set(name, value)
  }

  /** The request is forwarded, and its response not stored. */
  bypassCache (): void {
    this.#early()
    this.#forwarding.bypassCache = true
  }

  #early (): void {
    if (this.#forwarding.lookup !== null) throw new Error('too late: the cache was asked already')
  }

  #changes (): Set<string> {
    this.#forwarding.ownFields ??= new Set()
    return this.#forwarding.ownFields
  }

  #checked (name: string, value: unknown): string {
    const lower = String(name).toLowerCase()
    checkField(lower, value)
    if (lower === 'host' || lower === 'expect') throw new TypeError(`the field ${lower} is the proxy's own to set`)
    return lower
  }

  #setTarget (path: string, query: string): void {
    this.#early()
    const { target, runtime } = this.#forwarding
    if (!/^\/[^?#]*$/.test(path)) throw new TypeError('a path begins with / and has neither query nor fragment')
    if (!/^(?:\?[^#]*)?$/.test(query)) throw new TypeError('a query is empty, or ? and the rest without fragment')
    const decision = normaliseTarget({
      method: 'GET', target: path + query, hostLines: target.authority === '' ? [] : [target.authority], httpVersion: '1.0', scheme: target.scheme, mergeSlashes: runtime.config.server.mergeSlashes
    })
    if (!decision.ok) throw new TypeError(`the target is refused: ${decision.reason}`)
    this.#forwarding.path = decision.target.path
    this.#forwarding.query = decision.target.query
  }
}

const none: ReadonlyMap<string, string> = new Map()
