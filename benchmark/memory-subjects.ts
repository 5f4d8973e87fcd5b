/** What `memory.ts` measures: stores filled with the same responses, ours by the way that production takes. */
import { LRUCache } from 'lru-cache'
import { cacheStores } from 'undici'
import type { PolicyName } from '../src/cache/eviction/policy.ts'
import { createHttpCache, type CacheForward, type CacheRequest } from '../src/cache/http-cache.ts'
import { authority, cacheRequest, requestFields } from './lib/cache-request.ts'
import { createMemoryStore } from '../src/cache/memory-store.ts'
import { resolveConfig } from '../src/config/load.ts'

export interface Subject {
  /**
   * Stores the response of this number; it may stay or not.
   * @param other content in place of the usual one, by our own store
   */
  store (number: number, other?: Buffer): void
  /** Whether it is there, as a request would ask. */
  find (number: number): boolean
  /** Bytes that the subject itself counts; null when it counts none. */
  counted (): number | null
  entries (): number
}

export const subjectNames = ['holdfast', 'holdfast s3-fifo', 'holdfast lru', 'holdfast gdsf', 'undici MemoryCacheStore', 'lru-cache of Buffers'] as const
export type SubjectName = (typeof subjectNames)[number]

const now = Date.UTC(2026, 5, 1, 12)
const pathOf = (number: number): string => `/catalogue/articles/${String(number).padStart(8, '0')}/details.json`

/** Eight fields of an ordinary answer of an API, each value a string of its own, as a parser makes them. */
function fieldsOf (number: number, contentBytes: number): Record<string, string> {
  const fields: Record<string, string> = {
    date: 'Mon, 01 Jun 2026 12:00:00 GMT',
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(contentBytes),
    'cache-control': 'public, max-age=36000, stale-while-revalidate=60',
    etag: `"${(number * 2654435761 >>> 0).toString(16).padStart(8, '0')}-${String(number).padStart(8, '0')}"`,
    'last-modified': 'Sun, 31 May 2026 07:30:00 GMT',
    vary: 'Accept-Encoding',
    server: 'nginx/1.27.3'
  }
  for (const name of Object.keys(fields)) fields[name] = Buffer.from(fields[name] as string).toString('latin1')
  return fields
}

/** Of one stored response, on the wire: what no cache can do without. */
export function ownBytes (contentBytes: number): number {
  return contentBytes + Object.entries(fieldsOf(0, contentBytes)).reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
}

export function createSubject (name: SubjectName, contentBytes: number, maxBytes: number): Subject {
  const content = Buffer.alloc(contentBytes, '{"name":"value"},')
  if (name === 'undici MemoryCacheStore') return undiciStore(content)
  if (name === 'lru-cache of Buffers') return lruCache(content, maxBytes)
  return holdfast(content, maxBytes, (name.split(' ')[1] ?? 'adaptive') as PolicyName)
}

function holdfast (content: Buffer, maxBytes: number, policy: PolicyName): Subject {
  const store = createMemoryStore({ maxBytes, maxEntries: 16_000_000, maxVariants: 32, policy, now: () => now, seed: 1 })
  const cache = createHttpCache({ store, onFailure (error) { throw error } })
  const config = resolveConfig({ upstreams: { default: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'default', upstream: 'default' }] })
  const rules = config.routes[0]?.cache as CacheRequest['rules']
  const requestOf = (number: number): CacheRequest => cacheRequest(pathOf(number), rules)
  return {
    store (number, other = content) {
      const response = { statusCode: 200, fields: fieldsOf(number, other.length), requestedAt: now - 12, receivedAt: now, locatesTarget: false }
      const { recording } = cache.record(cache.lookup(requestOf(number), now) as CacheForward, response, other.length)
      recording?.write(other)
      if (recording?.complete() !== null) throw new Error(`not stored: ${number}`)
    },
    find: number => cache.lookup(requestOf(number), now).action === 'hit',
    counted: () => store.statistics().bytes,
    entries: () => store.statistics().entries
  }
}

function undiciStore (content: Buffer): Subject {
  const store = new cacheStores.MemoryCacheStore({ maxSize: Number.MAX_SAFE_INTEGER, maxCount: Number.MAX_SAFE_INTEGER, maxEntrySize: Number.MAX_SAFE_INTEGER })
  const keyOf = (number: number) => ({ origin: `https://${authority}`, method: 'GET', path: pathOf(number), headers: requestFields })
  let entries = 0
  return {
    store (number) {
      // The interceptor's own store copies nothing: each response has the Buffer that came from the socket.
      const stream = store.createWriteStream(keyOf(number), {
        statusCode: 200,
        statusMessage: 'OK',
        headers: fieldsOf(number, content.length),
        vary: { 'accept-encoding': 'gzip, br' },
        cacheControlDirectives: { public: true, 'max-age': 36000, 'stale-while-revalidate': 60 },
        cachedAt: now,
        staleAt: now + 36e6,
        deleteAt: Date.now() + 72e6
      })
      stream?.write(Buffer.from(content))
      stream?.end()
      entries++
    },
    find: number => store.get(keyOf(number)) !== undefined,
    counted: () => (store as unknown as { size: number }).size,
    entries: () => entries
  }
}

/** The least that a cache in JavaScript can be: keys and contents, no fields. */
function lruCache (content: Buffer, maxBytes: number): Subject {
  const cache = new LRUCache<string, Buffer>({ maxSize: maxBytes, sizeCalculation: bytes => bytes.length })
  return {
    store (number) {
      const copy = Buffer.allocUnsafeSlow(content.length)
      content.copy(copy)
      cache.set(`https://${authority}${pathOf(number)}`, copy)
    },
    find: number => cache.get(`https://${authority}${pathOf(number)}`) !== undefined,
    counted: () => cache.calculatedSize,
    entries: () => cache.size
  }
}
