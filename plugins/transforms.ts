/**
 * Transformations of content: the registry of own ones, what they make of a request before its key is known, and of a response
 * that is sent. Before storing they act in `src/proxy/fetch.ts`.
 */
import { Readable } from 'node:stream'
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify'
import type { ConfigProblem } from '../src/config/problems.ts'
import type { RouteConfig } from '../src/config/schema.ts'
import { linesOf } from '../src/forward/response-fields.ts'
import { Body, bodyOf } from '../src/http/body.ts'
import { fieldsFromLines, type FieldMap, type MutableFieldMap } from '../src/http/fields.ts'
import { lineId } from '../src/observe/line-id.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { ContentTooLarge, limitContent } from '../src/proxy/limit-content.ts'
import type { Coding } from '../src/transform/codings.ts'
import type { CompressionCounts } from '../src/transform/compression.ts'
import type { HeldBytes } from '../src/transform/content.ts'
import type { TransformStatistics } from '../src/transform/statistics.ts'
import { transformRequest } from '../src/transform/request-chain.ts'
import { createRouteTransforms, namedTransforms, type RouteTransforms, type TransformChoice } from '../src/transform/route-transforms.ts'
import { checkTransform, TransformError, type Registered, type RequestTransform, type ResponseHead, type ResponseTransform, type TransformTarget } from '../src/transform/transform.ts'
import { sendError } from './errors.ts'
import { isOver, respond, type OutgoingResponse } from './respond.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Registers a transformation of response content, for routes that name it; before the routes are made.
     * @param timeoutMs how long it may keep its content waiting; that of the extension, or of all, where it is left out
     */
    transformResponse: (transform: ResponseTransform, timeoutMs?: number) => void
    /** Registers a transformation of request content. */
    transformRequest: (transform: RequestTransform, timeoutMs?: number) => void
    /** What the settings of a route, the one at `index`, ask for; null for nothing. What it names that is not registered is reported. */
    createRouteTransforms: (route: RouteConfig, index: number, report: (problem: ConfigProblem) => void) => RouteTransforms | null
    /** preHandler: coding, preconditions and content of the request, as cache and upstream are to see them. */
    prepareTransforms: preHandlerHookHandler
    /** `respond` for routes with transformations before sending. */
    respondTransformed: RespondTransformed
    /** A transformation failed: logs and counts it. */
    noteTransformError: NoteTransformError
    transformStatistics: () => TransformStatistics
  }
}

/** Named outside of the augmentation, for the published declarations. */
export type RespondTransformed = (request: FastifyRequest, reply: FastifyReply, response: OutgoingResponse) => void
export type NoteTransformError = (request: FastifyRequest, error: TransformError) => void

export interface TransformsOptions {
  readonly responses?: readonly ResponseTransform[]
  readonly requests?: readonly RequestTransform[]
  /** Bytes of content that transformations of whole contents may hold together; 64 MiB by default. */
  readonly maxHeldBytes?: number
  /** How long one may give nothing and ask for nothing, in milliseconds; 0 for no limit. 30,000 by default. Extensions have their own `timeout`. */
  readonly timeoutMs?: number
}

const defaultHeldBytes = 64 * 1024 * 1024
/** The same as of filters of extensions. */
const defaultTimeoutMs = 30_000

export default fp<TransformsOptions>(async function transforms (app, options) {
  const responses = new Map<string, Registered<ResponseTransform>>()
  const requests = new Map<string, Registered<RequestTransform>>()
  const { timeoutMs: usualMs = defaultTimeoutMs } = options
  const held: HeldBytes = { maxBytes: options.maxHeldBytes ?? defaultHeldBytes, usedBytes: 0 }
  const none: Record<Coding, number> = { zstd: 0, br: 0, gzip: 0 }
  const compression: CompressionCounts = { compressed: none, skipped: 0, running: 0 }
  const failures = new Map<string, { transform: string, code: string, count: number }>()

  function register<T extends ResponseTransform | RequestTransform> (registered: Map<string, Registered<T>>, transform: T, timeoutMs = usualMs): void {
    checkTransform(transform)
    if (registered.has(transform.name)) throw new TypeError(`transform ${transform.name} is registered already`)
    registered.set(transform.name, { transform, timeoutMs })
  }
  app.decorate('transformResponse', (transform: ResponseTransform, timeoutMs?: number) => { register(responses, transform, timeoutMs) })
  app.decorate('transformRequest', (transform: RequestTransform, timeoutMs?: number) => { register(requests, transform, timeoutMs) })
  for (const transform of options.responses ?? []) register(responses, transform)
  for (const transform of options.requests ?? []) register(requests, transform)

  app.decorate('createRouteTransforms', (route: RouteConfig, index: number, report: (problem: ConfigProblem) => void) => createRouteTransforms(route, namedTransforms(route, index, report, responses, requests), compression, held))

  app.decorate('transformStatistics', (): TransformStatistics => ({ compression, failures: [...failures.values()], heldBytes: held.usedBytes }))

  app.decorate('noteTransformError', (request: FastifyRequest, error: TransformError): void => {
    const { transform, code } = error
    const key = `${transform} ${code}`
    const counted = failures.get(key)
    // Names come from the configuration: there are as many as it has.
    if (counted === undefined) failures.set(key, { transform, code, count: 1 })
    else counted.count++
    request.log.error({ ...lineId(request), route: request.forwarding?.routeName, transform, code, err: error.cause }, 'transformation failed')
  })

  app.decorate('prepareTransforms', (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const forwarding = request.forwarding as Forwarding
    const { transforms } = forwarding.route.filters
    if (transforms === null) return done()
    const { choice, changes } = transforms.choose(request.method, forwarding.fields ?? request.headers)
    forwarding.transforming = choice
    changeFields(request, changes)
    if (transforms.requests.length === 0 || !forwarding.hasContent) return done()
    transformContent(request, reply, transforms, done)
  })

  function transformContent (request: FastifyRequest, reply: FastifyReply, transforms: RouteTransforms, done: () => void): void {
    const forwarding = request.forwarding as Forwarding
    const { maxBodyBytes } = forwarding.route
    if (Number(request.headers['content-length'] ?? 0) > maxBodyBytes) return sendError(request, reply, 413, 'payload_too_large')
    const head = { method: request.method, fields: forwarding.fields ?? request.headers, target: targetOf(forwarding), forwarding }
    const open = (): Readable => limitContent(request.raw, reply.raw, maxBodyBytes)
    transformRequest(transforms.requests, head, open, held, (error, transformed) => {
      if (transformed !== undefined) {
        const { content } = transformed
        if (content !== null) {
          forwarding.content = content
          // Whoever answers without asking the upstream leaves it unread.
          reply.raw.once('close', () => { content.destroy() })
          content.on('error', () => {})
          changeFields(request, transformed.changes)
        }
        return done()
      }
      // A client that left while its content was read.
      if (isOver(reply.raw)) {
        reply.hijack()
        return
      }
      if (error instanceof ContentTooLarge || (error instanceof TransformError && error.code === 'transform_too_large')) return sendError(request, reply, 413, 'payload_too_large')
      if (!(error instanceof TransformError)) return sendError(request, reply, 400, 'client_body_failed')
      app.noteTransformError(request, error)
      sendTransformError(request, reply, error)
    })
  }

  app.decorate('respondTransformed', (request: FastifyRequest, reply: FastifyReply, response: OutgoingResponse): void => {
    const forwarding = request.forwarding as Forwarding
    const choice = forwarding.transforming as TransformChoice
    const transforms = forwarding.route.filters.transforms as RouteTransforms
    const { statusCode, ownLines } = response
    const fields = fieldsFromLines(response.lines)
    if (statusCode === 304) {
      transforms.confirmSent(fields, choice)
      return respond(request, reply, { statusCode, lines: linesOf(fields), ownLines, body: null })
    }
    const { body } = response
    const content = body === null || request.method === 'HEAD' ? null : body instanceof Body ? body.stream() : Readable.from([typeof body === 'string' ? Buffer.from(body, 'latin1') : body], { objectMode: false })
    if (content === null && body instanceof Body) body.destroy()
    const head: ResponseHead = { statusCode, fields, target: targetOf(forwarding), forwarding }
    transforms.apply(choice.sending, head, content, (error, transformed) => {
      if (transformed !== undefined) {
        transformed.body?.once('error', error => { noteCutShort(request, error) })
        return respond(request, reply, { statusCode, lines: linesOf(transformed.fields), ownLines, body: transformed.body === null ? null : bodyOf(transformed.body) })
      }
      if (isOver(reply.raw)) {
        reply.hijack()
        return
      }
      if (!(error instanceof TransformError)) return sendError(request, reply, 502, 'upstream_reset')
      app.noteTransformError(request, error)
      sendTransformError(request, reply, error)
    })
  })

  function noteCutShort (request: FastifyRequest, error: Error): void {
    if (!(error instanceof TransformError)) return
    request.errorCode = error.code
    if (request.forwarding !== null) request.forwarding.errorCode = error.code
    app.noteTransformError(request, error)
  }
}, { name: 'transforms', fastify: '5.x', dependencies: ['errors'] })

const statusOf: Readonly<Record<TransformError['code'], number>> = { transform_failed: 500, transform_timeout: 504, transform_too_large: 502, transform_busy: 503 }

function sendTransformError (request: FastifyRequest, reply: FastifyReply, { code }: TransformError): void {
  if (code === 'transform_busy') reply.header('retry-after', '1')
  sendError(request, reply, statusOf[code], code)
}

export function targetOf ({ routeName, target, path, query }: Forwarding): TransformTarget {
  return { route: routeName, scheme: target.scheme, authority: target.authority, path, query }
}

/** Cache and upstream read the request's own fields. */
function changeFields (request: FastifyRequest, changes: FieldMap): void {
  const { headers, forwarding } = request
  const rewritten = forwarding?.fields ?? headers
  for (const fields of new Set<object>([headers, rewritten])) {
    const mutable = fields as MutableFieldMap
    for (const name of Object.keys(changes)) {
      if (changes[name] === undefined) delete mutable[name]
      else mutable[name] = changes[name] as string
    }
  }
  // An application that has put fields on the request got a copy.
  if (headers !== request.raw.headers) request.headers = headers
}
