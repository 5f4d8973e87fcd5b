/** Packs the package, installs it in an empty project, runs its command, asks twice, expects a hit. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const project = mkdtempSync(join(tmpdir(), 'holdfast-smoke-'))
const node = process.env.HOLDFAST_NODE ?? join(root, 'node_modules', '.bin', 'node')
const run = (command, args, cwd) => execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
let child
const origin = createServer((_request, response) => { response.writeHead(200, { 'cache-control': 'max-age=60' }).end('smoke') })

try {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', project], root))
  console.log(`packed ${packed.filename}: ${packed.files.length} files, ${packed.size} bytes, unpacked ${packed.unpackedSize}`)
  writeFileSync(join(project, 'package.json'), '{"name":"smoke","private":true,"type":"module"}\n')
  run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', join(project, packed.filename)], project)

  writeFileSync(join(project, 'library.mjs'), `
    import Fastify from 'fastify'
    import proxy, { holdfast, resolveConfig } from 'holdfast'
    if (proxy !== holdfast || typeof resolveConfig !== 'function') throw new Error('exports are missing')
    const app = Fastify()
    await app.register(holdfast, { prefix: '/p', config: { upstreams: { o: { targets: [process.argv[2]] } }, routes: [{ name: 'r', upstream: 'o' }] } })
    const answer = await app.inject('/p/x')
    if (answer.body !== 'smoke') throw new Error('unexpected: ' + answer.body)
    await app.close()
  `)
  await new Promise(resolve => origin.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${origin.address().port}`
  await new Promise((resolve, reject) => spawn(node, ['library.mjs', url], { cwd: project, stdio: 'inherit' }).once('exit', code => code === 0 ? resolve() : reject(new Error(`library use exited ${code}`))))

  const command = join(project, 'node_modules', '.bin', 'holdfast')
  console.log(`version ${run(node, [command, '--version'], project).trim()}`)
  child = spawn(node, [command, '--upstream', url, '--host', '127.0.0.1', '--port', '0', '--admin-port', '0'], { cwd: project, stdio: ['ignore', 'pipe', 'inherit'] })
  const proxy = await listening(child)
  await (await fetch(`${proxy}/`)).text()
  const second = await fetch(`${proxy}/`)
  if (!/; hit/.test(second.headers.get('cache-status')) || await second.text() !== 'smoke') throw new Error(`no hit: ${second.headers.get('cache-status')}`)
  child.kill('SIGTERM')
  const code = await new Promise(resolve => child.once('exit', resolve))
  if (code !== 0) throw new Error(`exited ${code} on SIGTERM`)
  console.log('smoke run: hit from the packed package, clean exit')
} finally {
  child?.kill('SIGKILL')
  origin.closeAllConnections()
  origin.close()
  rmSync(project, { recursive: true, force: true })
}

/** The proxy's URL, from the log line that says where it listens. */
function listening (process) {
  return new Promise((resolve, reject) => {
    let text = ''
    process.once('exit', code => reject(new Error(`exited ${code} before it listened`)))
    process.stdout.on('data', chunk => {
      text += chunk
      for (const line of text.split('\n')) {
        if (!line.includes('"msg":"listening"') || !line.endsWith('}')) continue
        const { role, url } = JSON.parse(line)
        if (role === 'proxy') resolve(url)
      }
    })
  })
}
