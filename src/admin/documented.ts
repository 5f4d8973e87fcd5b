/** Collects what the routes of the admin listener say of themselves, and validates what they take. */
import type { FastifyInstance, RouteOptions } from 'fastify'
import type { TObject, TSchema } from 'typebox'
import { mustFit } from './request-error.ts'
import type { DocumentedRoute, RouteDoc } from './openapi.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a route of the admin API says of itself. */
    doc?: RouteDoc
  }
}

/** The routes registered on `app` from now on; the list grows with them. */
export function collectRoutes (app: FastifyInstance): readonly DocumentedRoute[] {
  const routes: DocumentedRoute[] = []
  app.addHook('onRoute', ({ method, url, config, schema }: RouteOptions) => {
    if (config?.doc === undefined) return
    for (const one of typeof method === 'string' ? [method] : method) {
      if (one === 'HEAD') continue
      const { body, querystring } = (schema ?? {}) as { body?: TSchema, querystring?: TObject }
      routes.push({ method: one, url, doc: config.doc, ...body !== undefined && { body }, ...querystring !== undefined && { querystring } })
    }
  })
  return routes
}

/** Our own validation in place of Fastify's: unknown members are refused and not dropped, and every fault has its place. */
export function useOwnValidation (app: FastifyInstance): void {
  app.setValidatorCompiler<TSchema>(({ schema, httpPart }) => data => {
    const value = httpPart === 'querystring' ? withNumbers(data as Record<string, unknown>, schema as TObject) : data
    try {
      mustFit(schema, value)
      return { value }
    } catch (error) {
      return { error: error as Error }
    }
  })
}

/** Everything in a query is text: whole numbers are read where the schema wants one. */
function withNumbers (query: Record<string, unknown>, schema: TObject): Record<string, unknown> {
  const read = Object.entries(query).map(([name, value]) => {
    const isNumber = (schema.properties[name] as { type?: string } | undefined)?.type === 'integer' && typeof value === 'string' && /^\d{1,9}$/.test(value)
    return [name, isNumber ? Number(value) : value] as const
  })
  return Object.fromEntries(read)
}
