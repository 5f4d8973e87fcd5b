/** What `.ci/run` says at its end, from a run whose steps are made up. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'

const totals = (text: string): string => `ok 1 - with \\000 octets\\n# No coverage generated\\n# { ${text} }\\n# time=1ms\\n`

/** Runs it with an `npm` that answers each command with a line of shell. */
function run (t: Test, commands: Readonly<Record<string, string>>): { last: string, code: number | null } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ci-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  mkdirSync(join(folder, '.ci'))
  mkdirSync(join(folder, 'bin'))
  copyFileSync(join(import.meta.dirname, '../../.ci/run'), join(folder, '.ci/run'))
  const npm = Object.entries(commands).map(([command, script]) => `if [ "$*" = "${command}" ]; then ${script}; fi`)
  for (const [name, script] of [['npm', [...npm, 'exit 0'].join('\n')], ['node', 'exit 0'], ['nginx', 'exit 0']] as const) {
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`)
    chmodSync(join(folder, 'bin', name), 0o755)
  }
  const { stdout, status } = spawnSync('bash', ['.ci/run'], { cwd: folder, encoding: 'utf8', env: { ...process.env, PATH: `${join(folder, 'bin')}:${process.env['PATH']}` } })
  return { last: stdout.trimEnd().split('\n').at(-1) ?? '', code: status }
}

const good = { test: `printf '${totals('total: 7, pass: 7')}'; exit 0`, 'run test:optional': `printf '${totals('total: 3, pass: 1, skip: 2')}'; exit 0`, 'run test:oldest': `printf '${totals('total: 5, pass: 5')}'; exit 0` }

t.test('the last line adds up what the runner counted and the other steps', async t => {
  t.same(run(t, good), { last: '18 passed, 0 failed, 2 skipped', code: 0 })
})

t.test('failed tests, type errors, a broken runner and a failed step end it with 1', async t => {
  t.same(run(t, { ...good, test: `printf '${totals('total: 7, pass: 5, fail: 2')}'; exit 1` }), { last: '6 passed, 2 failed', code: 1 })
  t.same(run(t, { ...good, test: `printf '${totals('total: 7, pass: 5, fail: 2')}'; exit 0` }), { last: '6 passed, 2 failed', code: 1 })
  t.same(run(t, { ...good, test: 'echo "src/app.ts(1,1): error TS1005"; exit 2' }), { last: '1 passed, 1 failed', code: 1 })
  t.same(run(t, { ...good, test: 'exit 0' }), { last: '1 passed, 1 failed', code: 1 })
  t.same(run(t, { ...good, 'run lint': 'exit 1' }), { last: '8 passed, 1 failed', code: 1 })
  t.same(run(t, { ...good, 'ci --no-audit --no-fund': 'exit 1' }), { last: '0 passed, 1 failed', code: 1 })
})
