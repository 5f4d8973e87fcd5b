import fc from 'fast-check'
import t from 'tap'
import type { MatchConfig } from '../../src/config/schema.ts'
import { parseHostPattern, parsePathPattern } from '../../src/routing/pattern.ts'
import { createRouteTable } from '../../src/routing/route-table.ts'
import { comparePlaces, placesOf } from '../../src/routing/specificity.ts'
import type { Place } from '../../src/routing/specificity.ts'

/** Routes written as `METHOD,METHOD host/path`, each with its own text as value; `*` for any method or host. */
function tableOf (...routes: string[]) {
  return createRouteTable(routes.map(route => ({ match: matchOf(route), value: route })))
}

function matchOf (route: string): MatchConfig {
  const [methods = '*', rest = ''] = route.split(' ')
  const slash = rest.indexOf('/')
  const host = rest.slice(0, slash)
  return {
    path: rest.slice(slash),
    ...host !== '*' && { host },
    ...methods !== '*' && { methods: methods.split(',') }
  }
}

t.test('the most specific route wins, whatever the order in the configuration', async (t) => {
  const routes = [
    '* */*', 'GET */*', '* */users/*', '* */users/:id', '* */users/new', '* */users/:id/avatar', '* */users/42/*', '* */users/:id/*',
    'DELETE */users/:id', '* */slash/', '* */', '* example.com/*', 'POST example.com/only-post', '* *.example.com/*', '* *.eu.example.com/*',
    '* deep.eu.example.com/a', '* [0:0::1]/*'
  ]
  const rows: Array<[title: string, host: string, path: string, method: string, expected: string | null]> = [
    ['any path', 'x', '/whatever', 'PUT', '* */*'],
    ['a named method before any method', 'x', '/whatever', 'GET', 'GET */*'],
    ['an exact path before a name', 'x', '/users/new', 'GET', '* */users/new'],
    ['a name before a prefix', 'x', '/users/7', 'GET', '* */users/:id'],
    ['a named method on a name', 'x', '/users/7', 'DELETE', 'DELETE */users/:id'],
    ['a prefix matches itself without slash', 'x', '/users', 'GET', '* */users/*'],
    ['a prefix matches itself with slash; a name is not empty', 'x', '/users/', 'GET', '* */users/*'],
    ['plain text on the left before a longer pattern with a name there', 'x', '/users/42/avatar', 'GET', '* */users/42/*'],
    ['a longer pattern before a prefix within it', 'x', '/users/7/avatar', 'GET', '* */users/:id/avatar'],
    ['a prefix after a name', 'x', '/users/7/photos/1', 'GET', '* */users/:id/*'],
    ['plain text with prefix matches without more segments, and the exact name does not', 'x', '/users/42', 'GET', '* */users/42/*'],
    ['back from a branch that leads nowhere', 'x', '/users/new/x', 'GET', '* */users/:id/*'],
    ['the root itself', 'x', '/', 'GET', '* */'],
    ['a slash at the end is a segment', 'x', '/slash/', 'POST', '* */slash/'],
    ['no slash at the end is another path', 'x', '/slash', 'POST', '* */*'],
    ['letter case of a path counts', 'x', '/Users/new', 'POST', '* */*'],
    ['an exact host', 'example.com', '/users/new', 'GET', '* example.com/*'],
    ['letter case of a host does not count', 'EXAMPLE.com', '/', 'GET', '* example.com/*'],
    ['a method that an exact path has not falls through to the prefix', 'example.com', '/only-post', 'GET', '* example.com/*'],
    ['a method that it has', 'example.com', '/only-post', 'POST', 'POST example.com/only-post'],
    ['a wildcard', 'www.example.com', '/', 'GET', '* *.example.com/*'],
    ['a wildcard stands for several labels', 'a.b.example.com', '/', 'GET', '* *.example.com/*'],
    ['the longer wildcard', 'a.eu.example.com', '/', 'GET', '* *.eu.example.com/*'],
    ['a longer wildcard is not for its own name', 'eu.example.com', '/', 'GET', '* *.example.com/*'],
    ['a path that an exact host has not falls through to the wildcard', 'deep.eu.example.com', '/b', 'GET', '* *.eu.example.com/*'],
    ['an exact host with that path', 'deep.eu.example.com', '/a', 'GET', '* deep.eu.example.com/a'],
    ['an empty label is no label', '.example.com', '/', 'GET', '* */'],
    ['a name that ends alike is another name', 'badexample.com', '/', 'GET', '* */'],
    ['an IPv6 address', '[::1]', '/', 'GET', '* [0:0::1]/*'],
    ['the asterisk form belongs to /* (RFC 9112 3.2.4)', 'x', '*', 'OPTIONS', '* */*'],
    ['an empty path is no path', 'x', '', 'GET', null]
  ]
  for (const table of [tableOf(...routes), tableOf(...routes.toReversed())]) {
    for (const [title, host, path, method, expected] of rows) t.equal(table.match(host, path, method), expected, title)
  }
})

t.test('a request that fits no route gets none', async (t) => {
  const table = tableOf('GET,HEAD example.com/a', 'POST example.com/a/*', '* other.example/b')

  t.equal(table.match('example.com', '/b', 'GET'), null, 'path')
  t.equal(table.match('example.org', '/a', 'GET'), null, 'host')
  t.equal(table.match('example.com', '/a', 'DELETE'), null, 'method')
  t.equal(table.match('example.com', '*', 'OPTIONS'), null, 'asterisk form without /*')
  t.same(table.allows('example.com', '/a'), ['GET', 'HEAD', 'POST'], 'the methods that would have been accepted')
  t.same(table.allows('other.example', '/b'), ['*'])
  t.same(table.allows('example.com', '/b'), [])
})

t.test('names of the language\'s own objects are hosts and segments like any other', async (t) => {
  const table = tableOf('GET */a/b', 'GET example.com/c')
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.equal(table.match(name, `/${name}`, name), null)
    t.equal(table.match('example.com', `/a/${name}`, 'GET'), null)
    t.equal(table.match('example.com', '/c', name), null)
  }
  t.equal(tableOf('* constructor/__proto__').match('constructor', '/__proto__', 'GET'), '* constructor/__proto__')
})

t.test('of two routes for the same requests the first one counts', async (t) => {
  const match = { path: '/users/:id' }
  const table = createRouteTable([{ match, value: 1 }, { match: { path: '/users/:name' }, value: 2 }])

  t.equal(table.match('x', '/users/7', 'GET'), 1)
})

const segment = fc.constantFrom('a', 'b', 'c', '')
const pathPattern = fc.tuple(fc.array(fc.constantFrom('a', 'b', '', ':x', ':x'), { maxLength: 4 }), fc.boolean()).map(([parts, rest]) =>
  `/${[...parts.map((part, i) => part === ':x' ? `:x${i}` : part), ...rest ? ['*'] : []].join('/')}`)
const hostPattern = fc.option(fc.constantFrom('a.x', 'x', '*.x', '*.a.x', 'b.a.x', 'X'), { nil: undefined })
const match: fc.Arbitrary<MatchConfig> = fc.record({
  host: hostPattern,
  path: pathPattern,
  methods: fc.option(fc.uniqueArray(fc.constantFrom('GET', 'POST', 'PUT'), { minLength: 1 }), { nil: undefined })
}).map(({ host, path, methods }) => ({ path, ...host !== undefined && { host }, ...methods !== undefined && { methods } }))

/** The reference: every place that matches, sorted by preference, first one. */
function naiveMatch (places: ReadonlyArray<{ place: Place, value: number }>, host: string, path: string, method: string): number | null {
  const fitting = places.filter(({ place }) => fits(place, host, path, method))
  return fitting.sort((a, b) => comparePlaces(withoutMethods(a.place, method), withoutMethods(b.place, method)))[0]?.value ?? null
}

/** For one method, all places that name it are equal, however many others they name. */
function withoutMethods (place: Place, method: string): Place {
  return { ...place, methods: place.methods === null ? null : [method] }
}

function fits ({ host, path, methods }: Place, name: string, requested: string, method: string): boolean {
  if (methods !== null && !methods.includes(method)) return false
  if (host !== null && !(host.wildcard ? name.endsWith(`.${host.name}`) : name === host.name)) return false
  const parts = requested.slice(1).split('/')
  if (path.rest ? parts.length < path.segments.length : parts.length !== path.segments.length) return false
  return path.segments.every((segment, i) => segment.kind === 'param' ? parts[i] !== '' : parts[i] === segment.text)
}

t.test('the table finds what a plain search through the sorted routes finds', async (t) => {
  t.doesNotThrow(() => fc.assert(fc.property(
    fc.array(match, { maxLength: 12 }), fc.constantFrom('x', 'a.x', 'b.a.x', 'c.b.a.x', 'y'), fc.array(segment, { minLength: 1, maxLength: 5 }), fc.constantFrom('GET', 'POST', 'PATCH'),
    (matches, host, parts, method) => {
      const path = `/${parts.join('/')}`
      const table = createRouteTable(matches.map((match, value) => ({ match, value })))
      const places = matches.flatMap((match, value) => placesOf(match).map(place => ({ place, value })))

      return table.match(host, path, method) === naiveMatch(places, host, path, method)
    }
  ), { numRuns: 3000 }))
})

t.test('the order of preference is total', async (t) => {
  t.doesNotThrow(() => fc.assert(fc.property(match, match, match, (...matches) => {
    const [a, b, c] = matches.map(match => placesOf(match)[0] as Place) as [Place, Place, Place]
    if (Math.sign(comparePlaces(a, b)) + Math.sign(comparePlaces(b, a)) !== 0) return false
    return !(comparePlaces(a, b) <= 0 && comparePlaces(b, c) <= 0) || comparePlaces(a, c) <= 0
  }), { numRuns: 3000 }))
})

t.test('a thousand routes and a long path are no burden', async (t) => {
  const table = createRouteTable(Array.from({ length: 1000 }, (_, i) => ({ match: { path: `/:a/:b/s${i}/:c/*`, host: `h${i % 10}.example` }, value: i })))

  t.equal(table.match('h7.example', `/x/y/s997/z${'/q'.repeat(30_000)}`, 'GET'), 997)
  t.equal(table.match('h7.example', '/x'.repeat(30_000), 'GET'), null)
  t.equal(table.match('.'.repeat(30_000), '/x', 'GET'), null)
})

t.test('patterns that are not understood are refused with a reason', async (t) => {
  for (const [path, reason] of [
    ['users', /must begin/], ['/a?b', /query/], ['/a#b', /query/], ['/a*', /whole last segment/], ['/*/a', /whole last segment/], ['/a/**', /whole last segment/],
    ['/a:id', /whole segment/], ['/:', /letters/], ['/:1', /letters/], ['/:a-b', /letters/], ['/:a/:a', /twice/]
  ] as const) {
    const result = parsePathPattern(path)
    t.notOk(result.ok, path)
    t.match(result.ok ? '' : result.reason, reason, path)
  }
  for (const path of ['/', '/*', '/a', '/a/', '/a//b', '/:id', '/a/:id/*', '/10:30', '/%C3%A9']) t.ok(parsePathPattern(path).ok, path)
})

t.test('hosts that are not understood are refused with a reason', async (t) => {
  for (const [host, reason] of [
    ['*', /leave/], ['a:80', /port/], ['a:', /port/], ['[::1]:80', /port/], ['[1]', /IPv6/], ['[::1%a]', /IPv6/], ['a.*.b', /first label/], ['*a.b', /first label/], ['é.example', /xn--/],
    ['a b', /ASCII/], ['a..b', /valid/], ['a.', /valid/], ['-a', /valid/], ['a/b', /valid/], ['*.', /valid/], ['x'.repeat(64), /valid/]
  ] as const) {
    const result = parseHostPattern(host)
    t.notOk(result.ok, host)
    t.match(result.ok ? '' : result.reason, reason, host)
  }
  for (const host of ['a', 'A.example', '*.a', '127.0.0.1', '[::1]', 'xn--caf-dma.example', 'under_score']) t.ok(parseHostPattern(host).ok, host)
})

t.test('a table cannot be built from a pattern that validation would refuse', async (t) => {
  t.throws(() => tableOf('* */a*'), /whole last segment/)
  t.throws(() => createRouteTable([{ match: { path: '/', host: '*' }, value: 1 }]), /leave/)
})
