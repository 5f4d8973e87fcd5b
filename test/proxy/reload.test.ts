/** Reloads of large configurations: what requests see meanwhile, and what is left of those that fail. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError, loadConfig, resolveConfig } from '../../src/config/load.ts'
import { startInstance, type Instance } from '../../src/server/instance.ts'
import { createProcessLog } from '../../src/server/logger.ts'
import { get, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const manyRoutes = (last: object = {}): object[] => [
  ...Array.from({ length: 999 }, (_, i) => ({ name: `route-${i}`, match: { path: `/section-${i}/*` }, upstream: 'default', cache: { enabled: false } })),
  { name: 'last', upstream: 'default', cache: { enabled: false }, ...last }
]

const configuration = (url: string, routes: object[]) => ({
  server: { host: '127.0.0.1', port: 0 },
  admin: { enabled: false },
  log: { access: false },
  upstreams: { default: { targets: [url] } },
  routes
})

async function startOrigins (t: Test): Promise<[string, string]> {
  const [one, two] = await Promise.all(['one', 'two'].map(body => startRawOrigin(t, () => response(body))))
  return [one?.url as string, two?.url as string]
}

/** Counts the turns of the event loop for as long as `during` says. */
async function countTurns (during: () => boolean): Promise<number> {
  let turns = 0
  for (; during(); turns++) await new Promise(resolve => { setImmediate(resolve) })
  return turns
}

t.test('while many routes are reloaded, requests are answered by the old configuration, and by the new one from one moment on', async t => {
  const [one, two] = await startOrigins(t)
  const proxy = await startProxy(t, one, { routes: manyRoutes() as never })
  const { config } = proxy.control
  const next = resolveConfig(configuration(two, manyRoutes()))
  const bodyOf = async (): Promise<string> => (await talk(proxy.port, get('/section-7/x'))).slice(-3)

  const bodies: string[] = []
  const reload = proxy.control.reload(next)
  const turns = countTurns(() => proxy.control.config === config)
  while (proxy.control.config === config) bodies.push(await bodyOf())
  await reload
  bodies.push(await bodyOf())

  t.ok(await turns > 2, 'others have their turn')
  t.equal(proxy.control.config, next)
  t.equal(bodies[0], 'one')
  t.equal(bodies.at(-1), 'two')
  t.same(bodies, bodies.toSorted(), 'never the old one again')
})

t.test('two reloads at once are done in the order in which they were asked for', async t => {
  const [one, two] = await startOrigins(t)
  const proxy = await startProxy(t, one)
  const large = resolveConfig(configuration(two, manyRoutes()))
  const small = resolveConfig(configuration(two, manyRoutes().slice(-1)))

  const [first, second] = await Promise.all([proxy.control.reload(large), proxy.control.reload(small)])

  t.equal(proxy.control.config, small)
  t.ok(first.changed.includes('upstreams/default') && first.changed.includes('routes/last'))
  t.equal(second.changed.length, 999, 'held against the one before it')
  t.notOk(second.changed.includes('routes/last'))
  t.match(await talk(proxy.port, get('/section-7/x')), /two$/)
})

t.test('what needs a restart is what differs from the start, however often the file was read since', async t => {
  const [one] = await startOrigins(t)
  const proxy = await startProxy(t, one)
  const given = (more: object) => resolveConfig({ ...configuration(one, [{ name: 'all', upstream: 'default' }]), ...more })
  const page = { status: [404], file: join(t.testdir({ 'page.html': '{{code}}' }), 'page.html') }

  const start = proxy.control.config
  const same = { ...given({}), server: start.server, admin: start.admin, cache: start.cache, log: start.log, loadShedding: start.loadShedding, extensions: start.extensions }
  t.match(await proxy.control.reload({ ...same, cache: { ...start.cache, maxEntries: 7 } }), { needsRestart: ['cache'] })
  t.match(await proxy.control.reload({ ...same, cache: { ...start.cache, maxEntries: 7 } }), { changed: [], needsRestart: ['cache'] })
  t.same(await proxy.control.reload(same), { changed: [], needsRestart: [] })
  t.same((await proxy.control.reload({ ...same, errorPages: given({ errorPages: [page] }).errorPages })).changed, ['errorPages'])
})

t.test('a reload that fails leaves nothing behind, not even the checks of an upstream of its own', async t => {
  const asked = { one: 0, two: 0 }
  const origin = (name: keyof typeof asked) => startRawOrigin(t, ({ text }) => {
    if (text.startsWith('GET /well')) asked[name]++
    return response(name)
  })
  const [one, two] = await Promise.all([origin('one'), origin('two')])
  const health = { path: '/well', interval: '100ms' }
  const proxy = await startProxy(t, one.url, { upstreams: { default: { targets: [one.url], health } } })
  const { config } = proxy.control
  const page = { status: [500], file: '/nowhere/page.html' }

  await t.rejects(proxy.control.reload(resolveConfig({ upstreams: { default: { targets: [two.url], health } }, routes: [{ name: 'default', upstream: 'default', response: { errorPages: [page] } }] })), { code: 'ENOENT' })
  await until(() => asked.one > 3)

  t.equal(asked.two, 0)
  t.equal(proxy.control.config, config)
  t.match(await talk(proxy.port, get('/')), /one$/)
  await proxy.control.reload(resolveConfig(configuration(two.url, manyRoutes().slice(-1))))
  t.match(await talk(proxy.port, get('/')), /two$/, 'the next one is not held up')
})

async function startFromFile (t: Test, url: string): Promise<{ instance: Instance, file: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify(configuration(url, manyRoutes()), null, 1))
  const read = (inPieces: boolean) => loadConfig({ file, env: {}, inPieces })
  const instance = await startInstance({ config: await read(false), log: createProcessLog('silent'), read: () => read(true), admin: false })
  t.teardown(async () => {
    await instance.drain()
    rmSync(folder, { recursive: true })
  })
  return { instance, file }
}

t.test('a large file is read while others have their turn, and to the same configuration', async t => {
  const [one, two] = await startOrigins(t)
  const { instance: { listener: { control }, reload }, file } = await startFromFile(t, one)
  const { config } = control
  writeFileSync(file, JSON.stringify(configuration(two, manyRoutes({ bodyBytes: '1KiB' }))))

  const [result, turns] = await Promise.all([reload(), countTurns(() => control.config === config)])

  t.ok(turns > 2)
  t.same(result.changed, ['upstreams/default', 'routes/last'])
  t.strictSame(control.config, await loadConfig({ file, env: {} }))
})

t.test('an error in the last of many routes changes nothing, and is told with its place and line', async t => {
  const [one, two] = await startOrigins(t)
  const { instance, file } = await startFromFile(t, one)
  const { config } = instance.listener.control
  const text = JSON.stringify(configuration(two, manyRoutes({ upstream: 'defualt', match: { path: 'x' } })), null, 1)
  writeFileSync(file, text)

  const error = await instance.reload().catch((error: unknown) => error)

  t.ok(error instanceof ConfigError)
  const atOnce = await loadConfig({ file, env: {} }).catch((error: unknown) => error)
  const { problems } = error as ConfigError
  t.same(problems, (atOnce as ConfigError).problems)
  const line = text.slice(0, text.indexOf('defualt')).split('\n').length
  t.match(problems.find(({ path }) => path === '/routes/999/upstream'), { line, value: 'defualt', suggestion: 'default' })
  t.equal(instance.listener.control.config, config)
  t.match(await talk(Number(new URL(instance.proxyUrl).port), get('/')), /one$/)
})

t.test('reloads that are asked for while one is waiting are one with it, and what was written last is in force', async t => {
  const [one, two] = await startOrigins(t)
  let url = one
  let reads = 0
  const read = async () => {
    reads++
    return resolveConfig(configuration(url, manyRoutes().slice(-1)))
  }
  const instance = await startInstance({ config: await read(), log: createProcessLog('silent'), read, admin: false })
  t.teardown(() => instance.drain())
  reads = 0

  const first = instance.reload()
  await until(() => reads === 1)
  const others = Array.from({ length: 1000 }, () => instance.reload())
  url = two
  const results = await Promise.all([first, ...others])

  t.equal(reads, 2)
  t.same(results.slice(1).filter(result => result === results[1]).length, 1000, 'each is told what came of it')
  t.match(await talk(Number(new URL(instance.proxyUrl).port), get('/')), /two$/)

  url = 'http://none of that'
  const failed = await Promise.allSettled([instance.reload(), instance.reload()])
  t.ok(failed.every(({ status }) => status === 'rejected'))
  url = one
  await instance.reload()
  t.match(await talk(Number(new URL(instance.proxyUrl).port), get('/')), /one$/, 'one that has failed holds up none')
})

t.test('an application that is closed during a reload leaves no upstream open', async t => {
  const [one] = await startOrigins(t)
  const asked = { well: 0, marks: 0 }
  const watched = await startRawOrigin(t, () => {
    asked.well++
    return response('well')
  })
  const marking = await startRawOrigin(t, () => {
    asked.marks++
    return response('mark')
  })
  const proxy = await startProxy(t, one)
  const health = { path: '/well', interval: '100ms' }
  const reload = proxy.control.reload(resolveConfig({ ...configuration(one, manyRoutes()), upstreams: { default: { targets: [watched.url], health } } }))
  await Promise.all([reload, proxy.app.close()])
  const { well } = asked

  const other = await startProxy(t, null, { upstreams: { default: { targets: [marking.url], health } } })
  await until(() => asked.marks > 3)

  t.equal(asked.well, well)
  await other.app.close()
})
