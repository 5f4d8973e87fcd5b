/** `No-Vary-Search`: what is declared, and which queries mean the same by it (draft-ietf-httpbis-no-vary-search 4, 5). */
import fc from 'fast-check'
import t from 'tap'
import { formatVariance, searchVariance, significantQuery, type SearchVariance } from '../../src/cache/search-variance.ts'

const declared = (value: string): SearchVariance | null => searchVariance({ 'no-vary-search': value })

t.test('no declaration, or one that cannot be understood, is the default: queries are compared octet by octet (section 4.1)', async t => {
  t.equal(searchVariance({}), null)
  for (const value of [
    '', 'unknown-key', 'key-order="not a boolean"', 'params="not a boolean or inner list"', 'params=(not-a-string)', 'params=("a"), except=("x")',
    'params=(), except=()', 'params=?0, except=("x")', 'params, except=(not-a-string)', 'params, except="not an inner list"', 'params, except=?1',
    'except=("x")', 'except=()', 'params=?0', 'params=()', 'key-order=?0', 'params, except=("a" 1)', 'params=1', 'params=("a"', 'PARAMS', 'key-order=1', '\xe9'
  ]) t.equal(declared(value), null, value)
})

t.test('what a declaration means (sections 4.1, 4.2)', async t => {
  const rows: ReadonlyArray<readonly [string, readonly string[] | null, readonly string[], boolean]> = [
    ['key-order', [], [], true],
    ['key-order=?1', [], [], true],
    ['params', null, [], false],
    ['params=?1', null, [], false],
    ['params=("a" "b")', ['a', 'b'], [], false],
    ['params, except=("x")', null, ['x'], false],
    ['params, except=()', null, [], false],
    ['params, key-order, except=("x")', null, ['x'], true],
    ['params=("a");p=1, unknown=("y"), key-order', ['a'], [], true],
    ['params=("a";p "b")', ['a', 'b'], [], false]
  ]
  for (const [value, noVary, vary, ignoreOrder] of rows) {
    const variance = declared(value)
    t.same(variance === null ? null : [variance.noVary === null ? null : [...variance.noVary], [...variance.vary], variance.ignoreOrder], [noVary, vary, ignoreOrder], value)
  }
})

t.test('names are decoded as those of a query are: plus, percent, UTF-8 (section 4.3)', async t => {
  for (const [written, name] of [['%C3%A9+%E6%B0%97', 'é 気'], ['a&b=c', 'a&b=c'], ['?a', '?a'], ['', ''], ['%26', '&'], ['a%', 'a%'], ['%EF%BB%BFa', '\ufeffa'], ['#a', '#a']] as const) {
    t.same([...declared(`params=("${written}")`)?.noVary ?? []], [name], written)
  }
})

t.test('which queries are equivalent (section 5)', async t => {
  const rows: ReadonlyArray<readonly [string, string, string, boolean]> = [
    ['key-order', '', '?', true],
    ['key-order', '?a=x', '?%61=%78', true],
    ['key-order', '?a=\xc3\xa9', '?a=%C3%A9', true],
    ['key-order', '?a=x', '?a=x&&&&', true],
    ['key-order', '?a=', '?a', true],
    ['key-order', '?a=%20', '?a=+', true],
    ['key-order', '?a=1&b=2', '?b=2&a=1', true],
    ['key-order', '?a=1&a=2', '?a=2&a=1', false],
    ['key-order', '?a=1&b=2&a=3', '?b=2&a=1&a=3', true],
    ['key-order', '?a=1', '?A=1', false],
    ['key-order', '?a=1', '??a=1', false],
    ['key-order', '?a=%26b=2', '?a=&b=2', false],
    ['key-order', '?a=%EF%BB%BFx', '?a=x', false],
    ['params=("a")', '?a=1&b=2', '?b=2', true],
    ['params=("a")', '?a=1&b=2', '?a=9&b=2&a=8', true],
    ['params=("a")', '?b=2&c=3', '?c=3&b=2', false],
    ['params=("a")', '?aa=1', '?', false],
    ['params=("a")', '?%61=1', '', true],
    ['params=("%C3%A9+%E6%B0%97")', '?\xc3\xa9+%E6%B0%97=1', '?%C3%A9%20%e6%b0%97=4', true],
    ['params', '?anything=1', '', true],
    ['params, except=("id")', '?id=1&x=2', '?y=3&id=1', true],
    ['params, except=("id")', '?id=1', '?id=2', false],
    ['params, except=("id")', '?id=1', '', false],
    ['params, except=("id")', '?id=1&id=2', '?id=2&id=1', false]
  ]
  for (const [value, a, b, equivalent] of rows) {
    const variance = declared(value) as SearchVariance
    t.equal(significantQuery(a, variance) === significantQuery(b, variance), equivalent, `${value}: ${a} ${b}`)
  }
})

t.test('values that are no UTF-8 are told apart, where the draft takes them all for U+FFFD (section 5, stricter)', async t => {
  const variance = declared('key-order') as SearchVariance
  for (const [a, b] of [['?a=%f6', '?a=%f7'], ['?a=%f6', '?a=%ef%bf%bd'], ['?a=\xf6', '?a=\xf7'], ['?%ff=1', '?%fe=1']] as const) {
    t.not(significantQuery(a, variance), significantQuery(b, variance), `${a} ${b}`)
  }
})

/** Text of the characters that delimit, escape or confuse. */
const hostile = fc.array(fc.constantFrom('a', 'b', '=', '&', '?', '%', '%26', '%3D', '%3d', '%00', '+', ';', '#', '/', '"', '\xe9', '%c3%a9', '%ff', '[', ']', ' ', '\ufffd', '%EF%BB%BF'), { maxLength: 12 }).map(pieces => pieces.join('').replaceAll('\ufffd', '%EF%BF%BD'))
const names = fc.array(fc.constantFrom('a', 'b', 'ab', '', '?a', '%61', 'a%26b', 'a+b'), { maxLength: 4 })

/** Parameters by the letter of the form parser, octet by octet: what a server with any reading of a query can tell apart is no less. */
function parameters (query: string): Array<readonly [name: string, value: string]> {
  return query.slice(1).split('&').filter(text => text !== '').map(text => {
    const equals = text.indexOf('=')
    return [decode(equals === -1 ? text : text.slice(0, equals)), decode(equals === -1 ? '' : text.slice(equals + 1))] as const
  })
}

function decode (text: string): string {
  return text.replaceAll('+', ' ').replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

t.test('property: a wrong declaration never makes queries equivalent whose other parameters differ', async t => {
  let equal = 0
  fc.assert(fc.property(hostile, hostile, names, fc.boolean(), (left, right, ignored, ignoreOrder) => {
    const variance = declared(`params=(${ignored.map(name => `"${name}"`).join(' ')})${ignoreOrder ? ', key-order' : ''}`)
    if (variance === null) return
    const [a, b] = [`?${left}`, `?${right}`]
    if (significantQuery(a, variance) !== significantQuery(b, variance)) return
    equal++
    const rest = (query: string): string[] => {
      const kept = parameters(query).filter(([name]) => !ignored.some(pattern => decode(pattern) === name)).map(pair => JSON.stringify(pair))
      return ignoreOrder ? kept.sort() : kept
    }
    if (JSON.stringify(rest(a)) !== JSON.stringify(rest(b))) throw new Error(`${a} and ${b} differ beyond ${ignored.join()}`)
  }), { numRuns: 3000 })
  t.ok(equal > 10, `${equal} pairs were equivalent`)
})

t.test('property: equivalent spellings stay equivalent, whatever is ignored', async t => {
  fc.assert(fc.property(hostile, fc.constantFrom('key-order', 'params=("a")', 'params', 'params, except=("a")'), (text, value) => {
    const variance = declared(value) as SearchVariance
    const once = significantQuery(`?${text}`, variance)
    return once === significantQuery(`?${text}&`, variance) || once.startsWith('?')
  }))
  t.pass()
})

t.test('property: parsing a declaration or a query never throws on any octets', async t => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (value, query) => {
    const variance = declared(value)
    significantQuery(`?${query}`, variance ?? { noVary: new Set(['a']), vary: new Set(), ignoreOrder: true })
    return variance === null || formatVariance(variance).length > 0
  }))
  t.pass()
})

t.test('a variance has one spelling, in whatever order it was declared', async t => {
  t.equal(formatVariance(declared('params=("a" "b"), key-order') as SearchVariance), formatVariance(declared('key-order, params=("b" "a" "a")') as SearchVariance))
  t.not(formatVariance(declared('params, except=("a")') as SearchVariance), formatVariance(declared('params=("a")') as SearchVariance))
})
