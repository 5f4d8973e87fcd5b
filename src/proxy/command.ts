/** The cache at the command of operators and applications: purges, and looks at what is stored. */
import {
  EntriesQuerySchema, EntryQuerySchema, PurgeRequestSchema, type EntriesPage, type EntriesQuery, type EntryAnswer, type PurgeResult, type PurgeSelector
} from '../admin/schemas.ts'
import { mustFit, refusal } from '../admin/request-error.ts'
import type { HttpCache } from '../cache/http-cache.ts'
import type { ListPlace } from '../cache/listing.ts'
import type { PurgeOptions } from '../cache/purging.ts'
import { entryRow, entryView } from './entry-view.ts'
import type { Runtime } from './runtime.ts'
import { selectionOf } from './selector.ts'

export interface CacheCommand {
  /** Rejects with a `RequestError` for what is no selector. */
  purge (selector: PurgeSelector, options?: PurgeOptions): Promise<PurgeResult>
  entries (query?: EntriesQuery): Promise<EntriesPage>
  /** Everything under a URL. */
  entry (url: string): Promise<EntryAnswer>
}

export interface CacheCommandInput {
  readonly cache: HttpCache
  readonly current: () => Runtime
  /** Path prefix the proxy is registered under. */
  readonly mount: string
  /** Epoch milliseconds. */
  readonly now: () => number
}

const defaultLimit = 50

export function createCacheCommand ({ cache, current, mount, now }: CacheCommandInput): CacheCommand {
  const routeOf = (scope: string) => current().routes.find(route => route.cacheScope === scope)

  return {
    async purge (selector, options = {}) {
      mustFit(PurgeRequestSchema, { ...selector, ...options })
      const { mode = 'hard', dryRun = false } = options
      const count = await cache.purge(selectionOf(current(), mount, selector), { mode, dryRun }, now())
      return { mode, dryRun, ...count }
    },

    async entries (query = {}) {
      mustFit(EntriesQuerySchema, query)
      const { tag, order = 'hits', limit = defaultLimit, cursor, prefix, host, route } = query
      const selector = { ...tag !== undefined && { tags: [tag] }, ...prefix !== undefined && { prefix }, ...host !== undefined && { host }, ...route !== undefined && { route } }
      const selection = selectionOf(current(), mount, Object.keys(selector).length === 0 ? { all: true } : selector)
      const { listed, scanned, complete } = await cache.list(selection, { order, limit, after: cursor === undefined ? null : parseCursor(cursor), seed: process.pid })
      const at = now()
      const entries = listed.map(({ entry, place }) => ({ ...entryRow(entry, routeOf(entry.scope), mount, at), cursor: formatCursor(place) }))
      return { entries, next: entries.length < limit ? null : entries.at(-1)?.cursor ?? null, scanned, complete }
    },

    async entry (url) {
      mustFit(EntryQuerySchema, { url })
      const { targets } = selectionOf(current(), mount, { url })
      const found = await cache.find(targets ?? [])
      const at = now()
      return { entries: found.map(entry => entryView(entry, routeOf(entry.scope), mount, at)) }
    }
  }
}

function formatCursor ({ value, mark }: ListPlace): string {
  return `${value}.${mark}`
}

/** Throws a `RequestError` for what no page gave. */
export function parseCursor (cursor: string): ListPlace {
  const [, value, mark] = /^(-?\d{1,16})\.(\d{1,16})$/.exec(cursor) ?? []
  if (value === undefined || mark === undefined) throw refusal('bad_cursor', '/cursor', 'must be `next` or `cursor` of a page')
  return { value: Number(value), mark: Number(mark) }
}
