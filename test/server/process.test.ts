/** The command as a process: start, reload, shutdown, workers, and how it ends. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { get, openSocket, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const entry = join(import.meta.dirname, '../../src/server.ts')

interface Running {
  readonly child: ChildProcess
  readonly out: () => string
  readonly err: () => string
  readonly proxy: string
  readonly admin: string
  readonly exit: Promise<number | null>
}

function launch (t: Test, flags: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [entry, ...flags], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => { out += chunk })
  child.stderr.on('data', chunk => { err += chunk })
  const exit = new Promise<number | null>(resolve => { child.once('close', resolve) })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exit
  })
  return { child, exit, out: () => out, err: () => err }
}

async function start (t: Test, flags: readonly string[], env: Record<string, string> = {}): Promise<Running> {
  const launched = launch(t, ['--host', '127.0.0.1', '--port', '0', '--admin-port', '0', ...flags], env)
  const url = (role: string): string => /"url":"([^"]+)"/.exec(launched.out().split('\n').find(line => line.includes('"msg":"listening"') && line.includes(`"role":"${role}"`)) ?? '')?.[1] ?? ''
  await until(() => (url('proxy') !== '' && url('admin') !== '') || launched.child.exitCode !== null)
  return { ...launched, proxy: url('proxy'), admin: url('admin') }
}

const portOf = (url: string): number => Number(new URL(url).port)

t.test('started without anything it shows a sample origin and a line to try, which hits the second time', async t => {
  const { proxy, admin, out, child, exit } = await start(t, [])
  await until(() => out().includes('curl -i'))
  const url = /curl -i (\S+)/.exec(out())?.[1] as string

  t.ok(url.startsWith(proxy))
  await (await fetch(url)).text()
  const second = await fetch(url)
  t.match(second.headers.get('cache-status'), '; hit')
  t.equal((await fetch(`${admin}/health/ready`)).status, 200)
  t.equal((await fetch(`${admin}/health/live`)).status, 200)
  t.match(await (await fetch(`${admin}/metrics`)).text(), /holdfast_cache_hits_total 1\n/)
  t.match(await (await fetch(`${admin}/routes`)).text(), 'default')

  child.kill('SIGINT')
  t.equal(await exit, 0)
  t.match(out(), /"cache":"hit"/)
})

t.test('with workers, started without anything, it is one sample origin for all of them, and the line to try is there, too', async t => {
  const { admin, out, child, exit } = await start(t, ['--workers', '2'])
  await until(() => out().includes('curl -i'))
  let ready = 0
  while (ready !== 200) ready = (await fetch(`${admin}/health/ready`)).status

  t.equal(out().split('Try this twice').length, 2)
  const origin = /sample origin on (\S+)/.exec(out())?.[1] as string
  const counter = new URL('/counter', /curl -i (\S+)/.exec(out())?.[1])
  const counts: number[] = []
  for (let i = 0; i < 4; i++) counts.push(Number(/\d+/.exec(await (await fetch(counter, { headers: { connection: 'close' } })).text())?.[0]))
  const first = counts[0] as number
  t.same(counts, [first, first + 1, first + 2, first + 3], 'each worker asks the same one')
  t.match(await (await fetch(`${admin}/routes`)).text(), origin)

  child.kill('SIGTERM')
  t.equal(await exit, 0)
})

t.test('SIGTERM: not ready, requests in flight finish, exit 0', async t => {
  let release: () => void = () => {}
  const origin = await startRawOrigin(t, ({ socket }) => { release = () => { socket.write(response('finished')) } })
  const { proxy, admin, child, exit, out } = await start(t, ['--upstream', origin.url])
  const slow = talk(portOf(proxy), get('/').replace('Connection: close\r\n', ''))
  const idle = openSocket(portOf(proxy))
  await until(() => origin.requests.length === 1)

  child.kill('SIGTERM')
  await until(() => out().includes('shutting down'))
  const ready = await fetch(`${admin}/health/ready`)
  t.equal(ready.status, 503)
  t.same(await ready.json(), { status: 'not ready', reasons: ['draining'] })
  t.equal((await fetch(`${admin}/health/live`)).status, 200)
  await t.rejects(talk(portOf(proxy), get('/')), { code: 'ECONNREFUSED' }, 'the listener is closed')
  release()

  t.match(await slow, /connection: close[^]*finished$/i)
  t.equal(await exit, 0)
  idle.destroy()
})

t.test('a second signal exits at once', async t => {
  const origin = await startRawOrigin(t, () => {})
  const { proxy, child, exit, out } = await start(t, ['--upstream', origin.url])
  const pending = talk(portOf(proxy), get('/'))
  await until(() => origin.requests.length === 1)

  child.kill('SIGTERM')
  await until(() => out().includes('shutting down'))
  child.kill('SIGTERM')

  t.equal(await exit, 1)
  t.equal(await pending, '')
})

t.test('requests that outlast the drain limit are cut', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const origin = await startRawOrigin(t, () => {})
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({ server: { drainTimeout: '200ms' }, upstreams: { a: { targets: [origin.url] } }, routes: [{ name: 'r', upstream: 'a' }] }))
  const { proxy, child, exit } = await start(t, ['--config', file])
  const pending = talk(portOf(proxy), get('/'))
  await until(() => origin.requests.length === 1)

  child.kill('SIGTERM')

  t.equal(await exit, 0)
  t.equal(await pending, '')
})

t.test('SIGHUP and POST /reload put a valid file in force and leave everything as it was for a broken one', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const file = join(folder, 'config.yaml')
  const [one, two] = await Promise.all(['one', 'two'].map(name => startRawOrigin(t, () => response(name)))) as unknown as [{ url: string }, { url: string }]
  const write = (url: string): void => { writeFileSync(file, `admin:\n  token: 0123456789abcdef\nupstreams:\n  a:\n    targets: ["${url}"]\nroutes:\n  - name: r\n    upstream: a\n`) }
  write(one.url)
  const { proxy, admin, child, out } = await start(t, ['--config', file])
  const body = async (): Promise<string> => await (await fetch(proxy)).text()
  const reload = (token: string): Promise<Response> => fetch(`${admin}/reload`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
  t.equal(await body(), 'one')

  t.equal((await reload('wrong')).status, 401)
  t.equal((await fetch(`${admin}/metrics`)).status, 401)
  t.equal((await fetch(`${admin}/health/ready`)).status, 200)

  write(two.url)
  const good = await reload('0123456789abcdef')
  t.equal(good.status, 200)
  t.same(await good.json(), { changed: ['upstreams/a'], needsRestart: [] })
  t.equal(await body(), 'two')

  writeFileSync(file, 'upstreams:\n  a:\n    target: []\nrutes: []\n')
  const bad = await reload('0123456789abcdef')
  t.equal(bad.status, 422)
  const { error } = await bad.json() as { error: { code: string, problems: Array<{ path: string, line: number }> } }
  t.equal(error.code, 'config_invalid')
  t.ok(error.problems.length >= 2 && error.problems.some(problem => problem.line === 3))
  child.kill('SIGHUP')
  await until(() => out().includes('reload_failed'))
  t.equal(await body(), 'two')

  write(one.url)
  child.kill('SIGHUP')
  await until(() => out().split('configuration reloaded').length === 3)
  t.equal(await body(), 'one')
})

t.test('SIGHUP reads certificates again; with one that is broken everything stays, the routes too', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const [cert, key, file] = ['cert.pem', 'key.pem', 'config.json'].map(name => join(folder, name)) as [string, string, string]
  const certify = async (name: string): Promise<void> => {
    const made = await generate([{ name: 'commonName', value: name }])
    writeFileSync(cert, made.cert)
    writeFileSync(key, made.private)
  }
  const write = (upstream: string): void => { writeFileSync(file, JSON.stringify({ server: { tls: { certificates: [{ cert, key }] } }, upstreams: { a: { targets: [upstream] } }, routes: [{ name: 'r', upstream: 'a' }] })) }
  await certify('first.test')
  write('http://127.0.0.1:9')
  const { proxy, admin, child, out } = await start(t, ['--config', file])
  const name = (): Promise<string> => new Promise((resolve, reject) => {
    const socket = connectTls({ port: portOf(proxy), host: '127.0.0.1', rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN))
      socket.destroy()
    }).on('error', reject)
  })
  t.equal(await name(), 'first.test')

  await certify('second.test')
  child.kill('SIGHUP')
  await until(() => out().includes('configuration reloaded'))
  t.equal(await name(), 'second.test')

  writeFileSync(cert, 'broken')
  write('http://127.0.0.1:10')
  t.equal((await fetch(`${admin}/reload`, { method: 'POST' })).status, 422)
  t.equal(await name(), 'second.test')
  t.match(await (await fetch(`${admin}/cache/stats`)).text(), '127.0.0.1:9"')
})

t.test('workers tell plain HTTP that TLS is spoken here', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const [cert, key, file] = ['cert.pem', 'key.pem', 'config.json'].map(name => join(folder, name)) as [string, string, string]
  const made = await generate([{ name: 'commonName', value: 'first.test' }])
  writeFileSync(cert, made.cert)
  writeFileSync(key, made.private)
  writeFileSync(file, JSON.stringify({ server: { tls: { certificates: [{ cert, key }] } }, upstreams: { a: { targets: ['http://127.0.0.1:9'] } }, routes: [{ name: 'r', upstream: 'a' }] }))
  const { proxy, admin } = await start(t, ['--config', file, '--workers', '2'])
  let ready = 0
  while (ready !== 200) ready = (await fetch(`${admin}/health/ready`)).status

  for (let i = 0; i < 4; i++) t.match(await talk(portOf(proxy), get('/'), undefined, true), /^HTTP\/1\.1 400 [^]*"code":"tls_required"/)
  t.match(await (await fetch(`${admin}/metrics`)).text(), /holdfast_http_requests_total\{.*status_class="4xx".*\} 4\n/)
})

t.test('not ready while no upstream is healthy', async t => {
  const { proxy, admin } = await start(t, ['--upstream', 'http://127.0.0.1:9'])
  for (let i = 0; i < 5; i++) await (await fetch(proxy)).text()

  const ready = await fetch(`${admin}/health/ready`)

  t.equal(ready.status, 503)
  t.same(await ready.json(), { status: 'not ready', reasons: ['no healthy upstream'] })
})

t.test('a port in use, an unknown flag and a broken file are one clear message and an exit code', async t => {
  const taken = createServer()
  await new Promise<void>(resolve => { taken.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { taken.close() })
  const { port } = taken.address() as { port: number }

  const inUse = launch(t, ['--upstream', 'http://127.0.0.1:9', '--host', '127.0.0.1', '--port', String(port), '--admin-port', '0'])
  t.equal(await inUse.exit, 1)
  t.match(inUse.err(), /cannot listen: .*EADDRINUSE/)
  const unknown = launch(t, ['--upstraem', 'x'])
  t.equal(await unknown.exit, 2)
  t.match(unknown.err(), '--upstream')
  const missing = launch(t, ['--config', '/nonexistent.yaml'])
  t.equal(await missing.exit, 1)
  t.match(missing.err(), 'nonexistent.yaml')
  const checked = launch(t, ['check', '--config', '/nonexistent.yaml'])
  t.equal(await checked.exit, 1)
})

t.test('an error that nobody caught is logged with its stack and ends the process', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  writeFileSync(join(folder, 'late.mjs'), "process.on('SIGUSR2', () => { throw new Error('nobody-caught-this') })\n")
  const { child, exit, out } = await start(t, ['--upstream', 'http://127.0.0.1:9'], { NODE_OPTIONS: `--import ${join(folder, 'late.mjs')}` })
  child.kill('SIGUSR2')

  t.equal(await exit, 1)
  t.match(out(), /"level":60.*nobody-caught-this.*"stack"|"stack":"Error: nobody-caught-this/)
})

t.test('workers share the listener, and the primary answers for all of them', async t => {
  const origin = await startRawOrigin(t, () => response('x', ['Cache-Control: max-age=60']))
  const { proxy, admin, child, exit } = await start(t, ['--upstream', origin.url, '--workers', '2'])
  let ready = 0
  while (ready !== 200) ready = (await fetch(`${admin}/health/ready`)).status

  for (let i = 0; i < 20; i++) t.equal((await talk(portOf(proxy), get('/'))).slice(9, 12), '200')
  const metrics = await (await fetch(`${admin}/metrics`)).text()
  const [, hits] = /holdfast_cache_hits_total (\d+)/.exec(metrics) ?? []
  const [, misses] = /holdfast_cache_misses_total (\d+)/.exec(metrics) ?? []
  t.equal(Number(hits) + Number(misses), 20)
  t.equal((await fetch(`${admin}/reload`, { method: 'POST' })).status, 200)

  child.kill('SIGTERM')
  t.equal(await exit, 0)
})

t.test('workers that cannot start end the process: a port in use', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => { taken.close() })
  await new Promise(resolve => { taken.once('listening', resolve) })
  const { port } = taken.address() as { port: number }

  const { exit, err, out } = launch(t, ['--upstream', 'http://127.0.0.1:1', '--workers', '2', '--host', '127.0.0.1', '--port', String(port), '--admin-port', '0'])

  t.equal(await exit, 1)
  t.match(err(), `cannot listen: bind EADDRINUSE 127.0.0.1:${port}`)
  t.match(out(), /"level":60.*the workers cannot start/)
})

t.test('with workers an admin port in use is told in one line: none of them is started', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => { taken.close() })
  await new Promise(resolve => { taken.once('listening', resolve) })
  const { port } = taken.address() as { port: number }

  const { exit, err, out } = launch(t, ['--upstream', 'http://127.0.0.1:1', '--workers', '2', '--host', '127.0.0.1', '--port', '0', '--admin-port', String(port)])

  t.equal(await exit, 1)
  t.match(err(), /^holdfast: cannot listen: .*EADDRINUSE[^\n]*\n$/)
  t.equal(out(), '')
})

t.test('where a listener is: the address it has, and a URL for this machine', async t => {
  for (const workers of ['1', '2']) {
    const { out } = launch(t, ['--upstream', 'http://127.0.0.1:1', '--host', '0.0.0.0', '--port', '0', '--admin-host', '::1', '--admin-port', '0', '--workers', workers])
    const line = (role: string): string => out().split('\n').find(line => line.includes(`"role":"${role}"`) && line.endsWith('}')) ?? ''
    await until(() => line('proxy') !== '' && line('admin') !== '')

    t.match(JSON.parse(line('proxy')), { host: '0.0.0.0', url: /^http:\/\/127\.0\.0\.1:\d+$/ })
    t.match(JSON.parse(line('admin')), { host: '::1', url: /^http:\/\/\[::1\]:\d+$/ })
  }
})

t.test('workers: not ready before they are, and a signal to the whole group lets requests in flight finish', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  const go = join(folder, 'go')
  writeFileSync(join(folder, 'wait.mjs'), `import { isWorker } from 'node:cluster'
import { existsSync } from 'node:fs'
while (isWorker && !existsSync(${JSON.stringify(go)})) await new Promise(resolve => { setTimeout(resolve, 20) })
`)
  let release: () => void = () => {}
  const origin = await startRawOrigin(t, ({ socket }) => { release = () => { socket.write(response('finished')) } })
  const launched = launch(t, ['--upstream', origin.url, '--workers', '2', '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'], { NODE_OPTIONS: `--import ${join(folder, 'wait.mjs')}` })
  const lines = (role: string): Array<{ url: string, pid: number }> => launched.out().split('\n').filter(line => line.includes('"listening"') && line.includes(`"role":"${role}"`) && line.endsWith('}')).map(line => JSON.parse(line) as { url: string, pid: number })
  await until(() => lines('admin').length === 1)
  const ready = async (): Promise<unknown> => await (await fetch(`${lines('admin')[0]?.url}/health/ready`)).json()
  t.same(await ready(), { status: 'not ready', reasons: ['starting'] })
  writeFileSync(go, '')
  while ((await ready() as { status: string }).status !== 'ready') await new Promise(resolve => { setTimeout(resolve, 20) })
  await until(() => lines('proxy').length === 2)

  const slow = talk(portOf(lines('proxy')[0]?.url as string), get('/'))
  await until(() => origin.requests.length === 1)
  for (const pid of [launched.child.pid as number, ...lines('proxy').map(line => line.pid)]) process.kill(pid, 'SIGTERM')
  await until(() => launched.out().includes('draining'))
  release()

  t.match(await slow, /finished$/)
  t.equal(await launched.exit, 0)
})
