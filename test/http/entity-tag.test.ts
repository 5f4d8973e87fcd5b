import fc from 'fast-check'
import t from 'tap'
import { parseEntityTag, parseEntityTagList, strongMatch, weakMatch, type EntityTag } from '../../src/http/entity-tag.ts'

const strong = (text: string): EntityTag => ({ weak: false, opaque: `"${text}"` })
const weak = (text: string): EntityTag => ({ weak: true, opaque: `"${text}"` })

t.test('an entity tag is quoted, and weak with W/ in front (RFC 9110 8.8.3)', async t => {
  t.strictSame(parseEntityTag('"a"'), strong('a'))
  t.strictSame(parseEntityTag('W/"a"'), weak('a'))
  t.strictSame(parseEntityTag('""'), strong(''))
  t.strictSame(parseEntityTag(' "a,\\b\xff" '), strong('a,\\b\xff'), 'a comma and a backslash are ordinary characters')
  for (const text of [undefined, '', 'a', 'w/"a"', '"a', 'a"', '"a"b', '"a" "b"', '"a b"', '"a""', 'W/ "a"', '*']) t.equal(parseEntityTag(text), null, String(text))
})

t.test('a list of entity tags may have empty members and commas inside of tags (RFC 9110 13.1.2)', async t => {
  t.strictSame(parseEntityTagList('"a"'), [strong('a')])
  t.strictSame(parseEntityTagList('"a", W/"b" ,"c"'), [strong('a'), weak('b'), strong('c')])
  t.strictSame(parseEntityTagList(', ,"a",\t, "b",'), [strong('a'), strong('b')])
  t.strictSame(parseEntityTagList('"a,b","c"'), [strong('a,b'), strong('c')])
  t.equal(parseEntityTagList(' * '), '*')
})

t.test('what follows something that is no entity tag is not read (RFC 9110 13.1.2)', async t => {
  t.strictSame(parseEntityTagList('"a", b, "c"'), [strong('a')])
  t.strictSame(parseEntityTagList('"a" "b"'), [], 'a tag has to end with a comma or the field')
  t.strictSame(parseEntityTagList('a'), [])
  t.strictSame(parseEntityTagList('"a", *'), [strong('a')], '* counts alone only')
  t.strictSame(parseEntityTagList(''), [])
})

t.test('strong and weak comparison (RFC 9110 8.8.3.2)', async t => {
  const rows: ReadonlyArray<readonly [EntityTag, EntityTag, boolean, boolean]> = [
    [weak('1'), weak('1'), false, true],
    [weak('1'), weak('2'), false, false],
    [weak('1'), strong('1'), false, true],
    [strong('1'), strong('1'), true, true]
  ]
  for (const [a, b, strongly, weakly] of rows) {
    t.equal(strongMatch(a, b), strongly)
    t.equal(strongMatch(b, a), strongly)
    t.equal(weakMatch(a, b), weakly)
    t.equal(weakMatch(b, a), weakly)
  }
})

t.test('tags joined to a list are read back (property)', async t => {
  const opaque = fc.string({ unit: fc.constantFrom('a', 'Z', '!', '#', ',', '\\', '*', '/', 'W', '\x80', '\xff') })
  const tag = fc.tuple(fc.boolean(), opaque).map(([isWeak, text]) => isWeak ? weak(text) : strong(text))
  fc.assert(fc.property(fc.array(tag), fc.constantFrom(',', ', ', ' ,\t,'), (tags, separator) => {
    t.strictSame(parseEntityTagList(tags.map(({ weak, opaque }) => (weak ? 'W/' : '') + opaque).join(separator)), tags)
  }), { numRuns: 200 })
})

t.test('parsing never throws and takes no more than linear time (property)', async () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), text => {
    parseEntityTag(text)
    parseEntityTagList(text)
  }), { numRuns: 2000 })
  for (const text of [`"a",${' '.repeat(60_000)}x`, `"a"${' '.repeat(60_000)}x`, ','.repeat(60_000), '"'.repeat(60_000), '"a",'.repeat(15_000)]) {
    for (let round = 0; round < 50; round++) parseEntityTagList(text)
  }
})
