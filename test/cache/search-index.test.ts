/** Finding the stored response of an equivalent query (draft-ietf-httpbis-no-vary-search section 6). */
import fc from 'fast-check'
import t from 'tap'
import type { KeyParts } from '../../src/cache/key.ts'
import { createSearchIndex } from '../../src/cache/search-index.ts'
import { searchVariance, significantQuery, type SearchVariance } from '../../src/cache/search-variance.ts'

const variance = (value: string): SearchVariance => searchVariance({ 'no-vary-search': value }) as SearchVariance
const parts = (query: string, path = '/p', extra = ''): KeyParts => ({ scope: 's', scheme: 'http', authority: 'a', path, query, extra })

t.test('an equivalent query finds the key of the one that is stored, on the same path only', async t => {
  const index = createSearchIndex()
  t.equal(index.find(parts('?a=1')), null)
  index.note(parts('?a=1&utm=x'), 'key', variance('params=("utm")'))
  t.equal(index.find(parts('?a=1'))?.key, 'key')
  t.equal(index.find(parts('?utm=y&a=1'))?.key, 'key')
  t.equal(index.find(parts('?a=2')), null)
  t.equal(index.find(parts('?a=1', '/q')), null)
  t.equal(index.find(parts('?a=1', '/p', '["phone"]')), null)
  t.equal(index.find({ ...parts('?a=1'), authority: 'b' }), null)
  index.clear()
  t.equal(index.find(parts('?a=1')), null)
})

t.test('of several declarations for one path the last counts', async t => {
  const index = createSearchIndex()
  index.note(parts('?a=1&b=1'), 'first', variance('params=("b")'))
  index.note(parts('?a=1&b=1'), 'second', variance('params=("a")'))
  t.equal(index.find(parts('?a=1&b=2')), null)
  t.equal(index.find(parts('?a=2&b=1'))?.key, 'second')
})

t.test('what is remembered is bounded', async t => {
  const index = createSearchIndex()
  for (let i = 0; i < 10_001; i++) index.note(parts(`?a=${i}`), String(i), variance('key-order'))
  t.equal(index.find(parts('?a=0')), null)
  t.equal(index.find(parts('?a=10000'))?.key, '10000')
})

t.test('property: what is found was noted for a query that is equivalent by the declaration it is found with', async t => {
  const query = fc.array(fc.constantFrom('a=1', 'a=2', 'b=1', 'utm=x', '%61=1', '?a=1', 'a=%ff', ''), { maxLength: 4 }).map(pairs => `?${pairs.join('&')}`)
  const declaration = fc.constantFrom('params=("utm")', 'params', 'params, except=("a")', 'key-order', 'params=("b"), key-order')
  fc.assert(fc.property(fc.array(fc.tuple(query, declaration), { maxLength: 10 }), query, (notes, asked) => {
    const index = createSearchIndex()
    const noted = new Map<string, string>()
    for (const [place, [stored, value]] of notes.entries()) {
      noted.set(String(place), stored)
      index.note(parts(stored), String(place), variance(value))
    }
    const found = index.find(parts(asked))
    return found === null || significantQuery(asked, found.variance) === significantQuery(noted.get(found.key) as string, found.variance)
  }), { numRuns: 1000 })
  t.pass()
})
