import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import Value from 'typebox/value'
import { completed, decoded } from '../../src/config/complete.ts'
import { ConfigError, resolveConfig, warningsFor } from '../../src/config/load.ts'
import type { ConfigProblem } from '../../src/config/load.ts'
import { resolvePieces, resolveTree } from '../../src/config/resolve.ts'
import { ConfigSchema } from '../../src/config/schema.ts'
import type { SchemaNode } from '../../src/config/validate.ts'
import { schemaNode, validate } from '../../src/config/validate.ts'
import { inPieces } from '../../src/pieces.ts'
import { heapWarnings } from '../../src/server/heap-warnings.ts'

const upstreams = { main: { targets: ['http://127.0.0.1:3000'] } }
const route = { name: 'all', upstream: 'main' }
const small = { upstreams, routes: [route] }

function problemsOf (input: unknown): readonly ConfigProblem[] {
  try {
    resolveConfig(input)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

/** `path rule` of each problem. */
function told (input: unknown): string[] {
  return problemsOf(input).map(({ path, rule }) => `${path} ${rule}`)
}

const withRoute = (options: object) => ({ upstreams, routes: [{ ...route, ...options }] })
const withUpstream = (options: object) => ({ upstreams: { main: { ...upstreams.main, ...options } }, routes: [route] })

t.test('a small configuration is completed; durations become milliseconds, sizes bytes', async (t) => {
  const input = { upstreams: { main: { targets: ['http://a', { url: 'http://b' }], timeouts: { connect: '1.5s', total: 90 } } }, routes: [{ ...route, bodyBytes: '1.5KiB', betweenBytes: 0, rateLimit: {} }] }
  const frozen = structuredClone(input)
  const config = resolveConfig(input)

  t.same(input, frozen, 'the input is left alone')
  t.equal(config.server.port, 8080)
  t.equal(config.server.limits.headerBytes, 16_384)
  t.equal(config.upstreams.main?.timeouts.connect, 1500)
  t.equal(config.upstreams.main?.timeouts.total, 90_000)
  t.equal(config.upstreams.main?.timeouts.firstByte, 60_000)
  t.same(config.upstreams.main?.targets, ['http://a', { url: 'http://b', weight: 1 }])
  t.equal(config.routes[0]?.match.path, '/*')
  t.equal(config.routes[0]?.bodyBytes, 1536)
  t.equal(config.routes[0]?.betweenBytes, 0)
  t.same(config.routes[0]?.rateLimit, { max: 100, window: 60_000, key: 'address', clients: 10_000, allow: [], hits: 1, fields: 'draft' })
  t.equal(config.routes[0]?.cache.heuristicMax, 86_400_000)
  t.equal(config.routes[0]?.auth, undefined)
})

t.test('two configurations share nothing', async (t) => {
  const [a, b] = [resolveConfig(small), resolveConfig(small)]
  a.routes[0]?.cache.ttl.push({ status: [200], ttl: 1 })
  a.server.trustedProxies.push('loopback')

  t.same(b.routes[0]?.cache.ttl, [])
  t.same(b.server.trustedProxies, [])
  t.same(resolveConfig(small).server.trustedProxies, [])
})

t.test('an option without value is as if it were not written', async (t) => {
  t.same(resolveConfig({ ...small, cache: null, server: { tls: null, limits: undefined } }), resolveConfig(small))
})

t.test('every place that does not fit is told once, in plain English', async (t) => {
  const rows: Array<[title: string, input: unknown, path: string, message: string]> = [
    ['nothing', undefined, '', 'must be a section with options'],
    ['a list', [], '', 'must be a section with options'],
    ['unknown option', { ...small, server: { prot: 80 } }, '/server/prot', 'unknown option; did you mean "port"?'],
    ['unknown section', { ...small, upstream: {} }, '/upstream', 'unknown option; did you mean "upstreams"?'],
    ['unknown and near to nothing', { ...small, server: { zzzzzz: 80 } }, '/server/zzzzzz', 'unknown option'],
    ['text for a number', { ...small, server: { port: '80' } }, '/server/port', 'must be a whole number'],
    ['fraction', { ...small, server: { port: 80.5 } }, '/server/port', 'must be a whole number'],
    ['infinite', { ...small, server: { workers: Infinity } }, '/server/workers', 'must be a whole number'],
    ['too large', { ...small, server: { port: 65_536 } }, '/server/port', 'must be at most 65535'],
    ['too small', { ...small, server: { workers: 0 } }, '/server/workers', 'must be at least 1'],
    ['duration', { ...small, server: { drainTimeout: '10 s' } }, '/server/drainTimeout', 'must be a duration such as 500ms, 10s, 5m, 2h, 1d, or a number of seconds'],
    ['duration of a wrong type', { ...small, server: { drainTimeout: true } }, '/server/drainTimeout', 'must be a duration such as 500ms, 10s, 5m, 2h, 1d, or a number of seconds'],
    ['negative duration', { ...small, server: { drainTimeout: -1 } }, '/server/drainTimeout', 'must be a duration such as 500ms, 10s, 5m, 2h, 1d, or a number of seconds'],
    ['a duration beyond the reach of timers', { ...small, server: { drainTimeout: '25d' } }, '/server/drainTimeout', 'must be at most 24d'],
    ['a timer that never rests', { ...small, loadShedding: { sampleInterval: 0 } }, '/loadShedding/sampleInterval', 'must be at least 10ms'],
    ['size', { ...small, cache: { maxBytes: '1 MB' } }, '/cache/maxBytes', 'must be a size such as 64KiB, 10MB, 1GiB, or a number of bytes'],
    ['size beyond numbers', { ...small, cache: { maxBytes: '9999999999GiB' } }, '/cache/maxBytes', 'must be at most 9007199254740991 bytes'],
    ['switch', { ...small, cache: { enabled: 'yes' } }, '/cache/enabled', 'must be true or false'],
    ['word', { ...small, log: { level: 'warning' } }, '/log/level', 'must be one of fatal, error, warn, info, debug, trace, silent; did you mean "warn"?'],
    ['empty text', { ...small, server: { host: '' } }, '/server/host', 'must not be empty'],
    ['short token', { ...small, admin: { token: 'short' } }, '/admin/token', 'must have at least 16 characters'],
    ['empty list', withUpstream({ targets: [] }), '/upstreams/main/targets', 'must not be empty'],
    ['list of too many', withUpstream({ targets: Array.from({ length: 257 }, (_, i) => `http://h${i}`) }), '/upstreams/main/targets', 'must have at most 256 entries'],
    ['text for a list', withUpstream({ targets: 'http://a' }), '/upstreams/main/targets', 'must be a list'],
    ['target with path', withUpstream({ targets: ['http://a/b'] }), '/upstreams/main/targets/0', 'must be an origin such as http://127.0.0.1:3000, without path, query or user name'],
    ['target of no form', withUpstream({ targets: [1] }), '/upstreams/main/targets/0', 'must be an origin such as http://127.0.0.1:3000, or url and weight'],
    ['inside a target with weight', withUpstream({ targets: [{ url: 'http://a', wieght: 1 }] }), '/upstreams/main/targets/0/wieght', 'unknown option; did you mean "weight"?'],
    ['no upstream', { upstreams: {}, routes: [route] }, '/upstreams', 'must not be empty'],
    ['name of an upstream', { upstreams: { ...upstreams, 'a b': upstreams.main }, routes: [route] }, '/upstreams/a b', 'must be called by a name: 1 to 64 letters, digits, dots, dashes or underscores'],
    ['missing', { upstreams, routes: [{ upstream: 'main' }] }, '/routes/0/name', 'is missing: Label in logs, metrics and the route table.'],
    ['text for a section', withRoute({ rateLimit: 'yes' }), '/routes/0/rateLimit', 'must be a section with options'],
    ['method', withRoute({ match: { methods: ['get'] } }), '/routes/0/match/methods/0', 'must be a request method in capitals, such as GET'],
    ['field name', withRoute({ rewrite: { setFields: { 'a b': 'x' } } }), '/routes/0/rewrite/setFields/a b', 'must be called by a field name, such as x-team'],
    ['field value that would split the message', withRoute({ rewrite: { setFields: { a: 'x\r\ny: z' } } }), '/routes/0/rewrite/setFields/a', 'must be a field value without control characters'],
    ['prefix', withRoute({ rewrite: { addPrefix: '/a/' } }), '/routes/0/rewrite/addPrefix', 'must be a path such as /base, without a slash at its end'],
    ['status', withRoute({ cache: { ttl: [{ status: [199], ttl: 1 }] } }), '/routes/0/cache/ttl/0/status/0', 'must be at least 200'],
    ['code instead of data', { ...small, log: () => {} }, '/log', 'must be plain data, not a function'],
    ['a name that would reach into prototypes', JSON.parse('{"server":{"__proto__":{"port":1}},"upstreams":{"m":{"targets":["http://a"]}},"routes":[{"name":"a","upstream":"m"}]}'), '/server/__proto__', 'unknown option']
  ]
  for (const [title, input, path, message] of rows) t.match(problemsOf(input), [{ path, message }], title)
})

t.test('rules that join options', async (t) => {
  const rows: Array<[title: string, input: object, expected: string[]]> = [
    ['route names differ', { upstreams, routes: [route, { ...route, match: { path: '/a' } }] }, ['/routes/1/name unique-name']],
    ['the upstream exists', withRoute({ upstream: 'mian' }), ['/routes/0/upstream known-upstream']],
    ['the upstream is no property of every object', withRoute({ upstream: 'constructor' }), ['/routes/0/upstream known-upstream']],
    ['matches differ', { upstreams, routes: [{ ...route, match: { path: '/:a/b' } }, { name: 'b', upstream: 'main', match: { path: '/:c/b' } }] }, ['/routes/1/match unique-match']],
    ['matches differ in part', { upstreams, routes: [{ ...route, match: { host: ['a', 'b'], methods: ['GET', 'PUT'] } }, { name: 'b', upstream: 'main', match: { host: ['c', 'B'], methods: ['PUT'] } }] }, ['/routes/1/match unique-match']],
    ['matches that differ by method, host or path', { upstreams, routes: [route, { name: 'b', upstream: 'main', match: { methods: ['GET'] } }, { name: 'c', upstream: 'main', match: { host: 'a' } }, { name: 'd', upstream: 'main', match: { path: '/' } }] }, []],
    ['a host is given once', withRoute({ match: { host: ['a', 'A'] } }), ['/routes/0/match unique-match']],
    ['path patterns', withRoute({ match: { path: '/a/*/b' } }), ['/routes/0/match/path path-pattern']],
    ['dot segments', withRoute({ match: { path: '/a/../b' } }), ['/routes/0/match/path path-pattern']],
    ['a path as requests have it', withRoute({ match: { path: '/café/:id' } }), ['/routes/0/match/path path-pattern']],
    ['escapes as requests have them', withRoute({ match: { path: '/caf%c3%a9' } }), ['/routes/0/match/path path-pattern']],
    ['a path in its normal form', withRoute({ match: { path: '/caf%C3%A9/:id/*' } }), []],
    ['slashes that are merged', withRoute({ match: { path: '/a//b' } }), ['/routes/0/match/path path-pattern']],
    ['slashes that are not', { server: { mergeSlashes: false }, ...withRoute({ match: { path: '/a//b' } }) }, []],
    ['a path that no request can have', withRoute({ match: { path: '/a%zz' } }), ['/routes/0/match/path path-pattern']],
    ['host patterns', withRoute({ match: { host: 'a:80' } }), ['/routes/0/match/host host-pattern']],
    ['host patterns in a list', withRoute({ match: { host: ['a', 'b.*'] } }), ['/routes/0/match/host/1 host-pattern']],
    ['methods that cannot come', withRoute({ match: { methods: ['GTE', 'CONNECT', 'M-SEARCH'] } }), ['/routes/0/match/methods/0 method', '/routes/0/match/methods/1 method']],
    ['a prefix that is never there', withRoute({ match: { path: '/v1/*' }, rewrite: { stripPrefix: '/api' } }), ['/routes/0/rewrite/stripPrefix strip-prefix']],
    ['a prefix longer than the path', withRoute({ match: { path: '/v1' }, rewrite: { stripPrefix: '/v1/x' } }), ['/routes/0/rewrite/stripPrefix strip-prefix']],
    ['prefixes that may be there', withRoute({ match: { path: '/:x/v1/*' }, rewrite: { stripPrefix: '/api/v1/x' } }), []],
    ['dots in a prefix', withRoute({ rewrite: { addPrefix: '/a/..' } }), ['/routes/0/rewrite/addPrefix path-prefix']],
    ['fields of message framing', withRoute({ rewrite: { setFields: { Host: 'a', 'Content-Length': '1' }, removeFields: ['Transfer-Encoding'] }, response: { setFields: { host: 'fine' }, removeFields: ['content-length'] } }),
      ['/routes/0/rewrite/setFields/Host framing-field', '/routes/0/rewrite/setFields/Content-Length framing-field', '/routes/0/rewrite/removeFields/0 framing-field', '/routes/0/response/removeFields/0 framing-field']],
    ['fields are given once', withRoute({ response: { setFields: { a: '1', A: '2' } } }), ['/routes/0/response/setFields/A unique-field']],
    ['authentication without credential', withRoute({ auth: {} }), ['/routes/0/auth credentials']],
    ['targets differ', withUpstream({ targets: ['http://a', { url: 'http://A:80/' }] }), ['/upstreams/main/targets/1/url unique-target']],
    ['targets can be parsed', withUpstream({ targets: ['http://a:99999'] }), ['/upstreams/main/targets/0 origin']],
    ['the host sent can be parsed', withUpstream({ host: 'a:b' }), ['/upstreams/main/host host']],
    ['a client certificate has a key', withUpstream({ tls: { cert: 'a.pem' } }), ['/upstreams/main/tls/cert certificate-pair']],
    ['a response fits the cache', { ...small, cache: { maxBytes: '1MB' } }, ['/cache/maxResponseBytes fits-cache']],
    ['a response of a route fits the cache', withRoute({ cache: { maxResponseBytes: '1GiB' } }), ['/routes/0/cache/maxResponseBytes fits-cache']],
    ['the admin listener is protected', { ...small, admin: { host: '0.0.0.0' } }, ['/admin/token admin-token']],
    ['a name is not known to be loopback', { ...small, admin: { host: 'admin.internal' } }, ['/admin/token admin-token']],
    ['a protected admin listener', { ...small, admin: { host: '0.0.0.0', token: '0123456789abcdef' } }, []],
    ['no admin listener', { ...small, admin: { host: '0.0.0.0', enabled: false } }, []],
    ['loopback in all its forms', { ...small, admin: { host: '[::1]' } }, []],
    ['the listeners have different ports', { ...small, server: { port: 9090 } }, ['/admin/port distinct-ports']],
    ['two free ports', { ...small, server: { port: 0 }, admin: { port: 0 } }, []],
    ['trusted proxies', { ...small, server: { trustedProxies: ['10.0.0.0/8', '::1', 'loopback', 'lopback', '10.0.0.0/33', 'example.com'] } },
      ['/server/trustedProxies/3 address', '/server/trustedProxies/4 address', '/server/trustedProxies/5 address']],
    ['certificates have hosts of their own', { ...small, server: { tls: { certificates: [{ hosts: ['a', 'b:1'], cert: 'c', key: 'k' }, { hosts: ['A'], cert: 'c', key: 'k' }, { cert: 'c', key: 'k' }, { cert: 'c', key: 'k' }] } } },
      ['/server/tls/certificates/0/hosts/1 host', '/server/tls/certificates/1/hosts/0 unique-certificate', '/server/tls/certificates/3 unique-certificate']]
  ]
  for (const [title, input, expected] of rows) t.same(told(input), expected, title)
})

t.test('one mistake hides no other, and makes none up', async (t) => {
  const input = {
    server: { prot: 1, trustedProxies: ['x'], drainTimeout: 'soon' },
    admin: { host: '0.0.0.0', token: 'short' },
    cache: { maxBytes: 'much', maxResponseBytes: '1TB' },
    upstreams: { main: { targets: ['http://a', 'http://a', 5], balance: 'x', host: 'a:b' } },
    routes: [
      { name: 'a', upstream: 'mian', match: { path: 5 }, rewrite: { stripPrefix: '/x' } },
      { name: 'a', upstream: 'main', match: { path: '/a*', methods: ['get'] }, rateLimit: true, auth: { bearer: { tokens: ['x'] } } },
      5
    ]
  }

  t.same(told(input).toSorted(), [
    '/admin/token min-length', '/cache/maxBytes size', '/cache/maxResponseBytes size',
    '/routes/0/match/path type', '/routes/0/upstream known-upstream',
    '/routes/1/auth/bearer/tokens/0 pattern', '/routes/1/match/methods/0 pattern', '/routes/1/match/path path-pattern', '/routes/1/name unique-name', '/routes/1/rateLimit type', '/routes/2 type',
    '/server/drainTimeout duration', '/server/prot unknown-option', '/server/trustedProxies/0 address',
    '/upstreams/main/balance enum', '/upstreams/main/targets/2 type'
  ])
})

t.test('secrets are never shown', async (t) => {
  const secret = 'hunter2hunter2hunter2'
  const inputs = [
    { ...small, admin: { token: secret.slice(0, 8) } }, { ...small, admin: { tokn: secret } }, { ...small, admin: secret },
    withRoute({ auth: { bearer: { tokens: [secret] } } }), withRoute({ auth: { bearer: { tokens: secret } } }), withRoute({ auth: { bearer: secret } }), withRoute({ auth: secret }),
    withRoute({ auth: { apiKeys: { keys: [secret] } } }), withRoute({ rewrite: { setFields: { authorization: `${secret}\n` } } }), withRoute({ rewrite: { setFields: secret } }),
    withUpstream({ targets: [`http://user:${secret}@a`] })
  ]
  for (const input of inputs) {
    t.throws(() => resolveConfig(input), ConfigError)
    try { resolveConfig(input) } catch (error) { t.notMatch((error as Error).message, 'hunter2', (error as Error).message) }
  }
})

t.test('what is dangerous or without effect is warned of', async (t) => {
  const config = resolveConfig({ upstreams: { main: { targets: ['https://a'], tls: { verify: false } }, idle: { targets: ['http://b'] } }, routes: [{ ...route, cache: { setCookie: 'store' } }] })

  t.same(warningsFor(config).map(({ path, rule }) => `${path} ${rule}`), ['/upstreams/main/tls/verify tls-not-verified', '/upstreams/idle unused-upstream', '/routes/0/cache/setCookie shared-cookies'])
  t.same(warningsFor(resolveConfig(small)), [])
})

t.test('the schema uses only keywords that validation knows', async (t) => {
  const known = new Set(['type', 'enum', 'anyOf', 'properties', 'patternProperties', 'additionalProperties', 'propertyNames', 'minProperties', 'required', 'items', 'minItems', 'maxItems', 'minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'description', 'default', 'writeOnly', 'expected', 'unit', 'least', 'most', 'title'])
  const visit = (schema: SchemaNode, path: string): void => {
    t.same(Object.keys(schema).filter(keyword => !known.has(keyword)), [], path)
    for (const [name, inner] of Object.entries({ ...schema.properties, ...schema.patternProperties })) visit(inner, `${path}/${name}`)
    for (const branch of schema.anyOf ?? []) visit(branch, `${path}|`)
    if (schema.items !== undefined) visit(schema.items, `${path}[]`)
    // One branch for each type: the branch of a value's own type speaks for the union.
    if (schema.anyOf !== undefined) t.equal(new Set(schema.anyOf.map(({ type }) => type)).size, schema.anyOf.length, path)
  }
  visit(schemaNode(ConfigSchema), '')
})

t.test('validation accepts and refuses what TypeBox does, and decodes as it does', async (t) => {
  const leaf = fc.oneof(fc.constantFrom<unknown>('', 'a', '/a', '10s', '1MB', 'http://a', 'info', true, false, 0, 1, -1, 1.5, 1e20, NaN), fc.string({ maxLength: 3 }))
  const value: fc.Arbitrary<unknown> = fc.letrec(tie => ({
    value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 2 }), fc.dictionary(fc.constantFrom('name', 'upstream', 'match', 'path', 'url', 'port', 'x'), tie('value'), { maxKeys: 3 }))
  })).value
  const places = ['server', 'server/port', 'server/tls', 'server/limits/headerBytes', 'server/drainTimeout', 'log/level', 'cache', 'cache/maxBytes', 'upstreams', 'upstreams/main', 'upstreams/main/targets', 'upstreams/main/targets/0', 'upstreams/main/host', 'routes', 'routes/0', 'routes/0/match', 'routes/0/match/host', 'routes/0/cache/ttl', 'routes/0/rewrite/setFields', 'routes/0/auth', 'routes/0/bodyBytes']

  t.doesNotThrow(() => fc.assert(fc.property(fc.constantFrom(...places), value, (place, value) => {
    const input: Record<string, unknown> = structuredClone({ ...resolveConfigInput(), log: {}, cache: {}, server: { limits: {} } })
    const members = place.split('/')
    const last = members.pop() as string
    let holder = input
    for (const member of members) holder = (holder[member] ??= {}) as Record<string, unknown>
    holder[last] = value

    const complete = completed(schemaNode(ConfigSchema), input)
    const problems: ConfigProblem[] = []
    validate(schemaNode(ConfigSchema), complete, '', problem => problems.push(problem))
    // Bounds of durations and sizes are ours alone.
    const shared = problems.filter(problem => !/must be at (least|most) .*(s|d|bytes)$/.test(problem.message))
    if (Value.Check(ConfigSchema, complete) !== (shared.length === 0)) return false
    try { resolveConfig(input) } catch (error) { return error instanceof ConfigError && error.problems.length > 0 }
    if (problems.length > 0) return false
    return isDeepStrictEqual(decoded(schemaNode(ConfigSchema), complete), Value.Decode(ConfigSchema, structuredClone(complete)))
  }), { numRuns: 3000 }))
})

function resolveConfigInput () {
  return { upstreams: { main: { targets: ['http://127.0.0.1:3000'] } }, routes: [{ name: 'all', upstream: 'main' }] }
}

t.test('a store that V8\'s heap has no room for is warned of, with what to do', async t => {
  const configOf = (cache: object) => resolveConfig({ cache, upstreams: { main: { targets: ['http://a'] } }, routes: [{ name: 'all', upstream: 'main' }] })

  t.same(heapWarnings(configOf({ maxBytes: '3GiB' }), 4 * 2 ** 30), [])
  t.same(heapWarnings(configOf({ maxBytes: '8GiB', enabled: false }), 4 * 2 ** 30), [])
  const [warning] = heapWarnings(configOf({ maxBytes: '6GiB' }), 4 * 2 ** 30)
  t.equal(warning?.path, '/cache/maxBytes')
  t.match(warning?.message, /more than 75 % of V8's heap \(4096 MiB\).*--max-old-space-size=8192$/)
})

t.test('a large configuration is checked in pieces with the same result as at once', async t => {
  const routes = Array.from({ length: 1000 }, (_, i) => ({ name: `route-${i}`, upstream: 'main', match: { path: `/section-${i}/*` }, cache: { staleIfError: '10s' } }))
  const { upstreams } = resolveConfigInput()
  const wrong = [...routes, { ...routes[0], upstream: 'mian', x: 1 }]
  let turns = 0
  let goesOn = true
  const count = (): void => {
    turns++
    if (goesOn) setImmediate(count)
  }
  setImmediate(count)

  const [good, bad] = [await inPieces(resolvePieces({ upstreams, routes })), await inPieces(resolvePieces({ upstreams, routes: wrong }))]
  goesOn = false

  t.ok(turns > 4)
  t.strictSame(good, resolveTree({ upstreams, routes }))
  t.strictSame(bad, resolveTree({ upstreams, routes: wrong }))
  t.ok(good.ok)
  t.same((bad.ok ? [] : bad.problems).map(({ path }) => path).toSorted(), ['/routes/1000/match', '/routes/1000/name', '/routes/1000/upstream', '/routes/1000/x'])
})
