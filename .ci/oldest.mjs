/**
 * `npm run test:oldest`: what depends most on Node, by the oldest one that package.json allows; the other tests run by the one
 * that is pinned. It is fetched from the npm registry; where that cannot be, the tests are reported as skipped.
 */
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const version = JSON.parse(readFileSync('package.json', 'utf8')).engines.node.replace(/[^\d.]/g, '')
const name = `node-${process.platform}-${process.arch}`
const folder = mkdtempSync(join(tmpdir(), 'holdfast-oldest-'))
process.once('exit', () => { rmSync(folder, { recursive: true, force: true }) })

const { status } = spawnSync('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', `${name}@${version}`], { stdio: ['ignore', 'ignore', 'inherit'] })
if (status === 0) {
  const bin = join(folder, 'node_modules', name, 'bin')
  const files = ['server', 'proxy', 'http', 'snapshot'].flatMap(part => globSync(`test/${part}/*.test.ts`))
  const tap = spawnSync(join(bin, 'node'), ['node_modules/.bin/tap', ...files], { stdio: 'inherit', env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` } })
  process.exitCode = tap.status ?? 1
} else {
  console.log(`ok 1 - tests by Node ${version} # SKIP it could not be fetched\n# { total: 1, pass: 0, skip: 1 }`)
}
