/** Snapshots of several processes behind one listener. */
import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { until } from '../fixtures/proxy.ts'
import { temporaryFolder } from '../fixtures/snapshots.ts'

t.test('each worker has its own; one of a worker that there is none of now is removed, and one of a worker that died', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'config.json')
  writeFileSync(file, JSON.stringify({
    server: { host: '127.0.0.1', port: 0, workers: 2 },
    admin: { port: 0 },
    cache: { snapshot: { file: 'snapshot' } },
    upstreams: { a: { targets: ['http://127.0.0.1:1'] } },
    routes: [{ name: 'r', upstream: 'a' }]
  }))
  for (const name of ['snapshot', 'snapshot.1', 'snapshot.7']) writeFileSync(join(folder, name), 'holdfast snapshot 0\n')
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/server.ts'), '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const exit = new Promise(resolve => { child.once('close', resolve) })
  let out = ''
  child.stdout.on('data', chunk => { out += chunk })
  const lines = (text: string): Array<{ pid: number }> => out.split('\n').filter(line => line.includes(text)).map(line => JSON.parse(line) as { pid: number })
  await until(() => lines('"snapshot loaded"').length === 2)
  t.equal(lines('snapshot_version').length, 1)

  process.kill((lines('snapshot_version')[0] as { pid: number }).pid, 'SIGKILL')
  await until(() => lines('"snapshot loaded"').length === 3)
  child.kill('SIGTERM')
  t.equal(await exit, 0)

  t.same(readdirSync(folder).sort(), ['config.json', 'snapshot.2', 'snapshot.3'])
})
