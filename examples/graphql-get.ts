/**
 * Gives GraphQL queries that ask for the same one key: white space, comments, commas, the order of variables, arguments
 * and parameters no longer matter. What cannot be read is forwarded as it is and not stored.
 */
import type { FastifyInstance } from 'fastify'
import { Kind, parse, print, stripIgnoredCharacters, visit, type DocumentNode } from 'graphql'
import type {} from '../src/index.ts'

export const name = 'graphql-get'

export const optionsSchema = {
  type: 'object',
  properties: {
    maxLength: { type: 'integer', minimum: 1, default: 8192, description: 'Characters of a query string that are looked at; longer ones are not stored.' },
    maxTokens: { type: 'integer', minimum: 1, default: 2000, description: 'Tokens of a query; with more it is not stored.' }
  }
} as const

interface Options { readonly maxLength: number, readonly maxTokens: number }

/** Parameters of GraphQL over HTTP. */
const parameters = ['query', 'operationName', 'variables', 'extensions'] as const

export default async function graphqlGet (app: FastifyInstance): Promise<void> {
  app.addFilter<Options>('preHandler', (context, { maxLength, maxTokens }) => {
    if (context.request.method !== 'GET' || context.query === '') return undefined
    const normalised = context.query.length > maxLength ? null : normalise(context.query, maxTokens)
    if (normalised === null) return context.bypassCache()
    // A GET must change nothing (RFC 9110 9.2.1).
    if (normalised === 'changes') return context.reply.code(405).header('allow', 'POST').send('Mutations are sent with POST.')
    context.setQuery(normalised)
    return undefined
  })
}

function normalise (search: string, maxTokens: number): string | 'changes' | null {
  const given = new URLSearchParams(search)
  const kept: string[] = []
  for (const key of parameters) {
    const [value, ...more] = given.getAll(key)
    if (more.length > 0) return null
    if (value === undefined) continue
    const text = key === 'query' ? normaliseQuery(value, maxTokens) : key === 'operationName' ? value : normaliseJson(value)
    if (text === null || text === 'changes') return text
    kept.push(`${key}=${encodeURIComponent(text)}`)
  }
  const others = [...given].filter(([key]) => !(parameters as readonly string[]).includes(key)).sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0)
  return `?${[...kept, ...others.map(pair => pair.map(encodeURIComponent).join('='))].join('&')}`
}

function normaliseQuery (text: string, maxTokens: number): string | 'changes' | null {
  let document: DocumentNode
  try {
    document = parse(text, { noLocation: true, maxTokens })
  } catch {
    return null
  }
  if (document.definitions.some(definition => definition.kind === Kind.OPERATION_DEFINITION && definition.operation !== 'query')) return 'changes'
  const sorted = visit(document, {
    OperationDefinition: node => node.variableDefinitions === undefined ? undefined : { ...node, variableDefinitions: node.variableDefinitions.toSorted((a, b) => compare(a.variable.name.value, b.variable.name.value)) },
    Field: node => node.arguments === undefined ? undefined : { ...node, arguments: node.arguments.toSorted((a, b) => compare(a.name.value, b.name.value)) }
  })
  return stripIgnoredCharacters(print(sorted))
}

/** With the names of each object in order; null for what is no JSON, or has numbers that would lose digits. */
function normaliseJson (text: string): string | null {
  if (/\d{16}|\d[eE]|\d\.\d{15}/.test(text)) return null
  try {
    return JSON.stringify(JSON.parse(text), (_key, value: unknown) => typeof value !== 'object' || value === null || Array.isArray(value)
      ? value
      : Object.fromEntries(Object.entries(value).sort(([a], [b]) => compare(a, b))))
  } catch {
    return null
  }
}

function compare (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
