/** Cache keys: different requests never share one, whatever they contain (RFC 9111 section 2). */
import fc from 'fast-check'
import t from 'tap'
import { groupKey } from '../../src/cache/groups.ts'
import { applyKeyRules, changesNothing, pathKey, primaryKey, uriKey, uriKeysOf, type KeyParts, type KeyRules } from '../../src/cache/key.ts'
import { variantFlightKey, type CacheRequest } from '../../src/cache/lookup.ts'
import type { FieldMap } from '../../src/http/fields.ts'

const noRules: KeyRules = { query: { ignore: [], sort: false }, fields: [], cookies: [], hosts: {}, ignorePathCase: false, identity: false }
const uri = { scope: 's', scheme: 'http', authority: 'a.test', path: '/p', query: '' }
const keyed = (rules: Partial<KeyRules>, request: FieldMap = {}, parts: Partial<typeof uri> = {}, device = ''): KeyParts => applyKeyRules({ ...uri, ...parts }, { ...noRules, ...rules }, request, device)
const queryRules = (rules: Partial<KeyRules['query']>): Partial<KeyRules> => ({ query: { ...noRules.query, ...rules } })

/** Text of what delimits parts anywhere in a key. */
const hostile = fc.array(fc.constantFrom('a', 'b', '/', '?', '&', '=', ' ', ',', ':', '"', '[', ']', '\\', '1', '0', '//', 'http', '://', '\xe9', 'null', '%', '\n', '__proto__'), { maxLength: 8 }).map(pieces => pieces.join(''))
const anyParts: fc.Arbitrary<KeyParts> = fc.record({ scope: hostile, scheme: fc.constantFrom('http', 'https'), authority: hostile, path: hostile, query: hostile, extra: hostile })
const text = (value: unknown): string => JSON.stringify(value)

t.test('property: parts that differ anywhere make different keys', async t => {
  fc.assert(fc.property(anyParts, anyParts, (a, b) => (primaryKey(a) === primaryKey(b)) === (text(a) === text(b))), { numRuns: 2000 })
  fc.assert(fc.property(anyParts, hostile, (a, extra) => uriKey(a) === uriKey({ ...a, extra })))
  t.pass()
})

t.test('property: keys made for many paths of one place are the same keys', async t => {
  fc.assert(fc.property(anyParts, fc.constantFrom('', 'x'.repeat(500), 'x'.repeat(520)), (a, end) => {
    const path = a.path + end
    return uriKeysOf(a)(path, a.query) === uriKey({ ...a, path })
  }), { numRuns: 2000 })
  t.pass()
})

t.test('property: moving a border between two parts makes another key', async t => {
  fc.assert(fc.property(hostile, fc.nat(20), fc.nat(20), (all, first, second) => {
    const [a, b] = [Math.min(first, all.length), Math.min(second, all.length)]
    const [left, right] = [{ ...uri, path: all.slice(0, a), query: all.slice(a), extra: '' }, { ...uri, path: all.slice(0, b), query: all.slice(b), extra: '' }]
    return (primaryKey(left) === primaryKey(right)) === (a === b)
  }))
  t.pass()
})

t.test('property: keys of different kinds are never the same', async t => {
  fc.assert(fc.property(anyParts, anyParts, hostile, (a, b, group) => {
    const kinds = [primaryKey(a), pathKey(b), groupKey(b.scheme, b.authority, group)]
    return new Set(kinds).size === kinds.length
  }))
  fc.assert(fc.property(hostile, hostile, hostile, hostile, (a, group, b, other) => (groupKey('http', a, group) === groupKey('http', b, other)) === (a === b && group === other)))
  t.pass()
})

const request = (fields: FieldMap): CacheRequest => ({ fields, rules: { vary: 'exact' } }) as unknown as CacheRequest

t.test('property: requests that select different variants, or have different keys, do not wait for each other', async t => {
  const asked = fc.tuple(anyParts, fc.constantFrom([], ['x-a'], ['x-a', 'x-b']), fc.record({ 'x-a': hostile, 'x-b': hostile }, { requiredKeys: [] }))
  fc.assert(fc.property(asked, asked, ([a, names, fields], [b, otherNames, otherFields]) => {
    const own = [text(a), names.map(name => [name, (fields[name as 'x-a'] ?? null)?.split(',').map(member => member.trim()).filter(member => member !== '').join(',') ?? null])]
    const other = [text(b), otherNames.map(name => [name, (otherFields[name as 'x-a'] ?? null)?.split(',').map(member => member.trim()).filter(member => member !== '').join(',') ?? null])]
    if (variantFlightKey(primaryKey(a), request(fields), names) !== variantFlightKey(primaryKey(b), request(otherFields), otherNames)) return true
    return text(own[0]) === text(other[0]) && names.length === otherNames.length
  }), { numRuns: 2000 })
  t.pass()
})

t.test('the class of a device and the value of a varying field are not taken for each other', async t => {
  const phone = keyed({}, {}, {}, 'phone')
  const other = keyed({}, {}, {}, '')
  t.not(variantFlightKey(primaryKey(other), request({ 'x-kind': 'phone' }), ['x-kind']), variantFlightKey(primaryKey(phone), request({}), []))
})

t.test('which parameters of the query are in the key', async t => {
  const rows: ReadonlyArray<readonly [string, Partial<KeyRules['query']>, string, string]> = [
    ['no rule changes nothing', {}, '?b=1&&a=%zz', '?b=1&&a=%zz'],
    ['ignored by name', { ignore: ['b'] }, '?a=1&b=2&c=3&b=4', '?a=1&c=3'],
    ['ignored by the beginning of the name', { ignore: ['utm_*'] }, '?utm_source=x&a=1&utm_=y&utm=z', '?a=1&utm=z'],
    ['nothing left is no query', { ignore: ['a'] }, '?a=1', ''],
    ['an empty query is not the same as none', { ignore: ['a'] }, '?', '?'],
    ['names are compared decoded', { ignore: ['a b'] }, '?a+b=1&a%20b=2&c=3', '?c=3'],
    ['letter case tells names apart', { ignore: ['a'] }, '?A=1', '?A=1'],
    ['values are not names', { ignore: ['a'] }, '?b=a&c', '?b=a&c'],
    ['brackets belong to the value', { ignore: ['a'] }, '?a[]=1&a[b]=2&ab=3', '?ab=3'],
    ['what cannot be decoded stays', { ignore: ['*'] }, '?a=1&%zz=2&%ff=3', '?%zz=2&%ff=3'],
    ['what a server may divide at ; stays', { ignore: ['a'] }, '?a=1;b=2&c=3', '?a=1;b=2&c=3'],
    ['only what is kept', { keep: ['a', 'p*'] }, '?a=1&b=2&page=3', '?a=1&page=3'],
    ['nothing is kept', { keep: [] }, '?a=1&b=2', ''],
    ['ignored before kept', { keep: ['a*'], ignore: ['ab'] }, '?ab=1&ac=2', '?ac=2'],
    ['sorted by name, values of one name in their order', { sort: true }, '?b=2&a=2&b=1&a=1&c', '?a=2&a=1&b=2&b=1&c']
  ]
  for (const [title, rules, query, expected] of rows) t.equal(keyed(queryRules(rules), {}, { query }).query, expected, title)
})

t.test('property: with rules, requests share a key only if they are the same but for what the rules leave out', async t => {
  const query = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'utm_x', 'A', '', '%61', 'a;b', '%zz'), hostile.map(value => value.replace(/[&?#]/g, ''))), { maxLength: 4 }).map(pairs => `?${pairs.map(([name, value]) => `${name}=${value}`).join('&')}`)
  const significant = (text: string): string => text.slice(1).split('&').filter(pair => pair.includes(';') || !/^(?:utm_x|b)=/.test(pair)).join('&')
  fc.assert(fc.property(query, query, (a, b) => {
    const rules = queryRules({ ignore: ['utm_*', 'b'] })
    const same = primaryKey(keyed(rules, {}, { query: a })) === primaryKey(keyed(rules, {}, { query: b }))
    return !same || significant(a) === significant(b)
  }), { numRuns: 2000 })
  fc.assert(fc.property(query, query, (a, b) => {
    const rules = queryRules({ sort: true })
    const same = primaryKey(keyed(rules, {}, { query: a })) === primaryKey(keyed(rules, {}, { query: b }))
    return !same || a.slice(1).split('&').sort().join('&') === b.slice(1).split('&').sort().join('&')
  }), { numRuns: 2000 })
  t.pass()
})

t.test('property: fields, cookies and device tell requests apart, absent from empty as well', async t => {
  const value = fc.option(hostile.map(text => text.replace(/[;\n]/g, '').trim()), { nil: undefined })
  const given = fc.record({ field: value, other: value, cookie: value.map(text => text?.replace(/[\s"]/g, '')), device: hostile })
  const rules = { fields: ['x-a', 'x-b'], cookies: ['c'] }
  const keyOf = ({ field, other, cookie, device }: { field: string | undefined, other: string | undefined, cookie: string | undefined, device: string }): string => {
    return primaryKey(keyed(rules, { 'x-a': field, 'x-b': other, ...(cookie === undefined ? {} : { cookie: `z=1; c=${cookie}` }) }, {}, device))
  }
  fc.assert(fc.property(given, given, (a, b) => {
    return (keyOf(a) === keyOf(b)) === (text([a.field ?? null, a.other ?? null, a.cookie ?? null, a.device]) === text([b.field ?? null, b.other ?? null, b.cookie ?? null, b.device]))
  }), { numRuns: 2000 })
  t.pass()
})

t.test('names of fields in the key may be written in any case', async t => {
  const rules = { fields: ['X-Team'] }
  t.not(primaryKey(keyed(rules, { 'x-team': 'a' })), primaryKey(keyed(rules, { 'x-team': 'b' })))
})

t.test('a name that every object has is a name like any other', async t => {
  for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
    t.equal(keyed({ hosts: { 'x.test': 'a.test' } }, {}, { authority: name }).authority, name)
    t.equal(keyed({ fields: [name] }, {}).extra, '[null,""]')
  }
})

t.test('cookies: the first of a name counts, others are no part of the key', async t => {
  const rules = { cookies: ['lang'] }
  const of = (cookie: string): string => keyed(rules, { cookie }).extra
  t.equal(of('lang=de; x=1'), of('y=2;lang=de;lang=fr'))
  t.not(of('lang=de'), of('lang=fr'))
  t.not(of('lang='), of('xlang=de'))
  t.equal(of('lang'), of(''), 'without = it is no cookie')
})

t.test('hosts have aliases, paths may differ in letter case', async t => {
  t.equal(keyed({ hosts: { 'www.a.test': 'a.test' } }, {}, { authority: 'www.a.test' }).authority, 'a.test')
  t.equal(keyed({ hosts: { 'www.a.test': 'a.test' } }, {}, { authority: 'b.test' }).authority, 'b.test')
  t.equal(keyed({ ignorePathCase: true }, {}, { path: '/A/%C3b' }).path, '/a/%c3b')
  t.equal(keyed({}, {}, { path: '/A' }).path, '/A')
})

t.test('a URI that nobody has asked for has no extra part, so that an invalidation reaches all of them', async t => {
  const rules = { ...noRules, fields: ['x-a'], query: { ...noRules.query, ignore: ['b'] } }
  const asked = applyKeyRules({ ...uri, query: '?a&b' }, rules, { 'x-a': '1' }, 'phone')
  const named = applyKeyRules({ ...uri, query: '?a&b=2' }, rules, undefined, '')
  t.equal(named.extra, '')
  t.equal(uriKey(named), uriKey(asked))
  t.equal(primaryKey(named), uriKey(asked))
  t.not(primaryKey(named), primaryKey(asked))
})

t.test('rules that change nothing are recognised, any other is not', async t => {
  t.equal(changesNothing(noRules), true)
  for (const rules of [queryRules({ ignore: ['a'] }), queryRules({ keep: [] }), queryRules({ sort: true }), { fields: ['a'] }, { cookies: ['a'] }, { hosts: { a: 'b' } }, { ignorePathCase: true }]) {
    t.equal(changesNothing({ ...noRules, ...rules }), false, text(rules))
  }
})
