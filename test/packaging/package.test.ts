/**
 * What `npm run build && npm pack` makes, used from an empty project. Its dependencies are the installed ones that
 * package.json names, and no others, so that nothing has to be fetched; `.ci/smoke.mjs` does the same from the registry.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const root = join(import.meta.dirname, '../..')
const { dependencies, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string>, bin: Record<string, string> }
const project = mkdtempSync(join(tmpdir(), 'holdfast-package-'))
const modules = join(project, 'node_modules')
const run = (command: string, args: readonly string[], cwd: string): string => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

// It compiles the whole project twice, which takes minutes where other work is done beside it.
t.setTimeout(400_000)
/** Examples that need nothing but the package. */
const copied = ['ab-split.ts', 'signed-urls.ts', 'watermark.ts']

t.teardown(() => { rmSync(project, { recursive: true }) })

t.test('it is built and packed, and nothing is in it that a user has no use for', async t => {
  // A copy, because other tests and people use the folder at the same time.
  const copy = join(project, 'copy')
  for (const name of ['src', 'plugins', 'routes', 'config', 'docs', 'examples', 'package.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE']) cpSync(join(root, name), join(copy, name), { recursive: true })
  symlinkSync(realpathSync(join(root, 'node_modules')), join(copy, 'node_modules'))
  run('npm', ['run', 'build'], copy)
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', project], copy)) as [{ filename: string, files: Array<{ path: string }> }]
  const paths = packed.files.map(file => file.path)

  t.ok(paths.includes('dist/src/index.js') && paths.includes('dist/src/index.d.ts') && paths.includes('config/holdfast.schema.json') && paths.includes('LICENSE'))
  t.same(paths.filter(path => /^(?:src|test|benchmark|node_modules)\/|\.test\./.test(path) || (path.endsWith('.ts') && !path.endsWith('.d.ts') && !path.startsWith('examples/'))), [])

  run('tar', ['-xzf', packed.filename], project)
  mkdirSync(join(modules, '.bin'), { recursive: true })
  cpSync(join(project, 'package'), join(modules, 'holdfast'), { recursive: true })
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(realpathSync(join(root, 'node_modules', name)), join(modules, name))
  }
  symlinkSync(join('../holdfast', bin['holdfast'] as string), join(modules, '.bin/holdfast'))
  writeFileSync(join(project, 'package.json'), '{"name":"empty","private":true,"type":"module"}\n')
})

t.test('every link between its pages leads to a file that is in it', async t => {
  const folder = join(modules, 'holdfast')
  const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.md'))
  t.ok(pages.includes('README.md') && pages.includes('docs/filters.md') && pages.includes('examples/README.md'))
  for (const page of pages) {
    for (const [, link = ''] of readFileSync(join(folder, page), 'utf8').matchAll(/\]\(([^)#:]+)\)/g)) t.ok(existsSync(join(folder, page, '..', link)), `${page} -> ${link}`)
  }
})

t.test('an example that is copied beside a configuration works there', async t => {
  for (const name of copied) cpSync(join(modules, 'holdfast/examples', name), join(project, name))
  writeFileSync(join(project, 'copied.yaml'), `
extensions: [./ab-split.ts, ./signed-urls.ts, { file: ./watermark.ts, options: { text: Draft } }]
upstreams: { o: { targets: ['http://127.0.0.1:1'] } }
routes: [{ name: r, upstream: o, transforms: [watermark], extensions: { ab-split: true, signed-urls: { keys: { k1: ${'k'.repeat(32)} } } } }]
`)
  t.match(run(process.execPath, [join(modules, '.bin/holdfast'), 'routes', '--config', 'copied.yaml'], project), /preHandler +ab-split +\S+[^]*beforeStoring +transforms /)
})

t.test('its command says its version, checks a configuration and proxies', async t => {
  const origin = await startRawOrigin(t, () => response('packed', ['Cache-Control: max-age=60']))
  const command = join(modules, '.bin/holdfast')
  t.match(readFileSync(command, 'utf8'), /^#!\/usr\/bin\/env -S node --max-semi-space-size=16 --no-allocation-site-pretenuring --no-parallel-scavenge\n/)
  t.match(run(process.execPath, [command, '--version'], project), /^\d+\.\d+\.\d+\n$/)
  t.match(run(process.execPath, [command, 'check', '--config', 'node_modules/holdfast/config/example.yaml'], project), 'api')

  const child = spawn(process.execPath, [command, '--upstream', origin.url, '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'], { cwd: project, stdio: ['ignore', 'pipe', 'inherit'] })
  let log = ''
  child.stdout.on('data', chunk => { log += chunk })
  const ended = new Promise<number | null>(resolve => { child.once('close', resolve) })
  t.teardown(() => { child.kill('SIGKILL') })
  await until(() => log.includes('"role":"proxy"') || child.exitCode !== null)
  const url = /"role":"proxy".*"url":"([^"]+)"/.exec(log)?.[1] as string
  for (const outcome of [/fwd=uri-miss/, /; hit/]) {
    const answer = await fetch(url)
    t.equal(await answer.text(), 'packed')
    t.match(answer.headers.get('cache-status'), outcome)
  }
  child.kill('SIGTERM')
  t.equal(await ended, 0)
})

t.test('its import works, and its types with the strictest of compilers, also for examples that are copied', { timeout: 300_000 }, async t => {
  const origin = await startRawOrigin(t, () => response('packed'))
  writeFileSync(join(project, 'use.ts'), `
    import Fastify from 'fastify'
    import proxy, { holdfast, resolveConfig, type HoldfastControl, type HoldfastOptions } from 'holdfast'
    if (proxy !== holdfast || typeof resolveConfig !== 'function') throw new Error('exports are missing')
    const options: HoldfastOptions = { config: { upstreams: { o: { targets: ['${origin.url}'] } }, routes: [{ name: 'r', upstream: 'o' }] } }
    const app = Fastify()
    let control: HoldfastControl | null = null
    await app.register(holdfast, { ...options, prefix: '/p', onControl: made => { control = made } })
    app.addHook('onResponse', async request => { request.cacheOutcome?.hit })
    const answer = await app.inject('/p/x')
    if (answer.body !== 'packed' || control === null) throw new Error('unexpected: ' + answer.body)
    await app.close()
    console.log('used')
  `)
  for (const name of copied) writeFileSync(join(project, name), readFileSync(join(root, 'examples', name), 'utf8').replace("'../src/index.ts'", "'holdfast'"))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: { strict: true, noEmit: true, module: 'NodeNext', target: 'ES2023', types: ['node'], typeRoots: [join(root, 'node_modules/@types')], exactOptionalPropertyTypes: true }, files: ['use.ts', ...copied] }))
  t.equal(run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project], project), '')
  // Not synchronously: the origin server is in this process.
  t.equal((await promisify(execFile)(process.execPath, ['use.ts'], { cwd: project })).stdout, 'used\n')
})
