/** What an extension is: a Fastify plugin, and what it says of itself. */
import type { FastifyInstance } from 'fastify'
import { noFields, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import type { SchemaNode } from '../config/validate.ts'
import type { FilterContext } from '../proxy/filter-context.ts'

/** The phases of `app.addFilter`, in the order in which a request passes them. */
export const filterPhases = ['onRequest', 'preHandler', 'beforeStoring', 'beforeSending', 'onEnd'] as const
export type FilterPhase = typeof filterPhases[number]

/** Options of an extension on one route, as its schema decodes them; empty for `true`. */
export type FilterOptions = Readonly<Record<string, unknown>>

/** The head of a response on its way. What a filter does to `fields` counts; names are in lower case. */
export interface ResponseHead {
  readonly statusCode: number
  /** A list for a field that is on several lines. */
  readonly fields: MutableFieldMap
}

/**
 * What a filter before storing may know of the request: only what is in the cache key, for the response answers others, too.
 */
export interface StoringContext {
  /** Name of the route. */
  readonly route: string
  readonly method: string
  readonly scheme: string
  readonly authority: string
  /** As sent upstream. */
  readonly path: string
  /** Empty, or `?` and the rest. */
  readonly query: string
  /** What filters added to the key, by name. */
  readonly keyParts: ReadonlyMap<string, string>
}

/** How a request ended. */
export interface FilterEnd {
  /** Status sent; 499 when the client left before one was. */
  readonly statusCode: number
  /** The client did not get the whole response. */
  readonly aborted: boolean
}

/** Looks at a request and may change it, or answer it with `return context.reply.code(403).send(...)`. */
export type RequestFilter<O = FilterOptions> = (context: FilterContext, options: O) => unknown
/** Changes fields of a response once, before it is stored and passed on. Does not wait for anything. */
export type StoringFilter<O = FilterOptions> = (head: ResponseHead, context: StoringContext, options: O) => void
/** Changes fields of each response, hits included, on its way to one client. Does not wait for anything. */
export type SendingFilter<O = FilterOptions> = (head: ResponseHead, context: FilterContext, options: O) => void
/** Told once for each request, when it is over. */
export type EndFilter<O = FilterOptions> = (end: FilterEnd, context: FilterContext, options: O) => void

export interface FilterKinds<O = FilterOptions> {
  readonly onRequest: RequestFilter<O>
  readonly preHandler: RequestFilter<O>
  readonly beforeStoring: StoringFilter<O>
  readonly beforeSending: SendingFilter<O>
  readonly onEnd: EndFilter<O>
}

/** A Fastify plugin; it acts on the proxy's own instance, whether or not `fastify-plugin` is around it. */
export type ExtensionPlugin = (app: FastifyInstance, options: never, done: (error?: Error) => void) => unknown

/** An extension as an application gives it. A module exports the same: `plugin` as its default, the rest by name. */
export interface Extension {
  readonly plugin: ExtensionPlugin
  /** What routes call it by. Absent: the name that `fastify-plugin` was told, or that of the function or file. */
  readonly name?: string
  /** JSON Schema (TypeBox) of its options on a route, an object. Absent: it has none. */
  readonly optionsSchema?: object
  /** JSON Schema of its options as a whole. Absent: anything is handed on. */
  readonly pluginOptionsSchema?: object
  /** Options as a whole. */
  readonly options?: Readonly<Record<string, unknown>>
  /** How long one of its filters may take for one request, in milliseconds; 0 for no limit. Default 30,000. */
  readonly timeoutMs?: number
}

/** An extension that was loaded. */
export interface LoadedExtension {
  readonly name: string
  /** Absolute path of its module; `(application)` for one that came as a value. */
  readonly file: string
  /** Of its module: what it stored under another one is not used again. */
  readonly fingerprint: string
  readonly plugin: ExtensionPlugin
  readonly optionsSchema: SchemaNode
  readonly options: Readonly<Record<string, unknown>>
  readonly timeoutMs: number
}

/** What a filter threw, or that it took too long; the answer is 500, or 504. */
export class ExtensionFailure extends Error {
  override readonly name = 'ExtensionFailure'
  readonly extension: string
  readonly phase: string
  readonly code: 'extension_failed' | 'extension_timeout'

  constructor (extension: string, phase: string, code: ExtensionFailure['code'], cause: unknown) {
    super(`${extension} failed in ${phase}`, { cause })
    this.extension = extension
    this.phase = phase
    this.code = code
  }

  get statusCode (): 500 | 504 { return this.code === 'extension_failed' ? 500 : 504 }
}

/** Fields as they were, for a later comparison. */
export function copyFields (fields: FieldMap): FieldMap {
  const copy = noFields()
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (value !== undefined) copy[name] = typeof value === 'string' ? value : [...value]
  }
  return copy
}
