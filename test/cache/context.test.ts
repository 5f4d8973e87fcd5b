/** What the actions of the cache share. */
import t from 'tap'
import { createContext, isInvalidated } from '../../src/cache/context.ts'
import { createMemoryStore } from '../../src/cache/memory-store.ts'

const store = (maxBytes: number) => createMemoryStore({ maxBytes, maxEntries: 10, maxVariants: 4 })

t.test('what the store throws is a fallback, counted and told', async t => {
  const told: unknown[] = []
  const context = createContext(store(0), error => { told.push(error) })
  const error = new Error('broken')
  t.equal(context.safely('fallback', () => { throw error }), 'fallback')
  t.equal(context.safely('fallback', () => 'result'), 'result')
  t.same(told, [error])
  t.equal(context.counts.failures, 1)
})

t.test('recordings may hold half the store together, and never less than a megabyte', async t => {
  t.equal(createContext(store(0), () => {}).budget.maxBytes, 1024 * 1024)
  t.equal(createContext(store(100 * 1024 * 1024), () => {}).budget.maxBytes, 50 * 1024 * 1024)
})

t.test('a response is invalidated by any of its groups, and by its URI where it has a key of its own (RFC 9875 2.2.1)', async t => {
  const context = createContext(store(0), () => {})
  const { invalidations } = context
  const place = { key: 'k', uri: 'k', groups: ['g', 'h'], moment: invalidations.moment() }
  t.equal(isInvalidated(context, place), false)
  invalidations.note('other')
  invalidations.note('k')
  t.equal(isInvalidated(context, place), false, 'what is stored under the URI itself is removed at once')
  t.equal(isInvalidated(context, { ...place, key: 'k x' }), true)
  invalidations.note('h')
  t.equal(isInvalidated(context, place), true)
  t.equal(isInvalidated(context, { ...place, moment: invalidations.moment() }), false, 'a later response is a new one')
})
