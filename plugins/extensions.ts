/** Filters of the operator's or application's own: registers their plugins, and runs what they add on the routes that name them. */
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { guardHook, isRequestHook } from '../src/extensions/guard-hook.ts'
import type { EndFilter, ExtensionFailure, FilterOptions, FilterPhase, LoadedExtension, RequestFilter, SendingFilter, StoringFilter } from '../src/extensions/extension.ts'
import { contextOf } from '../src/extensions/own-filters.ts'
import type { FilterRegistry } from '../src/extensions/registry.ts'
import { runResponseFilters } from '../src/extensions/run.ts'
import type { FilterContext } from '../src/proxy/filter-context.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import { noteExtensionFailure } from '../src/extensions/note-failure.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Adds a filter that runs on the routes that name the extension being registered. Its options there are the last
     * argument. Throws outside of an extension.
     */
    addFilter: AddFilter
    /** What extensions have added. */
    filterRegistry: FilterRegistry
  }
  interface FastifyRequest {
    /** The request as own filters see it; null until the first of them runs. */
    filterContext: FilterContext | null
  }
}

/** `O` is the type of the options on a route, such as `Static<typeof optionsSchema>`. */
export interface AddFilter {
  <O = FilterOptions>(phase: 'onRequest' | 'preHandler', filter: RequestFilter<O>): void
  <O = FilterOptions>(phase: 'beforeStoring', filter: StoringFilter<O>): void
  <O = FilterOptions>(phase: 'beforeSending', filter: SendingFilter<O>): void
  <O = FilterOptions>(phase: 'onEnd', filter: EndFilter<O>): void
}

export interface ExtensionsOptions {
  readonly extensions: readonly LoadedExtension[]
  readonly registry: FilterRegistry
}

export default fp<ExtensionsOptions>(async function extensionsPlugin (app, { extensions, registry }) {
  let current: LoadedExtension | null = null
  app.decorateRequest('filterContext', null)
  app.decorate('filterRegistry', registry)
  app.decorate('addFilter', ((phase: FilterPhase, filter: never) => {
    if (current === null) throw new Error('addFilter is for plugins in the list of extensions, while they are registered')
    registry.add(current, phase, filter)
  }) as AddFilter)
  if (extensions.length === 0) return

  app.onRequestEnd((request, reply, end) => {
    const filters = request.forwarding?.route.filters.own?.onEnd ?? []
    if (filters.length === 0) return
    try {
      runResponseFilters(filters, 'onEnd', ({ act, options }) => act(end, contextOf(request, reply, request.forwarding as Forwarding), options))
    } catch (error) {
      noteExtensionFailure(request, error as ExtensionFailure)
    }
  })

  const { addHook } = app
  const isOwn = Object.hasOwn(app, 'addHook')
  app.addHook = function (this: FastifyInstance, name: string, hook: (...args: unknown[]) => unknown) {
    const extension = current as LoadedExtension
    if (!isRequestHook(name) || typeof hook !== 'function') return addHook.call(this, name as never, hook as never)
    if (this === app) registry.addHook(extension, name)
    const guarded = guardHook(extension.name, name, hook, failure => { app.log.error({ err: failure.cause, code: failure.code, extension: extension.name, phase: name }, 'extension failed') })
    return addHook.call(this, name as never, guarded as never)
  } as typeof app.addHook
  const { transformResponse, transformRequest } = app
  app.transformResponse = (transform, timeoutMs = current?.timeoutMs) => { transformResponse(transform, timeoutMs) }
  app.transformRequest = (transform, timeoutMs = current?.timeoutMs) => { transformRequest(transform, timeoutMs) }
  for (const extension of extensions) {
    await app.register(fp(async instance => {
      current = extension
      await register(instance, extension)
    }, { name: `extension-${extension.name}`, fastify: '5.x' }))
  }
  current = null
  if (isOwn) app.addHook = addHook
  else delete (app as { addHook?: unknown }).addHook
}, { name: 'extensions', fastify: '5.x', dependencies: ['errors', 'request-context', 'request-end', 'transforms'] })

/** A plugin may be asynchronous, call back, or do neither. */
async function register (app: FastifyInstance, { plugin, options }: LoadedExtension): Promise<void> {
  const call = plugin as (app: FastifyInstance, options: object, done?: (error?: Error) => void) => unknown
  if (plugin.length < 3) {
    await call(app, options)
    return
  }
  await new Promise<void>((resolve, reject) => {
    const result = call(app, options, error => { if (error === undefined || error === null) resolve(); else reject(error) })
    if (result instanceof Promise) result.then(() => { resolve() }, reject)
  })
}
