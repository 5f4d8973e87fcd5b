/** Request modification: templates, paths, queries, fields, Host and method, and what the cache and purges make of them. */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { resolveConfig, ConfigError, warningsFor } from '../../src/config/load.ts'
import { createRequestRules } from '../../src/forward/request-rules.ts'
import { compileTemplate, parseTemplate, renderField, renderParameter, type TemplateInput } from '../../src/forward/template.ts'
import { createUrlRules, maxReplacedLength } from '../../src/forward/url-rules.ts'
import { normaliseTarget } from '../../src/http/target.ts'
import { get, startProxy, talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const fresh = ['Cache-Control: max-age=60']
const lineOf = (text: string): string => text.slice(0, text.indexOf(' HTTP/1.1'))
const outcomeOf = (text: string): string => /cache-status: ([^\r]*)/i.exec(text)?.[1] ?? ''
const isHit = /^holdfast; hit/

const asked: TemplateInput = {
  scheme: 'https',
  host: 'shop.test',
  path: '/users/J%C3%B6rg',
  query: '?q=a+b&empty=&q=2',
  clientAddress: '192.0.2.7',
  requestId: 'id-1',
  method: 'GET',
  fields: { 'x-team': 'red', 'x-many': ['a', 'b'], cookie: 'a=1; session=s 1; session=2', 'x-bad': 'a\r\nb' },
  identity: { subject: 'jörg', claims: { tenant: 'acme', roles: ['a', 'b'], level: 3, nested: {}, evil: 'a\r\nx-admin: 1' } }
}

const rulesOf = (rewrite: object, path = '/*') => {
  const route = resolveConfig({ upstreams: { a: { targets: ['http://a'] } }, routes: [{ name: 'a', upstream: 'a', match: { path }, rewrite }] }).routes[0]
  return (route as NonNullable<typeof route>).rewrite
}

function problemsOf (rewrite: object, match: object = {}): string[] {
  try {
    resolveConfig({ upstreams: { a: { targets: ['http://a'] } }, routes: [{ name: 'a', upstream: 'a', match, rewrite }] })
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, rule, message }) => `${path.replace('/routes/0/rewrite/', '')} ${rule}: ${message}`)
    throw error
  }
}

t.test('a template is made of what the request says, or not at all', async t => {
  const rows: Array<[template: string, field: string | null, parameter: string | null]> = [
    ['plain', 'plain', 'plain'],
    ['{{a}} }}{{', '{a} }{', '%7Ba%7D%20%7D%7B'],
    ['{client.ip}', '192.0.2.7', '192.0.2.7'],
    ['{request.id}/{request.method}', 'id-1/GET', 'id-1%2FGET'],
    ['{scheme}://{host}{path}?{query}', 'https://shop.test/users/J%C3%B6rg?q=a+b&empty=&q=2', 'https%3A%2F%2Fshop.test/users/J%C3%B6rg%3Fq=a%2Bb%26empty=%26q=2'],
    ['{path.name}', 'J%C3%B6rg', 'J%C3%B6rg'],
    ['{query.q}', 'a+b', 'a%2Bb'],
    ['{query.empty}', '', ''],
    ['{query.none}', null, null],
    ['{field.X-Team}', 'red', 'red'],
    ['{field.x-many}', 'a, b', 'a%2C%20b'],
    ['{field.constructor}', null, null],
    ['{cookie.session}', 's 1', 's%201'],
    ['{cookie.none}', null, null],
    ['u={auth.subject}', 'u=jÃ¶rg', 'u%3Dj%C3%B6rg'],
    ['{auth.claim.tenant}-{auth.claim.level}-{auth.claim.roles}', 'acme-3-a,b', 'acme-3-a%2Cb'],
    ['{auth.claim.nested}', null, null],
    ['{auth.claim.constructor}', null, null],
    ['{field.x-team}{field.absent}', null, null],
    // No client ends a line with what it sends; in a query it is escaped.
    ['{field.x-bad}', null, 'a%0D%0Ab'],
    ['{auth.claim.evil}', null, 'a%0D%0Ax-admin%3A%201']
  ]
  for (const [text, field, parameter] of rows) {
    const template = compileTemplate(text, [null, 'name'])
    t.equal(renderField(template, asked), field, `${text} in a field`)
    t.equal(renderParameter(template, asked), parameter, `${text} in a query`)
  }
  t.equal(renderField(compileTemplate('{auth.subject}', []), { ...asked, identity: null }), null)
})

t.test('whatever is sent, a value stays one value', async () => {
  const names = ['{field.x}', '{cookie.c}', '{auth.subject}', '{auth.claim.c}', '{query.q}', '{path.name}', '{path}', '{query}', '{client.ip}']
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 20 }), fc.constantFrom(...names), (value, name) => {
    const input = { ...asked, clientAddress: value, path: `/users/${value}`, query: `?q=${value}`, fields: { x: value, cookie: `c=${value}` }, identity: { subject: value, claims: { c: value } } }
    const template = compileTemplate(name, [null, 'name'])
    const field = renderField(template, input)
    const parameter = renderParameter(template, input)
    return (field === null || /^[\t\x20-\x7e\x80-\xff]*$/.test(field)) && (parameter === null || /^[\x21-\x7e]*$/.test(parameter)) && !/[&#+;]/.test(parameter ?? '')
  }), { numRuns: 200 })
})

t.test('what cannot be is an error with the nearest name there is', async t => {
  t.same(problemsOf({ setFields: { 'X-A': '{client.pi}' } }), ['setFields/X-A template: names {client.pi}, which is not known here; did you mean "client.ip"?'])
  t.same(problemsOf({ setFields: { 'X-A': '{path.nam}' } }, { path: '/users/:name' }), ['setFields/X-A template: names {path.nam}, which is not known here; did you mean "path.name"?'])
  t.match(problemsOf({ query: { set: { a: '{zzzzzzzz}' } } })[0], 'query/set/a template: names {zzzzzzzz}, which is not known here; there are client.ip, ')
  t.match(problemsOf({ setFields: { a: '{"json":1}' } })[0], 'setFields/a template: names {"json":1}')
  t.match(problemsOf({ setFields: { a: 'a}' } })[0], 'has a lone }: write }} for the character itself')
  t.match(problemsOf({ appendFields: { a: '{client.ip' } })[0], 'has a lone {')
  t.match(problemsOf({ setFields: { 'if-none-match': 'a', range: 'b', host: 'c' } }).join(), /setFields\/if-none-match framing-field.*setFields\/range framing-field.*setFields\/host framing-field/)
  t.match(problemsOf({ renameFields: { 'x-a': 'Content-Length', 'X-Forwarded-For': 'x-b' }, copyFields: { a: 'via' }, appendFields: { 'x-forwarded-for': 'a' } }).length, 4)
  t.match(problemsOf({ setFields: { a: '1', A: '2' } })[0], 'unique-field')
  t.match(problemsOf({ replace: [{ pattern: '(', with: '/' }] })[0], 'replace/0/pattern replace: cannot be used: error parsing regexp')
  t.match(problemsOf({ replace: [{ pattern: '(?=a)', with: '/' }] })[0], 'replace/0/pattern replace')
  t.match(problemsOf({ replace: [{ pattern: '(a)\\1', with: '/' }] })[0], 'replace/0/pattern replace')
  t.match(problemsOf({ replace: [{ pattern: '(a{0,30}){0,30}', with: '/' }] })[0], /replace\/0\/pattern replace/)
  t.match(problemsOf({ replace: [{ pattern: '/(?P<id>a)', with: '/{2}' }] })[0], 'replace/0/with replace: names {2}, which is no group of the pattern: there are 0, 1, id')
  t.match(problemsOf({ replace: [{ pattern: 'a', with: '/a?b' }] })[0], 'replace/0/with pattern')
  t.match(problemsOf({ replace: Array.from({ length: 9 }, () => ({ pattern: 'a', with: 'b' })) })[0], 'replace max-items')
  t.match(problemsOf({ host: 'a:b' })[0], 'host host')
  t.match(problemsOf({ methodOverride: { methods: ['HEAD'] } })[0], 'methodOverride/methods/0 method: HEAD cannot be asked for in place of POST')
  t.match(problemsOf({ methodOverride: { methods: ['DELET'] } })[0], 'did you mean "DELETE"?')
  t.match(problemsOf({ methodOverride: {} }, { methods: ['GET'] })[0], 'methodOverride method-override')
  const result = parseTemplate('{cookie.}', [])
  t.equal(result.ok, false)
})

t.test('paths are stripped, replaced and prefixed, and are normalised again', async t => {
  const rows: Array<[rewrite: object, path: string, becomes: string | null]> = [
    [{ replace: [{ pattern: '^/v1/(.*)$', with: '/{1}' }] }, '/v1/users', '/users'],
    [{ replace: [{ pattern: '^/(?P<lang>[a-z]{2})/(?<rest>.*)$', with: '/{rest}/{lang}' }] }, '/de/a/b', '/a/b/de'],
    [{ replace: [{ pattern: '-', with: '_' }] }, '/a-b-c', '/a_b-c'],
    [{ replace: [{ pattern: '^/a', with: '/b' }, { pattern: '^/b', with: '/c' }] }, '/a', '/c'],
    [{ stripPrefix: '/api', replace: [{ pattern: '^/old', with: '/new' }], addPrefix: '/v2' }, '/api/old/x', '/v2/new/x'],
    [{ replace: [{ pattern: '^/(.*)$', with: '{1}' }] }, '/x', '/x'],
    [{ replace: [{ pattern: '^/(.*)$', with: '/a/{1}/{{id}}' }] }, '/x', '/a/x/{id}'],
    [{ replace: [{ pattern: '(b)?/c', with: '/{1}d' }] }, '/c', '/d'],
    // A client decides what is captured, and never where that leads.
    [{ replace: [{ pattern: '^/x/(.*)$', with: '/a/{1}/b' }] }, '/x//', '/a/b'],
    [{ replace: [{ pattern: '_', with: '.' }] }, '/a/_./b', '/b'],
    [{ replace: [{ pattern: '_', with: '.' }] }, '/_.', null],
    [{ replace: [{ pattern: 'x', with: '%2e' }] }, '/a/x./b', '/b'],
    [{ replace: [{ pattern: 'x', with: '%' }] }, '/xzz', null],
    [{ replace: [{ pattern: 'x', with: '..%2f' }] }, '/a/x', null],
    [{ replace: [{ pattern: '^.*$', with: '' }] }, '/x', '/'],
    [{ replace: [{ pattern: '^/%2F', with: '//' }] }, '/%2Fevil.test', '/evil.test']
  ]
  for (const [rewrite, path, becomes] of rows) {
    t.equal(createUrlRules(rulesOf(rewrite), [], true).path(path), becomes, `${JSON.stringify(rewrite)} ${path}`)
  }
})

t.test('a rewritten path is a path that a request can have, whatever was asked for and replaced', async () => {
  const replacement = fc.record({ pattern: fc.constantFrom('a', '/', '\\.', '(.)(.)', '%..', '^/[^/]*', '(/a)*', '$'), with: fc.constantFrom('', '.', '..', '/', '//', '%2e', '%2F', '%', '{0}{0}', '/../') })
  const path = fc.array(fc.constantFrom('/', 'a', '.', '%2F', '%2E', 'b', '%C3', '-'), { maxLength: 8 }).map(parts => `/${parts.join('')}`)
  const normal = (path: string) => normaliseTarget({ method: 'GET', target: path, hostLines: ['a'], httpVersion: '1.1', scheme: 'http', mergeSlashes: true })
  fc.assert(fc.property(fc.array(replacement, { minLength: 1, maxLength: 3 }), path, (replace, path) => {
    const from = normal(path)
    if (!from.ok) return true
    const becomes = createUrlRules(rulesOf({ replace: replace.map(rule => ({ ...rule, with: rule.pattern === '$' ? rule.with.replaceAll('{0}', '') : rule.with })), addPrefix: '/p' }), [], true).path(from.target.path)
    const again = becomes === null ? null : normal(becomes)
    return again === null || (again.ok && again.target.path === becomes && again.target.query === '')
  }), { numRuns: 200 })
})

t.test('a pattern takes linear time, also one that would not in another engine', async t => {
  const long = `/${'a'.repeat(maxReplacedLength - 2)}!`
  for (const pattern of ['^/(a+)+$', '(a|aa)*b', '(.*)(.*)(.*)(.*)(.*)x', '(?:a?){60}a{60}$', '([a-z]+/?)+x$']) {
    const rules = createUrlRules(rulesOf({ replace: [{ pattern, with: '/x' }] }), [], true)
    // A backtracking engine would not come back from the first one in the age of the universe.
    t.equal(typeof rules.path(long), 'string', pattern)
    t.equal(rules.path(`${long}!`), null, 'and what it takes is bounded')
  }
})

t.test('query parameters are removed, renamed, set and appended; all others stay octet for octet', async t => {
  const rows: Array<[query: object, given: string, becomes: string]> = [
    [{ remove: ['utm_*', 'x'] }, '?utm_source=a&b=%zz&&x=1&b=%C3%A9&utm=1', '?b=%zz&&b=%C3%A9&utm=1'],
    [{ remove: ['a b'] }, '?a+b=1&a%20b=2&c', '?c'],
    [{ remove: ['a'] }, '?a=1', ''],
    [{ remove: ['a'] }, '?', '?'],
    [{ rename: { q: 'search term' } }, '?q=%41&q&x=q', '?search%20term=%41&search%20term&x=q'],
    [{ set: { a: 'x y&z' } }, '?a=1&b=2&%61=3', '?b=2&a=x%20y%26z'],
    [{ append: { a: '2' } }, '?a=1', '?a=1&a=2'],
    [{ set: { format: 'json' } }, '', '?format=json'],
    [{ set: { h: '{host}', p: '{path.name}' } }, '?a', '?a&h=shop.test&p=J%C3%B6rg'],
    [{ set: { who: '{auth.claim.none}' } }, '?who=admin&b', '?b'],
    [{ rename: { a: 'b' }, set: { b: '1' } }, '?a=2&c', '?c&b=1']
  ]
  for (const [query, given, becomes] of rows) {
    const rules = createUrlRules(rulesOf({ query }, '/users/:name'), [null, 'name'], true)
    const input = { ...asked, query: given }
    t.equal(rules.query(input, input), becomes, `${JSON.stringify(query)} ${given}`)
  }
})

t.test('fields are removed, renamed, copied, set and appended, in this order', async t => {
  const rules = createRequestRules(rulesOf({
    removeFields: ['X-Gone'],
    renameFields: { 'X-Old': 'X-New', 'X-None': 'X-Kept' },
    copyFields: { 'X-New': 'X-Copy' },
    setFields: { 'X-Set': 'a {auth.subject}', 'X-Missing': '{cookie.none}' },
    appendFields: { 'X-Many': '{client.ip}', Cookie: 'extra=1', 'X-One': 'b' }
  }), [])
  const given = { 'x-gone': '1', 'x-old': '2', 'x-new': '0', 'x-kept': 'k', 'x-missing': 'forged', 'x-many': ['a'], cookie: 'a=1' }
  const applied = rules.apply(given, () => ({ ...asked, identity: { subject: 's', claims: {} } }))
  t.same({ ...applied }, { 'x-new': '2', 'x-copy': '2', 'x-kept': 'k', 'x-set': 'a s', 'x-many': ['a', '192.0.2.7'], cookie: 'a=1; extra=1', 'x-one': 'b' })
  t.equal(createRequestRules(rulesOf({ removeFields: ['x-request-id'] }), []).apply(given, () => asked), given, 'what no rule changes is not copied')
})

t.test('rules reach the upstream', async t => {
  const origin = await startRawOrigin(t, () => response('ok'))
  const proxy = await startProxy(t, origin.url, {
    routes: [{
      name: 'users',
      upstream: 'default',
      match: { path: '/users/:name' },
      rewrite: {
        replace: [{ pattern: '^/users/(.+)$', with: '/people/{1}' }],
        query: { remove: ['debug'], append: { via: '{client.ip}' } },
        host: 'app.internal:81',
        renameFields: { 'X-Team': 'X-Group' },
        copyFields: { 'X-Group': 'X-Also' },
        setFields: { 'X-User': '{path.name}', 'X-Original': '{scheme}://{host}{path}', 'X-Session': '{cookie.session}', 'X-Request-Id': 'fixed', 'X-Request': '{request.id}' },
        appendFields: { 'X-Seen': 'b' },
        removeFields: ['X-Secret', 'X-Forwarded-For']
      }
    }]
  })
  const fields = ['X-Team: red', 'X-Seen: a', 'X-Secret: 1', 'X-Session: forged']
  await talk(proxy.port, get('/users/j%c3%b6rg?debug=1&a=%zz', fields))

  const [text = ''] = origin.requests
  t.match(text, /^GET \/people\/j%C3%B6rg\?a=%zz&via=127\.0\.0\.1 HTTP/)
  for (const line of ['host: app.internal:81', 'x-group: red', 'x-also: red', 'x-user: j%C3%B6rg', 'x-original: http://proxy.test/users/j%C3%B6rg', 'x-seen: a', 'x-seen: b', 'x-request-id: fixed']) t.match(text, `${line}\r\n`)
  t.notMatch(text, /x-team|x-secret|x-forwarded-for|x-session/i)
  t.match(text, /x-request: (?!fixed)[\w-]+\r\n/)
})

t.test('Host on a route is what the upstream says, the client\'s, or a fixed one', async t => {
  const origin = await startRawOrigin(t, () => response('ok'))
  const authority = `127.0.0.1:${origin.port}`
  for (const [upstream, host, sent] of [['client', 'upstream', authority], ['upstream', 'client', 'proxy.test'], ['upstream', 'a.test', 'a.test'], ['a.test', undefined, 'a.test']] as const) {
    const proxy = await startProxy(t, origin.url, { upstream: { host: upstream }, route: { rewrite: { ...host !== undefined && { host } } } })
    await talk(proxy.port, get('/'))
    t.match(origin.requests.at(-1), `host: ${sent}\r\n`)
    t.match(origin.requests.at(-1), 'x-forwarded-host: proxy.test')
  }
})

async function keyed (t: Test, rewrite: object, route: object = {}, settings: ProxySettings = {}) {
  const origin = await startRawOrigin(t, ({ text }) => response(lineOf(text), fresh))
  const proxy = await startProxy(t, origin.url, { ...settings, route: { rewrite, ...route } })
  return { origin, proxy, ask: (path: string, fields: string[] = [], method = 'GET') => talk(proxy.port, get(path, fields).replace('GET', method)) }
}

t.test('a path that rules make none of is 400', async t => {
  const { origin, ask } = await keyed(t, { replace: [{ pattern: '_', with: '.' }] })
  t.match(await ask('/_./x'), /^HTTP\/1\.1 400 [^]*"code":"bad_target"/)
  t.equal(origin.requests.length, 0)
})

t.test('what rules make the same is one stored response, and every URL of it purges it', async t => {
  const { origin, proxy, ask } = await keyed(t, { replace: [{ pattern: '^/v[0-9]+/', with: '/' }], query: { remove: ['utm_*'], rename: { q: 'search' } } })
  await ask('/v1/a?q=1&utm_source=x')
  for (const path of ['/v2/a?q=1', '/a?search=1&utm_id=2']) t.match(outcomeOf(await ask(path)), isHit, path)
  t.equal(origin.requests.length, 1)

  t.match(await proxy.control.purge({ url: 'http://proxy.test/v9/a?utm_x=1&q=1' }), { responses: 1 })
  t.match(outcomeOf(await ask('/v1/a?q=1')), 'fwd=uri-miss')
  // An unsafe request to any of its URLs changes it as well (RFC 9111 4.4).
  await ask('/v3/a?q=1', [], 'DELETE')
  t.match(outcomeOf(await ask('/v1/a?q=1')), 'fwd=uri-miss')
})

t.test('a purge by prefix reaches whatever a pattern has made of the paths under it', async t => {
  const { proxy, ask } = await keyed(t, { replace: [{ pattern: '^/shop/(.*)$', with: '/{1}' }], addPrefix: '/app' })
  for (const path of ['/shop/a', '/shop/b']) await ask(path)
  t.match(await proxy.control.purge({ prefix: '/shop/' }), { responses: 2 })
  t.match(outcomeOf(await ask('/shop/a')), 'fwd=uri-miss')
})

t.test('the list of stored responses gives a URL that leads there', async t => {
  const { proxy, ask } = await keyed(t, { stripPrefix: '/api', addPrefix: '/v1' })
  await ask('/api/a')
  const { entries } = await proxy.control.entries()
  t.same(entries.map(({ url }) => url), ['http://proxy.test/api/a'])
})

t.test('values in the query that are taken from the request are in the key; a purge of the URL takes all of them', async t => {
  const { origin, proxy, ask } = await keyed(t, { query: { set: { team: '{field.x-team}' }, append: { c: '{cookie.c}' } } })
  const red = await ask('/a?x=1', ['X-Team: red'])
  t.match(red, '/a?x=1&team=red')
  t.match(await ask('/a?x=1&team=forged', ['X-Team: blue']), '/a?x=1&team=blue')
  t.match(await ask('/a?x=1', ['X-Team: blue', 'Cookie: c=9']), '/a?x=1&team=blue&c=9')
  const again = await ask('/a?x=1', ['X-Team: red'])
  t.match(outcomeOf(again), isHit)
  t.match(again, '/a?x=1&team=red')
  t.equal(origin.requests.length, 3)

  t.match(await proxy.control.purge({ url: 'http://proxy.test/a?x=1' }), { responses: 3 })
  for (const fields of [['X-Team: red'], ['X-Team: blue'], ['X-Team: blue', 'Cookie: c=9']]) t.match(outcomeOf(await ask('/a?x=1', fields)), 'fwd=')
  // So does an unsafe request, whoever sends it (RFC 9111 4.4).
  await ask('/a?x=1', ['X-Team: green'], 'PUT')
  for (const team of ['red', 'blue']) t.match(outcomeOf(await ask('/a?x=1', [`X-Team: ${team}`])), 'fwd=')
})

t.test('the cache sees fields as the upstream gets them: it is about those that Vary speaks (RFC 9110 12.5.5)', async t => {
  const origin = await startRawOrigin(t, ({ text }) => response(/x-group: (.*)\r/i.exec(text)?.[1] ?? 'none', [...fresh, 'Vary: X-Group, Accept-Language']))
  const proxy = await startProxy(t, origin.url, { route: { rewrite: { setFields: { 'X-Group': '{cookie.group}', 'Accept-Language': 'en' } } } })
  const ask = (...fields: string[]) => talk(proxy.port, get('/', fields))

  t.match(await ask('Cookie: group=a'), /\r\n\r\na$/)
  t.match(await ask('Cookie: group=b', 'X-Group: a'), /\r\n\r\nb$/)
  const hit = await ask('Cookie: group=a', 'Accept-Language: de')
  t.match(hit, /\r\n\r\na$/)
  t.match(outcomeOf(hit), isHit)
  t.match(await ask('X-Group: a'), /\r\n\r\nnone$/, 'a client cannot choose')
  t.equal(origin.requests.length, 3)
})

t.test('a field made by a rule can be named in the key', async t => {
  const origin = await startRawOrigin(t, ({ text }) => response(/x-group: (.*)\r/i.exec(text)?.[1] ?? 'none', fresh))
  const proxy = await startProxy(t, origin.url, { route: { cache: { key: { fields: ['X-Group'] } }, rewrite: { setFields: { 'X-Group': '{cookie.group}' } } } })
  for (const group of ['a', 'b', 'a']) t.match(await talk(proxy.port, get('/', [`Cookie: group=${group}`])), new RegExp(`\r\n\r\n${group}$`))
  t.equal(origin.requests.length, 2)
})

t.test('a credential that a rule makes of the request keeps its response from others, a common one does not (RFC 9111 3.5)', async t => {
  const own = await keyed(t, { setFields: { Authorization: 'Bearer {cookie.token}' } })
  for (const token of ['a', 'b']) t.match(outcomeOf(await own.ask('/', [`Cookie: token=${token}`])), 'fwd=uri-miss; fwd-status=200; detail=authorization')
  t.match(own.origin.requests[1], 'authorization: Bearer b\r\n')

  const common = await keyed(t, { setFields: { Authorization: 'Basic c2VydmljZQ==' } })
  await common.ask('/')
  t.match(outcomeOf(await common.ask('/')), isHit)
  t.match(common.origin.requests[0], 'authorization: Basic c2VydmljZQ==\r\n')
})

t.test('what a rule makes of an Authorization that its client says is for the connection alone is not shared either (RFC 9111 3.5)', async t => {
  const { ask, origin } = await keyed(t, { setFields: { 'X-Credential': '{field.authorization}' } })
  const hidden = (token: string): string[] => ['Connection: close, Authorization', `Authorization: Bearer ${token}`]
  for (const token of ['a', 'b']) t.match(outcomeOf(await ask('/', hidden(token))), 'fwd=uri-miss; fwd-status=200; detail=authorization')
  t.match(origin.requests[1], 'x-credential: Bearer b\r\n')
  t.notMatch(origin.requests[1], /\r\nauthorization:/i)
})

t.test('check warns of fields that differ by what the key does not have', async t => {
  const warned = (rewrite: object, cache: object = {}) => warningsFor(resolveConfig({ upstreams: { a: { targets: ['http://a'] } }, routes: [{ name: 'a', upstream: 'a', match: { path: '/x/:id/*' }, rewrite, cache }] }))
    .filter(({ rule }) => rule === 'field-not-in-key').map(({ path }) => path)
  t.same(warned({ setFields: { 'X-User': '{auth.subject}', 'X-Id': '{request.id}', 'X-Path': '{path.id}', 'X-Fixed': 'a' }, appendFields: { 'X-Ip': '{client.ip}' } }),
    ['/routes/0/rewrite/setFields/X-User', '/routes/0/rewrite/appendFields/X-Ip'])
  t.same(warned({ setFields: { 'X-User': '{auth.subject}' } }, { key: { fields: ['x-user'] } }), [])
  t.same(warned({ setFields: { 'X-User': '{auth.subject}' } }, { enabled: false }), [])
  t.same(warned({ setFields: { 'X-Q': '{query.q}' } }), [])
  t.same(warned({ setFields: { 'X-Q': '{query.q}' }, query: { remove: ['q'] } }), ['/routes/0/rewrite/setFields/X-Q'])
  t.same(warned({ setFields: { 'X-P': '{path}' }, replace: [{ pattern: 'a', with: 'b' }] }), ['/routes/0/rewrite/setFields/X-P'])
})

t.test('a validation in the background sends the same rules', async t => {
  let at = Date.UTC(2026, 5, 1)
  const origin = await startRawOrigin(t, () => response('ok', ['Cache-Control: max-age=10, stale-while-revalidate=100', 'ETag: "1"']))
  const proxy = await startProxy(t, origin.url, { route: { rewrite: { query: { set: { t: '{field.x-team}' } }, appendFields: { 'X-Seen': '{field.x-team}' } } }, holdfast: { now: () => at } })
  const ask = () => talk(proxy.port, get('/a', ['X-Team: red']))
  await ask()
  at += 20_000
  t.match(outcomeOf(await ask()), isHit)
  while (origin.requests.length < 2) await new Promise(resolve => { setImmediate(resolve) })
  t.match(origin.requests[1], /^GET \/a\?t=red [^]*x-seen: red\r\n/)
  t.equal(origin.requests[1]?.match(/x-seen/g)?.length, 1)
})

const overriding = { rewrite: { methodOverride: { methods: ['DELETE', 'GET', 'PUT'] } } }
const post = (path: string, fields: string[], content = '') => [`POST ${path} HTTP/1.1`, 'Host: proxy.test', 'Connection: close', `Content-Length: ${content.length}`, ...fields, '', content].join('\r\n')

t.test('an overridden method is what cache, invalidation and upstream see, and off by default', async t => {
  const origin = await startRawOrigin(t, () => response('ok', fresh))
  const proxy = await startProxy(t, origin.url, { route: overriding })
  await talk(proxy.port, get('/a'))
  t.match(outcomeOf(await talk(proxy.port, post('/a', ['X-HTTP-Method-Override: get']))), isHit, 'found as a GET')
  await talk(proxy.port, post('/a', ['X-HTTP-Method-Override: DELETE']))
  t.match(origin.requests[1], /^DELETE \/a /)
  t.notMatch(origin.requests[1], /method-override/i)
  t.match(outcomeOf(await talk(proxy.port, get('/a'))), 'fwd=uri-miss', 'it was invalidated')
  await talk(proxy.port, post('/b', ['X-HTTP-Method-Override: PUT'], 'content'))
  t.match(origin.requests.at(-1), /^PUT \/b [^]*content$/)
  await talk(proxy.port, get('/c', ['X-HTTP-Method-Override: DELETE']))
  t.match(origin.requests.at(-1), /^GET \/c /, 'POST only')

  const plain = await startProxy(t, origin.url)
  await talk(plain.port, post('/a', ['X-HTTP-Method-Override: DELETE']))
  t.match(origin.requests.at(-1), /^POST \/a /)
})

t.test('a method that is not listed, or that would take another route, is refused', async t => {
  const origin = await startRawOrigin(t, () => response('ok'))
  const proxy = await startProxy(t, origin.url, {
    routes: [
      { name: 'all', upstream: 'default', ...overriding },
      { name: 'guarded', upstream: 'default', match: { path: '/guarded/*', methods: ['DELETE'] }, auth: { apiKeys: { keys: [`sha256:${'0'.repeat(64)}`] } } },
      { name: 'posts', upstream: 'default', match: { path: '/posts', methods: ['POST'] }, ...overriding }
    ]
  })
  for (const [path, field] of [['/a', 'PATCH'], ['/a', 'HEAD'], ['/a', 'PURGE'], ['/a', ''], ['/a', 'DELETE, GET'], ['/guarded/x', 'DELETE'], ['/posts', 'DELETE']] as const) {
    t.match(await talk(proxy.port, post(path, [`X-HTTP-Method-Override: ${field}`])), /^HTTP\/1\.1 400 [^]*"code":"bad_method_override"/, `${path} ${field}`)
  }
  t.equal(origin.requests.length, 0)
})
