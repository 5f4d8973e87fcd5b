/**
 * The steps of an answer, one by one, as functions of a number: inputs differ from call to call, for what is always the
 * same would be computed once by V8. They are those of the checkout at `root`.
 */
import { join } from 'node:path'
import type { CacheForward, CacheHit, CacheRequest } from '../../src/cache/http-cache.ts'
import { authority, cacheRequest, requestFields } from '../lib/cache-request.ts'

const now = Date.UTC(2026, 5, 1, 12)
const stored = 1000
const pathOf = (i: number): string => `/catalogue/articles/${1_000_000 + i % stored}/details.json`
const etagOf = (i: number): string => `"${100_000 + i % stored}"`
const fieldsOf = (i: number): Record<string, string> => ({
  date: 'Mon, 01 Jun 2026 12:00:00 GMT',
  'content-type': 'application/json; charset=utf-8',
  'content-length': '1024',
  'cache-control': `public, max-age=${36_000 + i % stored}, stale-while-revalidate=60`,
  etag: etagOf(i),
  'last-modified': 'Sun, 31 May 2026 07:30:00 GMT',
  vary: 'Accept-Encoding',
  server: 'nginx/1.27.3'
})

/** Gives back something that depends on what was done, so that it is done. */
export type Operation = (i: number) => unknown

export async function createOperations (root: string): Promise<Readonly<Record<string, Operation>>> {
  const from = async <M>(path: string): Promise<M> => await import(join(root, 'src', path)) as M
  const { parseCacheControl } = await from<typeof import('../../src/http/cache-control.ts')>('http/cache-control.ts')
  const { normaliseTarget } = await from<typeof import('../../src/http/target.ts')>('http/target.ts')
  const { isNotModified } = await from<typeof import('../../src/http/preconditions.ts')>('http/preconditions.ts')
  const { primaryKey } = await from<typeof import('../../src/cache/key.ts')>('cache/key.ts')
  const { createHttpCache } = await from<typeof import('../../src/cache/http-cache.ts')>('cache/http-cache.ts')
  const { createMemoryStore } = await from<typeof import('../../src/cache/memory-store.ts')>('cache/memory-store.ts')
  const { decideReuse } = await from<typeof import('../../src/cache/reuse.ts')>('cache/reuse.ts')
  const { decideStoring } = await from<typeof import('../../src/cache/storing.ts')>('cache/storing.ts')
  const { answerRange } = await from<typeof import('../../src/cache/range-answer.ts')>('cache/range-answer.ts')
  const { selects } = await from<typeof import('../../src/cache/vary.ts')>('cache/vary.ts')
  const { resolveConfig } = await from<typeof import('../../src/config/load.ts')>('config/load.ts')

  const config = resolveConfig({ upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'default', upstream: 'default' }] })
  const rules = config.routes[0]?.cache as CacheRequest['rules']
  const requestOf = (i: number): CacheRequest => cacheRequest(pathOf(i), rules)
  const store = createMemoryStore({ maxBytes: 2 ** 30, maxEntries: 2 * stored, maxVariants: 32 })
  const cache = createHttpCache({ store, onFailure (error) { throw error } })
  const content = Buffer.alloc(1024, '{"name":"value"},')
  for (let i = 0; i < stored; i++) {
    const response = { statusCode: 200, fields: fieldsOf(i), requestedAt: now - 12, receivedAt: now, locatesTarget: false }
    const { recording } = cache.record(cache.lookup(requestOf(i), now) as CacheForward, response, content.length)
    recording?.write(content)
    recording?.complete()
  }
  const some = <T>(make: (i: number) => T): readonly T[] => Array.from({ length: stored }, (_, i) => make(i))
  const hits = some(i => cache.lookup(requestOf(i), now) as CacheHit)
  if (!hits.every(({ action }) => action === 'hit')) throw new Error('what was stored is not found')
  const entries = hits.map(({ entry }) => entry)
  const responses = entries.map(({ response }) => response)
  const requests = some(i => requestOf(i))
  const keys = new Set(requests.map(primaryKey))
  const absent = some(i => ({ ...requestOf(i), path: `/absent/${i}` }))
  const exchanges = some(i => ({
    method: 'GET',
    requestFields,
    requestControl: parseCacheControl(requestFields),
    authenticated: false,
    common: false,
    personal: false,
    hasContent: false,
    ranged: false,
    statusCode: 200,
    fields: fieldsOf(i),
    control: parseCacheControl(fieldsOf(i)),
    targeted: false,
    locatesTarget: false,
    rules,
    receivedAt: now
  }))
  const responseFields = some(fieldsOf)
  const conditional = some(i => ({ 'if-none-match': `"other", ${etagOf(i)}` }))
  const ranged = some(i => ({ method: 'GET', fields: { range: `bytes=${i % 500}-${i % 500 + 99}` } }))
  const accepting = some(i => ({ 'accept-encoding': i % 2 === 0 ? 'br, gzip' : 'gzip;q=1, br;q=1' }))

  return {
    'parse Cache-Control': i => parseCacheControl(responseFields[i % stored] as Record<string, string>).maxAge,
    'normalise a target': i => normaliseTarget({ method: 'GET', target: pathOf(i), hostLines: [authority], httpVersion: '1.1', scheme: 'https', mergeSlashes: false }).ok,
    // Joined text is only put together when somebody looks into it.
    'make a key and look into it': i => keys.has(primaryKey(requests[i % stored] as CacheRequest)),
    'look up, hit': i => cache.lookup(requests[i % stored] as CacheRequest, now).action,
    'look up, miss': i => cache.lookup(absent[i % stored] as CacheRequest, now).action,
    'decide on reuse': i => decideReuse(responses[i % stored] as (typeof responses)[number], null, rules, now + i % 1000).reuse,
    'decide on storing': i => decideStoring(exchanges[i % stored] as (typeof exchanges)[number]).store,
    'match Vary, the same spelling': i => selects(requestFields, (responses[i % stored] as (typeof responses)[number]).selecting, 'normalise'),
    'match Vary, another spelling': i => selects(accepting[i % stored] as Record<string, string>, (responses[i % stored] as (typeof responses)[number]).selecting, 'normalise'),
    'answer Range': i => answerRange(ranged[i % stored] as (typeof ranged)[number], entries[i % stored] as (typeof entries)[number], now),
    'evaluate If-None-Match': i => isNotModified(conditional[i % stored] as Record<string, string>, responses[i % stored] as (typeof responses)[number], now)
  }
}
