/** What is known of a request target is what the long way makes of it, however often it was asked for. */
import fc from 'fast-check'
import t from 'tap'
import { primaryKey } from '../../src/cache/key.ts'
import { resolveConfig } from '../../src/config/load.ts'
import { isPlainTarget, normaliseTarget } from '../../src/http/target.ts'
import { atOnce } from '../../src/pieces.ts'
import { requestKey } from '../../src/proxy/cache-key-of.ts'
import { createKnownTargets, requestOf } from '../../src/proxy/known-targets.ts'
import type { ProxyRoute, RouteFilters } from '../../src/proxy/proxy-route.ts'
import { createRuntime, type Runtime } from '../../src/proxy/runtime.ts'
import type { UpstreamDependencies } from '../../src/upstream/upstream.ts'

const filters: RouteFilters = { checkAccess: null, handleCors: null, limitRate: null, authenticate: null, limitIdentity: null, settleHit: null, limitForwarded: null, limitQuickly: null, transforms: null, own: null }

/** Nothing is asked of the upstream here. */
const dependencies = {} as unknown as UpstreamDependencies

function runtimeWith (server: object = {}): Runtime {
  const config = resolveConfig({
    server,
    upstreams: { origin: { targets: ['http://127.0.0.1:1'] } },
    routes: [
      { name: 'strip', match: { path: '/strip/*' }, rewrite: { stripPrefix: '/strip' } },
      { name: 'replace', match: { path: '/replace/*' }, rewrite: { replace: [{ pattern: 'a+', with: '..' }], query: { remove: ['x'] } } },
      { name: 'host', match: { host: 'shop.test' }, rewrite: { addPrefix: '/shop' } },
      { name: 'posts', match: { path: '/:kind/posts', methods: ['GET'] } },
      { name: 'slow', match: { path: '/slow/*' } },
      { name: 'a', match: { path: '/a/*' } }
    ].map(route => ({ ...route, upstream: 'origin' }))
  })
  return atOnce(createRuntime(config, null, () => filters, dependencies))
}

const isQuick = ({ name }: ProxyRoute): boolean => name !== 'slow'

/** As the long way does it, from its beginning each time. */
function longWay (runtime: Runtime, method: string, scheme: 'http' | 'https', host: string, url: string): unknown {
  const decision = normaliseTarget({ method, target: url, hostLines: [host], httpVersion: '1.1', scheme, mergeSlashes: runtime.config.server.mergeSlashes })
  if (!decision.ok) return null
  const { target } = decision
  const route = runtime.table.match(target.host, target.path, method)
  if (route === null || !isQuick(route)) return null
  const path = route.urlRules.path(target.path)
  if (path === null) return null
  const query = route.urlRules.query({ scheme, host: target.host, path: target.path, query: target.query }, null)
  const parts = requestKey({ route, target, path, query, keyed: null, keyParts: null, identity: null, identityFields: null }, {}, '')
  return { route: route.name, target, key: primaryKey(parts), request: { ...parts, method, fields: {}, rules: route.cacheRules, enabled: route.cacheEnabled, hasContent: false, authenticated: false, common: false, personal: false, showKey: false } }
}

const segment = fc.oneof(fc.constantFrom('a', 'posts', 'strip', 'replace', 'slow', '', '.', '..', 'aaa', '%61', '%2e', '%2F..', '%zz', 'a.b', '.a', '~b', 'a%20b', 'é', '\\', '<', '"', '\u0000', ' ', '#'), fc.string({ maxLength: 4 }))
const query = fc.oneof(fc.constant(''), fc.constantFrom('?', '?x=1&y=2', '?a?b', '?%zz', '?\u00e9', '?#', '?a b', '?\u0100', '?\u007f'), fc.string({ maxLength: 5 }).map(text => `?${text}`))
const url = fc.tuple(fc.constantFrom('', '', '', '', 'http://shop.test', 'https://other.test:80', 'HTTP://A.test', 'ftp://a', '*'), fc.array(segment, { maxLength: 5 }), query).map(([start, segments, query]) => `${start}/${segments.join('/')}${query}`)
const host = fc.constantFrom('shop.test', 'SHOP.test:80', 'other.test', 'other.test:443', 'other.test:80', 'other.test.', '', 'a b', 'a,b', '[::1]:81', '[::1', 'x'.repeat(600))

for (const [title, server] of [['with slashes merged', {}], ['with slashes as they are', { mergeSlashes: false }]] as const) {
  t.test(`property: the same target, route, key and request as on the long way, ${title}`, async t => {
    const runtime = runtimeWith(server)
    let plain = 0
    let known = 0
    fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('GET', 'HEAD'), fc.constantFrom('http' as const, 'https' as const), host, url), { minLength: 1, maxLength: 8 }), asked => {
      const targets = createKnownTargets(runtime, isQuick)
      // Three times: when something comes again it is remembered, and then it is found.
      return [...asked, ...asked, ...asked].every(([method, scheme, host, url]) => {
        const found = targets.of(method, scheme, host, url)
        if (isPlainTarget(url)) plain++
        if (found !== null) known++
        const compared = found === null ? null : { route: found.route.name, target: found.target, key: found.key, request: requestOf(found, {}) }
        return t.same(compared, longWay(runtime, method, scheme, host, url), `${method} ${scheme} ${host} ${url}`)
      })
    }), { numRuns: 300 })
    t.ok(plain > 100 && known > 100, `${plain} plain, ${known} known`)
  })
}

t.test('property: a plain target is what normalising leaves as it is', async t => {
  fc.assert(fc.property(url, url => {
    if (!isPlainTarget(url)) return true
    const decision = normaliseTarget({ method: 'GET', target: url, hostLines: ['a.test'], httpVersion: '1.1', scheme: 'http', mergeSlashes: true })
    return decision.ok && decision.target.form === 'origin' && decision.target.path + decision.target.query === url && !decision.target.path.includes('?')
  }), { numRuns: 5000 })
  t.pass()
})

t.test('more hosts and targets than are remembered are found as well', async t => {
  const runtime = runtimeWith()
  const targets = createKnownTargets(runtime, isQuick)
  for (let i = 0; i < 25_000; i++) targets.of('GET', 'http', `host-${i}.test`, '/a/b')
  for (let i = 0; i < 25_000; i++) for (let again = 0; again < 2; again++) targets.of('GET', 'http', 'other.test', `/a/./${i}`)
  for (const [host, url] of [['host-1.test', '/a/b'], ['host-24999.test', '/a/c'], ['other.test', '/a/./7'], ['shop.test', '/x']] as const) {
    t.equal(targets.of('GET', 'http', host, url)?.key, (longWay(runtime, 'GET', 'http', host, url) as { key: string }).key, host + url)
  }
})
