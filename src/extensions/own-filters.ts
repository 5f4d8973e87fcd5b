/** The filters that extensions have for one route. */
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { UsedExtension } from '../config/extension-checks.ts'
import { linesOf } from '../forward/response-fields.ts'
import { fieldsFromLines, type FieldMap, type MutableFieldMap } from '../http/fields.ts'
import { FilterContext } from '../proxy/filter-context.ts'
import type { Forwarding } from '../proxy/forwarding.ts'
import type { OwnFilters } from '../proxy/proxy-route.ts'
import { copyFields, type FilterPhase, type LoadedExtension, type StoringContext } from './extension.ts'
import { checkChanges } from './field-checks.ts'
import type { BoundFilter, FilterRegistry } from './registry.ts'
import { runRequestFilters, runResponseFilters } from './run.ts'

/** All that is looked up is looked up once: extensions may add filters until the application is ready, and no later. */
export function createOwnFilters (registry: FilterRegistry, used: readonly UsedExtension[]): OwnFilters {
  const cached: { [P in FilterPhase]?: ReadonlyArray<BoundFilter<P>> } = {}
  const bound = <P extends FilterPhase>(phase: P): ReadonlyArray<BoundFilter<P>> => {
    const made = cached[phase] ?? used.flatMap(({ extension, options }) => registry.of(extension, phase).map(filter => ({ ...filter, options })))
    cached[phase] = made as never
    return made as ReadonlyArray<BoundFilter<P>>
  }
  const requestPhase = (phase: 'onRequest' | 'preHandler'): onRequestHookHandler => function runOwnFilters (request, reply, done) {
    const filters = bound(phase)
    if (filters.length === 0) return done()
    runRequestFilters(filters, phase, contextOf(request, reply, request.forwarding as Forwarding), done)
  }
  return {
    used,
    onRequest: requestPhase('onRequest'),
    preHandler: requestPhase('preHandler'),
    get onEnd () { return bound('onEnd') },

    beforeStoring (statusCode, fields, forwarding, method) {
      const filters = bound('beforeStoring')
      if (filters.length === 0) return
      const before = copyFields(fields)
      const context = storingContext(forwarding, method)
      const head = { statusCode, fields }
      runResponseFilters(filters, 'beforeStoring', ({ act, options, extension }) => {
        const result: unknown = act(head, context, options)
        checkFieldsOf(extension, before, head, fields)
        return result
      })
    },

    beforeSending (request, reply, statusCode, lines) {
      const filters = bound('beforeSending')
      if (filters.length === 0) return null
      const fields = fieldsFromLines(lines())
      const before = copyFields(fields)
      const head = { statusCode, fields }
      runResponseFilters(filters, 'beforeSending', ({ act, options, extension }) => {
        const result: unknown = act(head, contextOf(request, reply, request.forwarding as Forwarding), options)
        checkFieldsOf(extension, before, head, fields)
        return result
      })
      return linesOf(fields)
    }
  }
}

function checkFieldsOf (extension: LoadedExtension, before: FieldMap, head: { readonly fields: MutableFieldMap }, fields: MutableFieldMap): void {
  if (head.fields !== fields) throw new TypeError(`${extension.name} put another object in place of the fields; change the one that is there`)
  checkChanges(before, fields)
}

export function contextOf (request: FastifyRequest, reply: FastifyReply, forwarding: Forwarding): FilterContext {
  request.filterContext ??= new FilterContext(request, reply, forwarding)
  return request.filterContext
}

function storingContext ({ routeName, target, path, query, keyParts }: Forwarding, method: string): StoringContext {
  return { route: routeName, method, scheme: target.scheme, authority: target.authority, path, query, keyParts: keyParts ?? new Map<string, string>() }
}
