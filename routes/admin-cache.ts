/** The cache for operators: purges, and a look at what is stored. */
import type { FastifyInstance } from 'fastify'
import {
  EntriesPageSchema, EntriesQuerySchema, EntryAnswerSchema, EntryQuerySchema, PurgeRequestSchema, PurgeResultSchema,
  type EntriesPage, type EntriesQuery, type EntryAnswer, type EntryQuery, type PurgeRequest, type PurgeResult
} from '../src/admin/schemas.ts'

export interface AdminCacheRoutesOptions {
  readonly purge: (request: PurgeRequest) => Promise<PurgeResult>
  readonly entries: (query: EntriesQuery) => Promise<EntriesPage>
  readonly entry: (query: EntryQuery) => Promise<EntryAnswer>
}

const errors = { 400: 'What was asked cannot be meant; `problems` says why.', 503: 'Too many are under way, or not every worker answered.' }

export default async function adminCacheRoutes (app: FastifyInstance, options: AdminCacheRoutesOptions): Promise<void> {
  app.post<{ Body: PurgeRequest }>('/cache/purge', {
    schema: { body: PurgeRequestSchema },
    config: { doc: { summary: 'Takes stored responses out of the cache, or makes them stale', answer: PurgeResultSchema, errors: { ...errors, 413: 'The content is larger than 64 KiB.', 415: 'The content is not said to be JSON.' } } }
  }, async request => await options.purge(request.body))

  app.get<{ Querystring: EntriesQuery }>('/cache/entries', {
    schema: { querystring: EntriesQuerySchema },
    config: { doc: { summary: 'A page of what is stored', answer: EntriesPageSchema, errors } }
  }, async request => await options.entries(request.query))

  app.get<{ Querystring: EntryQuery }>('/cache/entry', {
    schema: { querystring: EntryQuerySchema },
    config: { doc: { summary: 'Everything that is stored under a URL, with what decides on its use', answer: EntryAnswerSchema, errors } }
  }, async request => await options.entry(request.query))
}
