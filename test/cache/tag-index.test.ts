/** The index from tags to stored responses, alone and behind the store. */
import fc from 'fast-check'
import t from 'tap'
import { createMemoryStore } from '../../src/cache/memory-store.ts'
import { createTagIndex } from '../../src/cache/tag-index.ts'
import { takeTags, defaultTagRules, maxTagLength } from '../../src/cache/tags.ts'
import type { StoredEntry } from '../../src/cache/store.ts'
import { makeEntry } from '../fixtures/entries.ts'

function entry (uri: string, extra: string, tags: readonly string[], language?: string, content = 'x'): StoredEntry {
  const varying = language === undefined ? {} : { fields: { vary: 'accept-language' }, head: { requestFields: { 'accept-language': language } } }
  return makeEntry({ content, place: { key: uri + extra, uri, tags }, ...varying })
}

const sorted = (entries: Iterable<StoredEntry>): StoredEntry[] => [...entries].sort((a, b) => order.indexOf(a) - order.indexOf(b))
let order: StoredEntry[] = []

t.test('tags are read from lines of both kinds and taken out, unless clients get them', async t => {
  const fields = { 'surrogate-key': ['a b', ' b  c\td '], 'cache-tag': 'e, f g,,h', etag: '"1"' }
  const taken = takeTags(fields, defaultTagRules)
  t.same(taken.tags, ['a', 'b', 'c', 'd', 'e', 'f g', 'h'])
  t.same({ ...taken.fields }, { etag: '"1"' })
  t.same(Object.keys(fields).length, 3, 'the response itself is not changed')
  t.equal(takeTags(fields, { ...defaultTagRules, forward: true }).fields, fields)
  t.same(takeTags({ 'x-tags': 'q,r' }, { ...defaultTagRules, fields: [{ name: 'X-Tags', separator: 'comma' }] }).tags, ['q', 'r'])
  t.same(takeTags({ etag: '"1"' }, defaultTagRules).tags, null)
  t.same(takeTags({ 'cache-tag': ' , ' }, defaultTagRules).tags, [])
})

t.test('more or longer tags than are kept are told apart from none', async t => {
  const many = Array.from({ length: 129 }, (_, i) => `t${i}`)
  t.equal(takeTags({ 'surrogate-key': many.join(' ') }, defaultTagRules).tags, 'too-many')
  t.equal(takeTags({ 'surrogate-key': many.slice(1).join(' ') }, defaultTagRules).tags?.length, 128)
  t.equal(takeTags({ 'surrogate-key': 'x'.repeat(maxTagLength + 1) }, defaultTagRules).tags, 'too-many')
  t.same(takeTags({ 'surrogate-key': 'x'.repeat(maxTagLength) }, defaultTagRules).tags?.length, 1)
})

t.test('tags count against the bound', async t => {
  t.ok(entry('u', '', ['tag-of-some-length', 'b']).sizeBytes > entry('u', '', []).sizeBytes + 2 * 100)
})

t.test('the index names each entry under each of its tags, and under its URI where its key has more in it', async t => {
  const index = createTagIndex()
  const [a, b, c] = [entry('u', '', ['x', 'y']), entry('u', ' de', ['x']), entry('v', '', [])] as [StoredEntry, StoredEntry, StoredEntry]
  for (const one of [a, b, c]) index.add(one)
  index.add(a)

  t.same([...index.tagged('x')], [a, b])
  t.same([...index.tagged('y')], [a])
  t.same([...index.keyed('u')], [b])
  t.same([...index.keyed('v')], [])
  t.equal(index.tags, 2)
  for (const one of [a, b, c, c]) index.remove(one)
  t.same([[...index.tagged('x')], [...index.tagged('y')], [...index.keyed('u')], index.tags], [[], [], [], 0])
})

t.test('an entry may be taken out while its tag is walked', async t => {
  const index = createTagIndex()
  const entries = Array.from({ length: 10 }, (_, i) => entry(`u${i}`, '', ['x']))
  for (const one of entries) index.add(one)
  let seen = 0
  for (const one of index.tagged('x')) {
    seen++
    index.remove(one)
  }
  t.equal(seen, 10)
  t.equal(index.tags, 0)
})

t.test('whatever happens to a store, its indexes name what it holds and nothing else', async t => {
  const tag = fc.constantFrom('a', 'b', 'c', 'd')
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), uri: fc.constantFrom('u', 'v', 'w'), extra: fc.constantFrom('', ' 1', ' 2'), language: fc.constantFrom(undefined, 'de', 'fr', 'it'), tags: fc.uniqueArray(tag), size: fc.integer({ min: 0, max: 4000 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), nth: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('removeKey' as const), uri: fc.constantFrom('u', 'v', 'w 1') }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('touch' as const), nth: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) }
  )
  fc.assert(fc.property(fc.array(action, { maxLength: 60 }), actions => {
    const store = createMemoryStore({ maxBytes: 16_000, maxEntries: 8, maxVariants: 2 })
    order = []
    for (const one of actions) {
      const present = [...store.entries()]
      const chosen = 'nth' in one ? present[one.nth % Math.max(1, present.length)] : undefined
      if (one.kind === 'put') {
        const made = entry(one.uri, one.extra, one.tags, one.language, 'x'.repeat(one.size))
        order.push(made)
        store.put(made, store.variants(made.key).find(({ response }) => response.selecting[0]?.value === one.language) ?? null)
      } else if (one.kind === 'removeKey') store.removeKey(one.uri)
      else if (one.kind === 'clear') store.clear()
      else if (chosen !== undefined && one.kind === 'remove') store.remove(chosen)
      else if (chosen !== undefined) store.touch(chosen)

      const held = [...store.entries()]
      const { bytes, entries, keys, tags } = store.statistics()
      if (bytes !== held.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) || bytes > 16_000 || entries !== held.length || entries > 8) return false
      if (keys !== new Set(held.map(({ key }) => key)).size || tags !== new Set(held.flatMap(({ tags }) => tags)).size) return false
      for (const name of ['a', 'b', 'c', 'd']) {
        const expected = sorted(held.filter(({ tags }) => tags.includes(name)))
        const found = sorted(store.tagged(name))
        if (found.length !== expected.length || !found.every((entry, i) => entry === expected[i])) return false
      }
      for (const uri of ['u', 'v', 'w']) {
        const expected = sorted(held.filter(entry => entry.uri === uri))
        const found = sorted(store.ofUri(uri))
        if (found.length !== expected.length || !found.every((entry, i) => entry === expected[i])) return false
      }
    }
    return true
  }), { numRuns: 300 })
  t.pass()
})
