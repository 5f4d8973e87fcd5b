/** A restart as clients see it: two proxies in sequence with the same snapshot. */
import { readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { loadConfig } from '../../src/config/load.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { get, startProxy, talk, until, type RunningProxy } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'
import { temporaryFolder } from '../fixtures/snapshots.ts'

const fresh = ['Cache-Control: max-age=600', 'Surrogate-Key: all']

/** Starts proxies one after another in front of one origin. */
async function sequence (t: Test, snapshot: Record<string, unknown> = {}) {
  const file = join(temporaryFolder(t), 'snapshot')
  const origin = await startRawOrigin(t, ({ text }) => response('x', text.startsWith('GET') ? fresh : []))
  const start = async (loaded: number, cache: Record<string, unknown> = {}): Promise<RunningProxy> => {
    const proxy = await startProxy(t, origin.url, { cache: { snapshot: { file, ...snapshot }, ...cache } })
    await until(() => proxy.control.stats().snapshot?.loaded === loaded)
    return proxy
  }
  const ask = async ({ port }: RunningProxy, path: string, method = 'GET'): Promise<string> => /cache-status: ([^\r]*)/i.exec(await talk(port, get(path).replace('GET', method)))?.[1] ?? ''
  return { file, origin, start, ask }
}

t.test('the first request after a restart is a hit; what was purged or invalidated before it is none', async t => {
  const { origin, start, ask, file } = await sequence(t)
  const first = await start(0)
  for (const path of ['/kept', '/purged', '/posted']) t.match(await ask(first, path), 'stored')
  await first.control.purge({ url: 'http://proxy.test/purged' })
  await ask(first, '/posted', 'POST')
  await first.app.close()
  t.match(first.control.stats().snapshot, { written: 1, failed: 0, entries: 1, writtenAt: /^\d{4}-.*Z$/ })
  t.same(readdirSync(dirname(file)), ['snapshot'])

  const asked = origin.requests.length
  const second = await start(1)
  t.match(await ask(second, '/kept'), /^holdfast; hit/)
  t.equal(origin.requests.length, asked)
  for (const path of ['/purged', '/posted']) t.match(await ask(second, path), 'fwd=uri-miss')
  const metrics = await second.metrics.metrics()
  t.match(metrics, 'holdfast_snapshot_loaded_entries 1\n')
  t.match(metrics, 'holdfast_snapshots_written_total 0\n')
  t.match(metrics, 'holdfast_snapshot_written_timestamp_seconds 0\n')
  t.match(metrics, 'holdfast_snapshot_load_last_duration_seconds ')
})

t.test('a snapshot is written at every interval, and a process without one says nothing of it', async t => {
  const { start, ask } = await sequence(t, { interval: '1ms' })
  const proxy = await start(0)
  await ask(proxy, '/')
  await until(() => (proxy.control.stats().snapshot?.entries ?? 0) === 1)
  const { written } = proxy.control.stats().snapshot ?? { written: 0 }
  await until(() => (proxy.control.stats().snapshot?.written ?? 0) > written)

  const without = await startProxy(t, 'http://127.0.0.1:1')
  t.notOk('snapshot' in without.control.stats())
  t.notMatch(await without.metrics.metrics(), 'snapshot')
})

t.test('under other rules nothing returns', async t => {
  const { file, origin, start, ask } = await sequence(t)
  const first = await start(0)
  await ask(first, '/')
  await first.app.close()

  const other = await startProxy(t, origin.url, { cache: { snapshot: { file } }, route: { cache: { setCookie: 'strip' } } })
  await other.app.close()

  t.match(other.control.stats().snapshot, { loaded: 0, written: 1, entries: 0 })
})

t.test('a proxy that does not listen leaves the file alone', async t => {
  const { file, start, ask, origin } = await sequence(t)
  const first = await start(0)
  await ask(first, '/')
  await first.app.close()
  const idle = await startProxy(t, origin.url, { server: { port: 0 } })
  const failing = await createProxyListener({ config: { ...idle.control.config, cache: { ...idle.control.config.cache, snapshot: { file, interval: 0 } } }, logger: undefined, tls: null })
  await t.rejects(failing.app.listen({ host: '127.0.0.1', port: idle.port }), { code: 'EADDRINUSE' })
  await failing.app.close()

  t.match(failing.control.stats().snapshot, { loaded: 0, written: 0 })
  await start(1)
})

t.test('the path is relative to the configuration file', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({ cache: { snapshot: { file: 'cache/snapshot' } }, upstreams: { a: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'r', upstream: 'a' }] }))

  const config = await loadConfig({ file, env: {} })

  t.same(config.cache.snapshot, { file: join(folder, 'cache/snapshot'), interval: 600_000 })
})
