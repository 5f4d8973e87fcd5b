/** Cache groups: which groups a field names (RFC 9875 2, 2.1, 3). */
import fc from 'fast-check'
import t from 'tap'
import { groupKey, groupsOf } from '../../src/cache/groups.ts'

const groups = (value: string | string[]): readonly string[] => groupsOf({ 'cache-groups': value }, 'cache-groups')

t.test('the field is a list of strings; anything else is as if it were not there (RFC 9875 2)', async t => {
  const rows: ReadonlyArray<readonly [string, string | string[], readonly string[]]> = [
    ['strings', '"a", "b"', ['a', 'b']],
    ['several lines are one list', ['"a"', '"b"'], ['a', 'b']],
    ['parameters that are not known are ignored', '"a";revalidate;x=1, "b"', ['a', 'b']],
    ['named twice is named once', '"a", "a"', ['a']],
    ['compared character by character', '"a", "A", " a"', ['a', 'A', ' a']],
    ['escapes are resolved', '"a\\"b\\\\"', ['a"b\\']],
    ['the empty string is a name', '""', ['']],
    ['a token', 'a', []],
    ['a token among strings', '"a", b', []],
    ['a number', '"a", 1', []],
    ['a list inside', '("a")', []],
    ['a comma at the end', '"a",', []],
    ['not ended', '"a', []],
    ['not ASCII', '"\xe9"', []],
    ['empty', '', []]
  ]
  for (const [title, value, expected] of rows) t.same(groups(value), expected, title)
  t.same(groupsOf({ 'cache-groups': '"a"' }, 'cache-group-invalidation'), [])
})

t.test('32 groups of 32 characters are supported, and more up to a bound (RFC 9875 2, 3)', async t => {
  const named = (count: number, length: number): string => Array.from({ length: count }, (_, i) => `"${String(i).padStart(length, 'x')}"`).join(', ')
  t.equal(groups(named(32, 32)).length, 32)
  t.equal(groups(named(64, 200)).length, 64)
  t.equal(groups(named(70, 200)).length, 64)
  t.same(groups(`"${'x'.repeat(257)}", "a"`), ['a'])
})

t.test('groups of one name on different origins are different groups (RFC 9875 2.1)', async t => {
  const keys = new Set([groupKey('http', 'a', 'g'), groupKey('https', 'a', 'g'), groupKey('http', 'a:81', 'g'), groupKey('http', 'b', 'g'), groupKey('http', 'a', 'G')])
  t.equal(keys.size, 5)
})

t.test('property: any octets name groups or none, and never throw', async t => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), value => groups(value).every(group => /^[\x20-\x7e]*$/.test(group))))
  t.pass()
})
