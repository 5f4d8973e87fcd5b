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

t.test('what is remembered is bounded in number', async t => {
  const index = createSearchIndex()
  for (let i = 0; i < 10_001; i++) index.note(parts(`?a=${i}`), String(i), variance('key-order'))
  t.equal(index.find(parts('?a=0')), null)
  t.equal(index.find(parts('?a=10000'))?.key, '10000')
  t.equal(index.statistics().entries, 10_000)
})

t.test('and in bytes: however long keys, queries and declarations are, the oldest go', async t => {
  const long = 'x'.repeat(16_000)
  const rows: ReadonlyArray<[string, (i: number) => Parameters<ReturnType<typeof createSearchIndex>['note']>]> = [
    ['keys', i => [parts(`?a=${i}`), `${long}${i}`, variance('key-order')]],
    ['queries', i => [parts(`?a=${i}${long}`), String(i), variance('key-order')]],
    ['paths and their declarations', i => [parts(`?a=${i}`, `/${long}${i}`), String(i), variance(`params=("${long}")`)]]
  ]
  for (const [title, noteOf] of rows) {
    const index = createSearchIndex()
    for (let i = 0; i < 1100; i++) index.note(...noteOf(i))
    t.ok(index.statistics().bytes <= 16 * 1024 * 1024, title)
    const [first, last] = [noteOf(0), noteOf(1099)]
    t.equal(index.find(last[0])?.key, last[1], title)
    t.equal(index.find(first[0]) === null, title !== 'queries', `${title}: long names cost no more than short ones`)
    for (let times = 0; times < 3; times++) index.note(...last)
    const { bytes } = index.statistics()
    index.note(...last)
    t.equal(index.statistics().bytes, bytes, 'what is noted again is counted once')
    index.clear()
    t.same(index.statistics(), { entries: 0, bytes: 0 })
  }
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
