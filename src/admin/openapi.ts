/** The admin API as an OpenAPI 3.1 document, made from the routes themselves and the schemas they validate with. */
import type { TObject, TSchema } from 'typebox'
import { ErrorSchema } from './schemas.ts'

/** What a route says of itself. */
export interface RouteDoc {
  readonly summary: string
  /** Of the answer with status 200: a schema of JSON, or `text`. */
  readonly answer: TSchema | 'text'
  /** Other statuses with the same kind of answer, and what they mean. */
  readonly alike?: Readonly<Record<number, string>>
  /** Statuses of errors, and what they mean. */
  readonly errors?: Readonly<Record<number, string>>
  /** Answered without the token, too. */
  readonly open?: boolean
}

export interface DocumentedRoute {
  readonly method: string
  readonly url: string
  readonly doc: RouteDoc
  readonly body?: TSchema
  readonly querystring?: TObject
}

/** @param secured the listener asks for a token */
export function createOpenapi (routes: readonly DocumentedRoute[], version: string, secured: boolean): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) paths[route.url] = { ...paths[route.url], [route.method.toLowerCase()]: operation(route, secured) }
  return {
    openapi: '3.1.0',
    info: { title: 'Holdfast admin API', version, description: 'For operators: health, numbers, what is stored, purges, reload.' },
    servers: [{ url: '/' }],
    ...secured && { security: [{ token: [] }] },
    paths,
    components: {
      schemas: { Error: plain(ErrorSchema) },
      ...secured && { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: '`admin.token` of the configuration.' } } }
    }
  }
}

function operation ({ method, url, doc, body, querystring }: DocumentedRoute, secured: boolean): object {
  const errors = { ...doc.errors, ...secured && doc.open !== true && { 401: 'The token is missing or wrong.' } }
  const content = doc.answer === 'text' ? { 'text/plain': { schema: { type: 'string' } } } : { 'application/json': { schema: plain(doc.answer) } }
  return {
    operationId: `${method.toLowerCase()}${url.replaceAll(/[/.](\w)/g, (_match, letter: string) => letter.toUpperCase())}`,
    summary: doc.summary,
    ...doc.open === true && { security: [] },
    ...querystring !== undefined && { parameters: parametersOf(querystring) },
    ...body !== undefined && { requestBody: { required: true, content: { 'application/json': { schema: plain(body) } } } },
    responses: {
      200: { description: 'Done.', content },
      ...Object.fromEntries(Object.entries(doc.alike ?? {}).map(([status, description]) => [status, { description, content }])),
      ...Object.fromEntries(Object.entries(errors).map(([status, description]) => [status, { description, content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } } }]))
    }
  }
}

function parametersOf (querystring: TObject): object[] {
  const required = new Set((querystring.required ?? []) as string[])
  return Object.entries(querystring.properties).map(([name, schema]) => {
    const { description, ...rest } = plain(schema) as { description?: string }
    return { name, in: 'query', required: required.has(name), ...description !== undefined && { description }, schema: rest }
  })
}

/** Without what is TypeBox's own, and without `expected`, which only our validation knows. */
function plain (schema: TSchema): object {
  return JSON.parse(JSON.stringify(schema, (name, value: unknown) => name === 'expected' || name.startsWith('~') ? undefined : value)) as object
}
