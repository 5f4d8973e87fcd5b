/**
 * An extension that fills the cache: with the first response that is stored, `count` others like it are, under
 * `/stored/1024/0` and so on, by the functions that a request would call, but without a request for each.
 */
import type { FastifyInstance } from 'fastify'
import type { HttpCache } from '../../src/cache/http-cache.ts'

/** Responses in a turn of the event loop: others want to be asked whether they are healthy. */
const perTurn = 2000

export default function preload (app: FastifyInstance, { count }: { readonly count: number }): void {
  const cache = app.httpCache as HttpCache
  const { record } = cache
  cache.record = (first, response, maxBytes) => {
    cache.record = record
    const content = Buffer.alloc(1024, 'x')
    const storeFrom = (from: number): void => {
      for (let i = from; i < Math.min(count, from + perTurn); i++) {
        const lookup = cache.lookup({ ...first.request, path: `/stored/1024/${i}`, query: '' }, Date.now())
        // It is the first one itself.
        if (lookup.action !== 'forward') continue
        const { recording } = cache.record(lookup, { ...response, fields: { ...response.fields, 'content-length': '1024' } }, maxBytes)
        recording?.write(content)
        recording?.complete()
      }
      if (from + perTurn < count) setImmediate(storeFrom, from + perTurn)
    }
    setImmediate(storeFrom, 0)
    return record(first, response, maxBytes)
  }
}
