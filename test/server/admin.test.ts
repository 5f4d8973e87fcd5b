/** The admin API: purges, what is stored, its own description; alone and for several workers. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import Value from 'typebox/value'
import { Unavailable } from '../../src/admin/request-error.ts'
import { createAdminApp, type AdminAppOptions } from '../../src/admin-app.ts'
import { EntriesPageSchema, EntryAnswerSchema, PurgeResultSchema, StatsSchema, type EntriesPage } from '../../src/admin/schemas.ts'
import { addUp } from '../../src/server/add-up.ts'
import { aggregate } from '../../src/server/aggregate-metrics.ts'
import { get, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const fresh = ['Cache-Control: max-age=60', 'Surrogate-Key: one two']

const validator = '@seriousme/openapi-schema-validator'

function isInstalled (name: string): boolean {
  try {
    import.meta.resolve(name)
    return true
  } catch {
    return false
  }
}

async function startAdmin (t: Test, token?: string, options: Partial<AdminAppOptions> = {}) {
  const origin = await startRawOrigin(t, () => response('x', fresh))
  const proxy = await startProxy(t, origin.url)
  const { control } = proxy
  const admin = await createAdminApp({
    token,
    logger: undefined,
    reasonsNotReady: () => [],
    metrics: async () => '',
    metricsContentType: 'text/plain',
    routeTable: () => '',
    statistics: () => control.stats(),
    reload: async () => ({ changed: [], needsRestart: [] }),
    purge: ({ mode = 'hard', dryRun = false, ...selector }) => control.purge(selector, { mode, dryRun }),
    entries: control.entries,
    entry: ({ url }) => control.entry(url),
    ...options
  })
  t.teardown(() => admin.close())
  return { admin, ask: (path: string) => talk(proxy.port, get(path)), purge: (payload: unknown) => admin.inject({ method: 'POST', url: '/cache/purge', payload: payload as object }) }
}

t.test('answers are what their schemas say', async t => {
  const { admin, ask, purge } = await startAdmin(t)
  for (const path of ['/1', '/2', '/3']) await ask(path)

  for (const [url, schema] of [['/cache/stats', StatsSchema], ['/cache/entries?limit=2&order=bytes&host=proxy.test', EntriesPageSchema], ['/cache/entry?url=http%3A%2F%2Fproxy.test%2F1', EntryAnswerSchema]] as const) {
    const answer = await admin.inject(url)
    t.equal(answer.statusCode, 200, url)
    t.match(answer.headers['content-type'], /^application\/json/)
    t.ok(Value.Check(schema, answer.json()), url)
  }
  t.match((await admin.inject('/cache/entries?limit=2')).json(), { entries: { length: 2 }, scanned: 3, complete: true, next: /./ })
  t.match((await admin.inject('/cache/stats')).json(), {
    cache: { entries: 3, keys: 3, tags: 2, recordings: 0, searchEntries: 0, memory: { policy: 'adaptive', evictionsBy: { room: 0 }, eviction: { rules: { lru: { inForce: 0, hitRatio: 0 }, 's3-fifo-eager': { inForce: 1 } }, switches: 0 } } }
  })

  const dry = await purge({ tags: ['two'], dryRun: true })
  t.match(dry.json(), { mode: 'hard', dryRun: true, responses: 3 })
  t.match((await purge({ tags: ['two'], mode: 'soft' })).json(), { mode: 'soft', dryRun: false, responses: 3 })
  const done = await purge({ url: 'http://proxy.test/2' })
  t.ok(Value.Check(PurgeResultSchema, done.json()))
  t.match((await admin.inject('/cache/stats')).json(), { cache: { entries: 2, purges: { tag: { soft: { purges: 1, responses: 3 } }, url: { hard: { purges: 1, responses: 1 } } } } })
})

t.test('what cannot be meant is refused with code and place, and changes nothing', async t => {
  const { admin, ask, purge } = await startAdmin(t)
  await ask('/1')
  for (const [payload, code, path, message] of [
    [{ tag: 'one' }, 'bad_request', '/tag', 'unknown option; did you mean "tags"?'],
    [{ tags: [7] }, 'bad_request', '/tags/0', 'must be text'],
    [{ all: 'true' }, 'bad_request', '/all', 'must be true or false'],
    [{ all: true, mode: 'sfot' }, 'bad_request', '/mode', 'must be one of hard, soft; did you mean "soft"?'],
    [{ all: true, dryRun: 1 }, 'bad_request', '/dryRun', 'must be true or false'],
    [{}, 'bad_selector', '', 'must have either url, or all, or one or more of tags, prefix, host and route'],
    [[], 'bad_request', '', 'must be a section with options'],
    [{ route: 'x' }, 'unknown_route', '/route', 'names no route']
  ] as const) {
    const answer = await purge(payload)
    t.equal(answer.statusCode, 400)
    t.match(answer.json(), { error: { code, status: 400, problems: [{ path, message }] } }, JSON.stringify(payload))
  }
  for (const url of ['/cache/entries?limit=0', '/cache/entries?limit=many', '/cache/entries?oder=hits', '/cache/entries?tag=a&tag=b', '/cache/entry', '/cache/entry?url=page', '/cache/entries?cursor=1']) {
    const answer = await admin.inject(url)
    t.equal(answer.statusCode, 400, url)
    t.match(answer.json(), { error: { code: /^bad_/, problems: { length: 1 } } }, url)
  }
  t.equal((await admin.inject({ method: 'POST', url: '/cache/purge', headers: { 'content-type': 'application/json' }, payload: '{' })).statusCode, 400)
  t.equal((await admin.inject({ method: 'POST', url: '/cache/purge', headers: { 'content-type': 'application/json' }, payload: JSON.stringify({ tags: ['x'.repeat(70_000)] }) })).statusCode, 413)
  t.match((await admin.inject('/cache/stats')).json(), { cache: { entries: 1, purges: {} } })
})

t.test('where not every worker answers that is what is said, of numbers and of a reload: some may have done it', async t => {
  const silent = async (): Promise<never> => { throw new Unavailable('workers_silent', '1 of 2 workers answered') }
  const { admin } = await startAdmin(t, undefined, { metrics: silent, routeTable: silent, statistics: silent, reload: silent })
  for (const [method, url] of [['GET', '/metrics'], ['GET', '/routes'], ['GET', '/cache/stats'], ['POST', '/reload']] as const) {
    const answer = await admin.inject({ method, url })
    t.same([answer.statusCode, answer.json()], [503, { error: { code: 'workers_silent', status: 503, message: '1 of 2 workers answered' } }], url)
  }
})

t.test('the first page lists what there is, and content without a type, or of no length, is understood or told', async t => {
  const { admin } = await startAdmin(t)
  const list = (await admin.inject('/')).body
  for (const line of [/^GET {3}\/health\/live +\S/m, /^POST {2}\/cache\/purge +\S/m, /^GET {3}\/openapi\.json +\S/m]) t.match(list, line)
  t.match((await admin.inject('/nope')).json(), { error: { status: 404, message: /GET \/ lists/ } })

  const post = (url: string, type: string, payload: string) => admin.inject({ method: 'POST', url, headers: { 'content-type': type }, payload })
  const form = 'application/x-www-form-urlencoded'
  for (const [type, payload] of [['application/json', ''], ['application/json', '{}'], [form, ''], [form, '{}']] as const) t.equal((await post('/reload', type, payload)).statusCode, 200, `${type} ${payload}`)
  t.match((await post('/cache/purge', form, '{"all":true}')).json(), { error: { status: 415, message: /Content-Type: application\/json/ } })
  t.match((await post('/cache/purge', 'application/json', '')).json(), { error: { code: 'bad_request', status: 400 } })
  t.match((await post('/cache/purge', 'application/json', '{"__proto__":{},"all":true}')).json(), { error: { code: 'bad_request', status: 400 } })
})

t.test('a path that is there refuses other methods with 405 and Allow, whatever comes along (RFC 9110 15.5.6)', async t => {
  const { admin } = await startAdmin(t, '0123456789abcdef')
  for (const [method, url, allow] of [
    ['POST', '/metrics', 'GET, HEAD'], ['DELETE', '/cache/entries?limit=1', 'GET, HEAD'], ['GET', '/cache/purge', 'POST'], ['HEAD', '/reload', 'POST'],
    ['OPTIONS', '/cache/purge', 'POST'], ['OPTIONS', '/', 'GET, HEAD'], ['TRACE', '/routes', 'GET, HEAD'], ['PURGE', '/cache/stats', 'GET, HEAD'], ['PUT', '/health/live', 'GET, HEAD']
  ] as const) {
    const answer = await admin.inject({ method: method as 'GET', url })
    t.equal(answer.statusCode, 405, `${method} ${url}`)
    t.equal(answer.headers.allow, allow, `${method} ${url}`)
    if (method !== 'HEAD') t.match(answer.json(), { error: { code: 'method_not_allowed', status: 405, message: /./ } })
  }
  for (const [url, status, code] of [['/metrics', 405, 'method_not_allowed'], ['/nope', 404, 'not_found'], ['/metrics/', 404, 'not_found'], ['/__proto__', 404, 'not_found']] as const) {
    const answer = await admin.inject({ method: 'POST', url, headers: { 'content-type': 'text/plain' }, payload: 'x' })
    t.match(answer.json(), { error: { code, status } }, url)
    t.equal('allow' in answer.headers, status === 405, url)
  }
  t.equal((await admin.inject({ method: 'HEAD', url: '/health/live' })).statusCode, 200)
  t.match((await admin.inject('/%zz')).json(), { error: { code: 'bad_request', status: 400, message: /./ } })
})

t.test('all of it asks for the token, but health', async t => {
  const { admin } = await startAdmin(t, '0123456789abcdef')
  const { paths, security } = (await admin.inject({ url: '/openapi.json', headers: { authorization: 'Bearer 0123456789abcdef' } })).json()
  t.same(security, [{ token: [] }])
  for (const [url, methods] of Object.entries<Record<string, { security?: object[] }>>(paths)) {
    for (const [method, { security }] of Object.entries(methods)) {
      const { statusCode } = await admin.inject({ method: method.toUpperCase() as 'GET', url })
      t.equal(statusCode, security === undefined ? 401 : 200, `${method} ${url}`)
    }
  }
})

t.test('the description covers every route and is valid OpenAPI 3.1', async t => {
  const { admin } = await startAdmin(t)
  const document = (await admin.inject('/openapi.json')).json()

  t.equal(document.openapi, '3.1.0')
  t.same(Object.keys(document.paths).sort(), ['/', '/cache/entries', '/cache/entry', '/cache/purge', '/cache/stats', '/health/live', '/health/ready', '/metrics', '/openapi.json', '/reload', '/routes'])
  t.match(document.paths['/cache/purge'].post, { requestBody: { content: { 'application/json': { schema: { type: 'object', additionalProperties: false, properties: { mode: { enum: ['hard', 'soft'], default: 'hard' } } } } } } })
  t.match(document.paths['/cache/entries'].get.parameters.map(({ name }: { name: string }) => name), ['tag', 'prefix', 'host', 'route', 'order', 'limit', 'cursor'])
  t.match(document.paths['/health/ready'].get.responses, { 200: { content: { 'application/json': {} } }, 503: { content: { 'application/json': { schema: { properties: { reasons: {} } } } } } })
  t.same(Object.keys(document.paths['/cache/purge'].post.responses), ['200', '400', '413', '415', '503'])
  t.match(document.paths['/cache/entry'].get.parameters, [{ name: 'url', in: 'query', required: true }])

  await t.test('by a validator of its own', { skip: !isInstalled(validator) && `${validator} is not installed` }, async t => {
    const { Validator } = await import(validator) as { Validator: new () => { validate (document: object): Promise<{ valid: boolean, errors: unknown }> } }
    const { valid, errors } = await new Validator().validate(document)
    t.ok(valid, JSON.stringify(errors))
  })
})

t.test('numbers of several processes are added up, place by place', async t => {
  t.same(addUp([
    { cache: { hits: 1, purges: { url: { hard: { purges: 1 } } } }, targets: [{ origin: 'a', healthy: true, openSockets: 1 }] },
    { cache: { hits: 2, purges: { url: { hard: { purges: 2 } }, tag: { soft: { purges: 4 } } } }, targets: [{ origin: 'a', healthy: false, openSockets: 2 }, { origin: 'b', healthy: true, openSockets: 1 }] },
    { cache: { hits: 3, purges: {} }, targets: [] }
  ]), {
    cache: { hits: 6, purges: { url: { hard: { purges: 3 } }, tag: { soft: { purges: 4 } } } },
    targets: [{ origin: 'a', healthy: false, openSockets: 3 }, { origin: 'b', healthy: true, openSockets: 1 }]
  })
})

t.test('what no sum says anything of is the mean, the longest or the earliest', async t => {
  t.same(addUp([
    { hitRatio: 0.5, writeMs: 10, writtenAt: '2026-06-01T12:00:01.000Z', rule: 'lru' },
    { hitRatio: 0.75, writeMs: 30, writtenAt: '2026-06-01T12:00:00.000Z', rule: 'sieve' }
  ]), { hitRatio: 0.625, writeMs: 30, writtenAt: '2026-06-01T12:00:00.000Z', rule: 'lru' })
  t.same(addUp([{ writtenAt: '2026-06-01T12:00:01.000Z' }, { writtenAt: null }]), { writtenAt: null })
  const texts = [[1, 0.5, 3, 200], [2, 1, 4, 100]].map(([bytes, ratio, duration, at]) => `# TYPE a_bytes gauge\na_bytes{x="1"} ${bytes}\n# TYPE a_ratio gauge\na_ratio ${ratio}\n# TYPE a_last_duration_seconds gauge\na_last_duration_seconds ${duration}\n# TYPE a_timestamp_seconds gauge\na_timestamp_seconds ${at}\n`)
  t.same(aggregate(texts).split('\n').filter(line => !line.startsWith('#')), ['a_bytes{x="1"} 3', 'a_ratio 0.75', 'a_last_duration_seconds 4', 'a_timestamp_seconds 100', ''])
})

t.test('with workers a purge reaches each of them, by the API and by PURGE, and the answers add up', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const origin = await startRawOrigin(t, () => response('x', fresh))
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({ upstreams: { a: { targets: [origin.url] } }, routes: [{ name: 'r', upstream: 'a', purge: { allow: ['loopback'] } }] }))
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/server.ts'), '--config', file, '--host', '127.0.0.1', '--port', '0', '--admin-port', '0', '--workers', '2'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = new Promise<void>(resolve => { child.once('close', () => { resolve() }) })
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exit
  })
  let log = ''
  child.stdout.on('data', chunk => { log += chunk })
  const url = (role: string): string => /"url":"([^"]+)"/.exec(log.split('\n').find(line => line.includes('"msg":"listening"') && line.includes(`"role":"${role}"`)) ?? '')?.[1] ?? ''
  await until(() => url('proxy') !== '' && url('admin') !== '')
  const admin = url('admin')
  let ready = 0
  while (ready !== 200) ready = (await fetch(`${admin}/health/ready`)).status
  const port = Number(new URL(url('proxy')).port)
  const ask = async (path: string): Promise<unknown> => await (await fetch(`${admin}${path}`)).json()
  const purge = async (request: object): Promise<unknown> => await (await fetch(`${admin}/cache/purge`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) })).json()
  /** Until both workers have it stored: connections are dealt out in turn. */
  const store = async (): Promise<void> => {
    let entries = 0
    while (entries < 2) {
      await talk(port, get('/page'))
      entries = (await ask('/cache/stats') as { cache: { entries: number } }).cache.entries
    }
  }

  await store()
  t.match(await ask('/cache/stats'), { workers: 2, cache: { entries: 2, tags: 4 } })
  const page = await ask('/cache/entries?limit=1') as EntriesPage
  const rest = await ask(`/cache/entries?limit=1&cursor=${page.next}`) as EntriesPage
  t.not(page.entries[0]?.worker, rest.entries[0]?.worker)
  t.match(await ask(`/cache/entries?limit=1&cursor=${rest.entries[0]?.cursor}`), { entries: { length: 0 }, next: null })
  t.match(await ask('/cache/entry?url=http://proxy.test/page'), { entries: { length: 2 } })

  t.match(await purge({ url: 'http://proxy.test/page', dryRun: true }), { responses: 2, dryRun: true })
  t.match(await purge({ tags: ['one'] }), { responses: 2, dryRun: false })
  t.match(await ask('/cache/stats'), { cache: { entries: 0, purges: { tag: { hard: { purges: 2, responses: 2 } } } } })
  await store()
  t.match(await talk(port, get('/page').replace('GET', 'PURGE')), /"responses":2/)
  t.match(await ask('/cache/stats'), { cache: { entries: 0 } })
  t.match(await purge({ route: 's' }), { error: { code: 'unknown_route', problems: [{ path: '/route' }] } }, 'a refusal is one, of whichever worker')
  t.match(await (await fetch(`${admin}/metrics`)).text(), /^holdfast_cache_purged_responses_total\{kind="url",mode="hard"\} 2$/m)
})
