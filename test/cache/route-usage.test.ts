/** What each route has in the store. */
import fc from 'fast-check'
import t from 'tap'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import { createRouteUsages } from '../../src/cache/route-usage.ts'
import type { StoredEntry } from '../../src/cache/store.ts'
import { makeEntry } from '../fixtures/entries.ts'

t.test('whatever happens to a store, the routes together have what it has', async t => {
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), nth: fc.nat(9), route: fc.nat(3), size: fc.nat(2000) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('remove' as const, 'touch' as const), nth: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) }
  )
  fc.assert(fc.property(fc.array(action, { maxLength: 40 }), actions => {
    const store = createMemoryStore({ maxBytes: 8000, maxEntries: 6, maxVariants: 2 })
    store.setRouteRules({ quotas: new Map([['r.1', 0.5]]), graceMs: 0 })
    let hits = 0
    for (const one of actions) {
      const [there] = 'nth' in one ? store.variants(`k${one.nth}`) : []
      if (one.kind === 'put') store.put(makeEntry({ content: 'x'.repeat(one.size), place: { key: `k${one.nth}`, scope: `r.${one.route}.12345678` } }), there ?? null)
      else if (one.kind === 'clear') store.clear()
      else if (there !== undefined && one.kind === 'remove') store.remove(there)
      else if (there !== undefined) {
        store.touch(there)
        hits++
      }
      const { bytes, entries, memory } = store.statistics()
      const routes = Object.entries(memory?.routes ?? {})
      if (routes.reduce((sum, [, route]) => sum + route.bytes, 0) !== bytes || routes.reduce((sum, [, route]) => sum + route.entries, 0) !== entries) return false
      if (routes.reduce((sum, [, route]) => sum + route.hits, 0) > hits) return false
      if (memory?.routes['r.1']?.quotaBytes !== 4000 || routes.some(([route, { entries }]) => entries === 0 && route !== 'r.1')) return false
    }
    return true
  }))
  t.pass()
})

t.test('scopes of rules that were replaced long ago are forgotten, what is stored is not', async t => {
  const usages = createRouteUsages()
  const entryOf = (scope: string): StoredEntry => makeEntry({ place: { scope } })
  const kept = entryOf('kept.0')
  usages.add(kept)
  usages.hit(kept)
  for (let i = 0; i < 3000; i++) {
    const passing = entryOf(`route-${i}.0`)
    usages.add(passing)
    usages.remove(passing)
  }
  t.same(usages.statistics(), { kept: { entries: 1, bytes: kept.sizeBytes, hits: 1 } })
})
