/** What a request such as PUT invalidates in one process, and how others hear of it. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Invalidation } from '../../src/proxy/invalidation.ts'
import { createOutbox, type Batch } from '../../src/server/outbox.ts'
import { get, startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin, type RawExchange } from '../fixtures/raw-origin.ts'
import { temporaryFolder } from '../fixtures/snapshots.ts'

const change = (method: string, path: string): string => `${method} ${path} HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx`

/** `/g...` belongs to a group; what changes `/moved` names `/a` besides, and what changes `/tell` a group. */
function answer ({ text }: RawExchange): string {
  const path = text.split(' ')[1] ?? ''
  if (text.startsWith('GET ')) return response(`stored ${path}`, ['Cache-Control: max-age=3600', ...path.startsWith('/g') ? ['Cache-Groups: "g"'] : []])
  return response('done', path === '/moved' ? ['Location: /a?x=1', 'Content-Location: http://other.test/b'] : path === '/tell' ? ['Cache-Group-Invalidation: "g"'] : [])
}

t.test('who is told of an invalidation does the same: target, Location, groups that are named and groups of what was stored (RFC 9111 4.4, RFC 9875)', async t => {
  const origin = await startRawOrigin(t, answer)
  const told: Invalidation[] = []
  const here = await startProxy(t, origin.url, { holdfast: { onInvalidation: one => { told.push(one) } } })
  const there = await startProxy(t, origin.url)
  const isStored = async (path: string): Promise<boolean> => /; hit/.test(await talk(there.port, get(path, ['Cache-Control: only-if-cached'])))

  for (const [path, goes, stays] of [['/a?x=1', ['/a?x=1'], ['/a', '/b', '/g1']], ['/moved', ['/moved', '/a?x=1'], ['/b', '/g1']], ['/tell', ['/g1', '/g2'], ['/a?x=1']], ['/g3', ['/g1', '/g2'], ['/b']]] as const) {
    for (const stored of [...goes, ...stays]) await talk(there.port, get(stored))
    // Known here alone: that it is in the group of the others.
    await talk(here.port, get('/g3'))
    await talk(here.port, change('PUT', path))
    t.equal(told.length, 1)
    for (const one of told.splice(0)) there.control.invalidate(JSON.parse(JSON.stringify(one)) as Invalidation)
    for (const one of goes) t.equal(await isStored(one), false, `PUT ${path}: ${one} goes`)
    for (const one of stays) t.equal(await isStored(one), true, `PUT ${path}: ${one} stays`)
  }
  await talk(here.port, get('/a'))
  t.equal(told.length, 0)
})

t.test('who cannot tell others answers all the same, and has invalidated here', async t => {
  const origin = await startRawOrigin(t, answer)
  const proxy = await startProxy(t, origin.url, { holdfast: { onInvalidation () { throw new Error('nobody hears') } } })
  await talk(proxy.port, get('/a'))
  t.match(await talk(proxy.port, change('PUT', '/a')), /^HTTP\/1\.1 200/)
  t.match(await talk(proxy.port, get('/a')), 'uri-miss')
})

/** Asked again and again, but not so often that it is the load. */
async function eventually (condition: () => Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise(resolve => { setTimeout(resolve, 20) })
}

async function startWorkers (t: Test, what: readonly string[], count: number, env: Record<string, string> = {}) {
  const flags = ['--host', '127.0.0.1', '--port', '0', '--admin-port', '0', '--workers', String(count)]
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/server.ts'), ...what, ...flags], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = new Promise<void>(resolve => { child.once('close', () => { resolve() }) })
  let log = ''
  child.stdout.on('data', chunk => { log += chunk })
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await exit
  }
  t.teardown(stop)
  const line = (text: string): Record<string, unknown> => JSON.parse(log.split('\n').find(line => line.includes('"msg":"listening"') && line.includes(text)) ?? '{}') as Record<string, unknown>
  await until(() => 'url' in line('"role":"proxy"') && 'url' in line('"role":"admin"'))
  const admin = String(line('"role":"admin"')['url'])
  const isReady = (): Promise<void> => eventually(async () => (await fetch(`${admin}/health/ready`)).status === 200)
  const port = Number(new URL(String(line('"role":"proxy"')['url'])).port)
  const holders = async (path: string): Promise<number[]> => {
    const { entries } = await (await fetch(`${admin}/cache/entry?url=http://proxy.test${path}`)).json() as { entries: Array<{ worker: number }> }
    return entries.map(({ worker }) => worker)
  }
  return {
    port,
    admin: () => admin,
    holders,
    isReady,
    isStarted: (workers: number): Promise<void> => eventually(async () => (await (await fetch(`${admin}/cache/stats`)).json() as { workers?: number }).workers === workers),
    stop,
    log: () => log,
    /** Until every worker has it: connections are dealt out in turn. */
    async store (path: string): Promise<number[]> {
      await eventually(async () => {
        await talk(port, get(path))
        return (await holders(path)).length === count
      })
      return await holders(path)
    }
  }
}

t.test('with workers what one of them invalidates is invalidated in all', async t => {
  const origin = await startRawOrigin(t, answer)
  const { port, store, holders, isReady } = await startWorkers(t, ['--upstream', origin.url], 3)
  await isReady()
  for (const [method, path, goes] of [['PUT', '/a', ['/a']], ['DELETE', '/moved', ['/moved', '/a?x=1']], ['POST', '/tell', ['/g1', '/g2']]] as const) {
    for (const one of [...goes, '/kept']) await store(one)
    t.match(await talk(port, change(method, path)), /^HTTP\/1\.1 200/)
    for (const one of goes) await eventually(async () => (await holders(one)).length === 0)
    t.equal((await holders('/kept')).length, 3)
  }
})

t.test('a worker that is stopped holds up nobody, and hears of it when it goes on; one that is gone does no harm', async t => {
  const origin = await startRawOrigin(t, answer)
  const { port, admin, store, holders, log, isReady } = await startWorkers(t, ['--upstream', origin.url], 2)
  await isReady()
  const both = await store('/a')
  // The one that answers is not known before.
  const stopped = both[0] as number
  process.kill(stopped, 'SIGSTOP')
  const answers = [talk(port, change('PUT', '/a')), talk(port, change('PUT', '/a'))]
  t.match(await Promise.race(answers), /^HTTP\/1\.1 200/, 'the other one answers')
  process.kill(stopped, 'SIGCONT')
  for (const one of await Promise.all(answers)) t.match(one, /^HTTP\/1\.1 200/)
  await eventually(async () => (await holders('/a')).length === 0)

  await store('/b')
  await store('/purged')
  process.kill(stopped, 'SIGSTOP')
  const purged = fetch(`${admin()}/cache/purge`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"url":"http://proxy.test/purged"}' })
  // So that it was asked; without, the purge has less to show.
  await new Promise(resolve => { setTimeout(resolve, 100) })
  process.kill(stopped, 'SIGKILL')
  t.match(await (await purged).json(), { responses: 1 }, 'a purge does not wait for one that is gone')
  await until(() => log().includes('starting another'))
  t.match(await talk(port, change('PUT', '/b')), /^HTTP\/1\.1 200/)
  // The one that replaces it has nothing; until it is there it does not answer.
  await eventually(async () => (await holders('/b').catch(() => null))?.length === 0)
  t.notMatch(log(), 'invalidations_lost')
})

t.test('a worker that is starting hears what was invalidated meanwhile, so that it does not come back with its snapshot', async t => {
  const origin = await startRawOrigin(t, answer)
  const folder = temporaryFolder(t)
  const [file, wait, go] = ['config.json', 'wait.mjs', 'go'].map(name => join(folder, name)) as [string, string, string]
  writeFileSync(file, JSON.stringify({ cache: { snapshot: { file: 'snapshot' } }, upstreams: { a: { targets: [origin.url] } }, routes: [{ name: 'r', upstream: 'a' }] }))
  writeFileSync(wait, `import cluster from 'node:cluster'; import { existsSync } from 'node:fs'; import { setTimeout } from 'node:timers/promises'
    while (cluster.worker?.id === 2 && !existsSync(${JSON.stringify(go)})) await setTimeout(20)`)
  const before = await startWorkers(t, ['--config', file], 2)
  await before.isReady()
  await before.store('/a')
  await before.store('/kept')
  await before.stop()

  const { port, holders, isReady } = await startWorkers(t, ['--config', file], 2, { NODE_OPTIONS: `--import ${wait}` })
  t.match(await talk(port, change('PUT', '/a')), /^HTTP\/1\.1 200/)
  writeFileSync(go, '')
  await isReady()
  await eventually(async () => (await holders('/kept')).length === 2)

  t.same(await holders('/a'), [])
})

t.test('what is invalidated while workers end, by a request that was in flight, does not come back with the snapshot of one that had nothing left to do', async t => {
  const held: RawExchange[] = []
  const origin = await startRawOrigin(t, exchange => {
    if (exchange.text.startsWith('GET ')) return answer(exchange)
    held.push(exchange)
    return ''
  })
  const file = join(temporaryFolder(t), 'config.json')
  writeFileSync(file, JSON.stringify({ cache: { snapshot: { file: 'snapshot' } }, upstreams: { a: { targets: [origin.url] } }, routes: [{ name: 'r', upstream: 'a' }] }))
  const before = await startWorkers(t, ['--config', file], 2)
  await before.isReady()
  await before.store('/a')
  await before.store('/kept')
  const changed = talk(before.port, change('PUT', '/a'))
  await until(() => held.length === 1)
  const stopped = before.stop()
  await until(() => before.log().split('"draining"').length === 3)
  // So that the idle one could be gone; without, this has less to show.
  await new Promise(resolve => { setTimeout(resolve, 300) })
  held[0]?.socket.write(response('done'))
  t.match(await changed, /^HTTP\/1\.1 200/)
  await stopped

  const { holders, isReady } = await startWorkers(t, ['--config', file], 2)
  await isReady()
  await eventually(async () => (await holders('/kept')).length === 2)
  t.same(await holders('/a'), [])
})

t.test('a worker that does not start holds up nobody: the others answer for themselves, and a signal ends it with them', async t => {
  const origin = await startRawOrigin(t, answer)
  const wait = join(temporaryFolder(t), 'wait.mjs')
  writeFileSync(wait, "import cluster from 'node:cluster'; import { setTimeout } from 'node:timers/promises'; while (cluster.worker?.id === 2) await setTimeout(20)")
  const { port, admin, holders, isStarted, stop } = await startWorkers(t, ['--upstream', origin.url], 2, { NODE_OPTIONS: `--import ${wait}` })
  t.match(await talk(port, get('/a')), /^HTTP\/1\.1 200/)
  await isStarted(1)

  t.equal((await holders('/a')).length, 1)
  t.match(await (await fetch(`${admin()}/metrics`)).text(), 'holdfast_cache_misses_total 1\n')
  t.same(await (await fetch(`${admin()}/health/ready`)).json(), { status: 'not ready', reasons: ['starting'] })
  await stop()
})

const invalidation = (path: string): Invalidation => ({ scheme: 'http', authority: 'a.test', host: 'a.test', uris: [path], groups: [] })

t.test('invalidations leave in order, one batch at a time; where too much waits, everything is told to go', t => {
  const sent: Array<{ batch: Batch, done: (error: Error | null) => void }> = []
  const outbox = createOutbox((batch, done) => { sent.push({ batch, done }) })
  const paths = (): Array<string[] | null> => sent.map(({ batch }) => batch?.flatMap(({ uris }) => uris) ?? null)
  const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `/${from + i}`)

  outbox.add([invalidation('/0')])
  t.same(paths(), [['/0']])
  for (const path of numbers(1, 251)) outbox.add([invalidation(path)])
  t.equal(sent.length, 1, 'the other has not taken the first')
  for (let i = 0; i < 4; i++) sent[i]?.done(null)
  t.same(paths(), [['/0'], numbers(1, 101), numbers(101, 201), numbers(201, 251)])

  outbox.add([invalidation('/busy')])
  const long = 'x'.repeat(100_000)
  for (let i = 0; i < 100; i++) outbox.add([invalidation(`/${i}${long}`)])
  sent[4]?.done(null)
  t.same(paths().slice(4), [['/busy'], null])
  outbox.add([invalidation('/after')])
  sent[5]?.done(null)
  t.same(paths().slice(6), [['/after']])
  sent[6]?.done(null)
  t.equal(sent.length, 7)

  outbox.add(null)
  t.same(paths().slice(7), [null])
  outbox.add([invalidation('/lost')])
  sent[7]?.done(new Error('gone'))
  outbox.add([invalidation('/later')])
  t.equal(sent.length, 8, 'nothing for one that is gone')
  t.end()
})

t.test('who waits until nothing waits any more is told then, also when nobody will take it', t => {
  const taken: Array<(error: Error | null) => void> = []
  const outbox = createOutbox((_batch, done) => { taken.push(done) })
  const empty: string[] = []
  outbox.whenEmpty(() => { empty.push('at once') })
  t.same(empty, ['at once'])

  for (let i = 0; i < 2; i++) outbox.add([invalidation(`/${i}`)])
  outbox.whenEmpty(() => { empty.push('taken') })
  taken[0]?.(null)
  t.same(empty, ['at once'])
  taken[1]?.(null)
  t.same(empty, ['at once', 'taken'])

  outbox.add([invalidation('/lost')])
  outbox.whenEmpty(() => { empty.push('gone') })
  taken[2]?.(new Error('gone'))
  t.same(empty, ['at once', 'taken', 'gone'])
  t.end()
})

t.test('what waits is bounded in memory, not in characters: of the shortest invalidations there are not more than ten thousand or so', t => {
  const sent: Batch[] = []
  let taken: (error: Error | null) => void = () => {}
  const outbox = createOutbox((batch, done) => {
    sent.push(batch)
    taken = done
  })
  const shortest = { ...invalidation('/'), authority: 'a' }

  for (const [count, next] of [[5_000, 100], [20_000, null]] as const) {
    outbox.add([shortest])
    for (let i = 0; i < count; i++) outbox.add([shortest])
    taken(null)
    t.equal(sent.at(-1)?.length ?? null, next, `${count} wait`)
    // Until nothing waits.
    for (let before = -1; before !== sent.length;) {
      before = sent.length
      taken(null)
    }
  }
  t.end()
})
