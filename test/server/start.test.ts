/** What a process loads on its way to `listening`: what no route asks for costs nothing. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { until } from '../fixtures/proxy.ts'

const root = join(import.meta.dirname, '../..')

/** Loaded only where a configuration needs them, by a part of their path. */
const onlyOnDemand = ['node_modules/jose/', 'node_modules/re2js/', 'node_modules/@node-rs/argon2/', 'node_modules/typebox/', 'node_modules/ajv/', 'src/snapshot/', 'src/server/workers.ts', 'src/server/worker.ts', 'src/sample-origin/', 'src/cli/check.ts']

// The folder of what is compiled is for each test to say.
const { NODE_COMPILE_CACHE: _, NODE_DISABLE_COMPILE_CACHE: __, ...inherited } = process.env

function folderOf (t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-'))
  t.teardown(() => { rmSync(folder, { recursive: true, force: true }) })
  return folder
}

/** Starts a process, ends it once it listens, and gives its exit code and the modules that it has loaded. */
async function startAndEnd (t: Test, flags: readonly string[], env: Record<string, string> = {}): Promise<{ readonly code: number | null, readonly err: string, readonly modules: string }> {
  const list = join(folderOf(t), 'modules.txt')
  const child = spawn(process.execPath, ['--import', join(root, 'test/fixtures/loaded-modules.mjs'), join(root, 'src/server.ts'), '--host', '127.0.0.1', '--port', '0', '--admin-port', '0', ...flags], {
    env: { ...inherited, LOADED_MODULES: list, ...env }, stdio: ['ignore', 'pipe', 'pipe']
  })
  const closed = once(child, 'close')
  t.teardown(() => { child.kill('SIGKILL') })
  let out = ''
  let err = ''
  child.stdout.on('data', chunk => { out += chunk })
  child.stderr.on('data', chunk => { err += chunk })
  await until(() => out.includes('"role":"admin"') || child.exitCode !== null)
  child.kill('SIGTERM')
  const [code] = await closed
  return { code, err, modules: readFileSync(list, 'utf8') }
}

t.test('without credentials, patterns and a snapshot, what they need is not loaded', async t => {
  const { code, err, modules } = await startAndEnd(t, ['--upstream', 'http://127.0.0.1:9'])

  t.equal(code, 0, err)
  t.match(modules, 'node_modules/fastify/')
  for (const part of onlyOnDemand) t.notOk(modules.includes(part), part)
})

t.test('with them, it is', async t => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'key.pem'), generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }))
  writeFileSync(join(folder, 'config.yaml'), `
cache: { snapshot: { file: ./store.snapshot } }
upstreams: { main: { targets: ['http://127.0.0.1:9'] } }
routes:
  - name: tokens
    match: { path: /tokens/* }
    upstream: main
    auth: { jwt: { issuer: a, audience: b, algorithms: [EdDSA], keys: { file: ./key.pem } } }
    rewrite: { replace: [{ pattern: '^/tokens/(.*)$', with: '/{1}' }] }
  - name: passwords
    match: { path: /passwords/* }
    upstream: main
    auth: { basic: { users: { me: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Sb7LQmAZpDKHUdEYPVvbgPRqeuYTUUtdOx6yYdRBfZA' } } }
`)
  const { code, err, modules } = await startAndEnd(t, ['--config', join(folder, 'config.yaml')])

  t.equal(code, 0, err)
  for (const part of ['node_modules/jose/', 'node_modules/re2js/', 'node_modules/@node-rs/argon2/', 'node_modules/typebox/', 'src/snapshot/']) t.ok(modules.includes(part), part)
})

t.test('what is compiled is kept in the folder of the user, unless it is turned off or cannot be', async t => {
  const start = async (env: Record<string, string>) => {
    const { code, err } = await startAndEnd(t, ['--upstream', 'http://127.0.0.1:9'], env)
    t.equal(code, 0, err)
    t.equal(err, '')
  }
  const kept = folderOf(t)
  await start({ XDG_CACHE_HOME: kept })
  t.same(readdirSync(kept), ['holdfast'])
  t.not(readdirSync(join(kept, 'holdfast')).length, 0)

  const off = folderOf(t)
  await start({ XDG_CACHE_HOME: off, NODE_DISABLE_COMPILE_CACHE: '1' })
  t.same(readdirSync(off), [])

  const file = join(folderOf(t), 'no-folder')
  writeFileSync(file, '')
  await start({ XDG_CACHE_HOME: file })

  const closed = join(folderOf(t), 'closed')
  mkdirSync(closed)
  chmodSync(closed, 0o500)
  await start({ XDG_CACHE_HOME: closed })
})
