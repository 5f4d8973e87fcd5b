import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { runCheck } from '../../src/cli/check.ts'
import type { CheckOptions } from '../../src/cli/check.ts'
import { formatRouteTable } from '../../src/cli/routes-table.ts'
import { resolveConfig } from '../../src/config/load.ts'

async function check (options: CheckOptions) {
  let output = ''
  const exitCode = await runCheck({ env: {}, ...options }, { write: text => { output += text } })
  return { exitCode, output }
}

t.test('a file with problems: every one with line, place, rule and value, exit code 1', async (t) => {
  const file = join(t.testdir(), 'bad.yaml')
  await writeFile(file, 'server:\n  prot: 80\n  drainTimeout: soon\nupstreams:\n  main: { targets: [http://a] }\nroutes:\n  - { name: a, upstream: mian }\n')

  const { exitCode, output } = await check({ file })

  t.equal(exitCode, 1)
  t.equal(output, [
    `${file}:2  /server/prot  unknown option; did you mean "port"? (unknown-option)`,
    `${file}:3  /server/drainTimeout  must be a duration such as 500ms, 10s, 5m, 2h, 1d, or a number of seconds (duration; got "soon")`,
    `${file}:7  /routes/0/upstream  names no entry of upstreams; did you mean "main"? (known-upstream; got "mian")`,
    '',
    '3 problems',
    ''
  ].join('\n'))
})

t.test('a file without problems: warnings and the route table, exit code 0', async (t) => {
  const file = join(t.testdir(), 'good.yaml')
  await writeFile(file, 'upstreams:\n  main: { targets: [https://a], tls: { verify: false } }\nroutes:\n  - { name: all, upstream: main }\n')

  const { exitCode, output } = await check({ file })

  t.equal(exitCode, 0)
  t.match(output, /^warning: .*good\.yaml {2}\/upstreams\/main\/tls\/verify {2}the certificates of this upstream are not verified/)
  t.match(output, /good\.yaml is valid\.\n\nHOST +PATH/)
})

t.test('no file, or none that is there', async (t) => {
  t.same(await check({}), { exitCode: 1, output: 'Nothing to check: name a file with --config FILE\n' })

  const missing = await check({ file: '/does/not/exist.yaml' })
  t.equal(missing.exitCode, 1)
  t.match(missing.output, '/does/not/exist.yaml  /  cannot be read: there is no such file (ENOENT) (readable-file)')
})

t.test('transformations: those that extensions register are known, others are told', async (t) => {
  const folder = t.testdir({ 'mark.mjs': "export default async app => { app.transformResponse({ name: 'mark', version: '1', moment: 'beforeSending', when: () => true, maxBytes: 9, whole: content => content }) }" })
  const file = join(folder, 'config.yaml')
  const write = async (name: string) => { await writeFile(file, `extensions: [./mark.mjs]\nupstreams: { main: { targets: [http://a] } }\nroutes: [{ name: all, upstream: main, transforms: [${name}] }]\n`) }

  await write('mark')
  t.equal((await check({ file })).exitCode, 0)
  await write('makr')
  t.match(await check({ file }), { exitCode: 1, output: /\/routes\/0\/transforms\/0 {2}is no transformation .*; did you mean "mark"\? \(known-transform; got "makr"\)\n\n1 problem\n$/ })
})

t.test('an upstream and flags are checked too', async (t) => {
  process.env['HOLDFAST_UPSTREAM'] = 'http://a'
  t.teardown(() => { delete process.env['HOLDFAST_UPSTREAM'] })
  t.equal(await runCheck({}, { write: () => {} }), 0, 'of the environment of this process')
  t.equal((await check({ upstream: 'http://a' })).exitCode, 0)
  t.equal((await check({ env: { HOLDFAST_UPSTREAM: 'http://a' } })).exitCode, 0)
  t.match(await check({ upstream: 'http://a', overrides: { adminHost: '0.0.0.0' } }), { exitCode: 1, output: /\/admin\/token/ })
})

t.test('the route table is in the order of preference and says what each route does', async (t) => {
  const hash = `sha256:${'0'.repeat(64)}`
  const config = resolveConfig({
    upstreams: { main: { targets: ['http://a', 'http://b', { url: 'http://c' }, 'http://d', 'http://e'] } },
    routes: [
      { name: 'all', upstream: 'main' },
      { name: 'user', upstream: 'main', match: { path: '/users/:id', methods: ['GET', 'HEAD'] }, cache: { enabled: false }, auth: { bearer: { tokens: [hash] }, apiKeys: { keys: [hash] } } },
      { name: 'new', upstream: 'main', match: { path: '/users/new' }, rateLimit: { max: 5, window: '90s' }, rewrite: { stripPrefix: '/users', addPrefix: '/v1', removeFields: ['a'] }, response: { setFields: { b: 'c' } } },
      { name: 'hosts', upstream: 'main', match: { host: ['*.x.example', 'X.example'] }, cache: { ttl: [{ status: [200, 404], ttl: '1h' }, { status: [500], ttl: 0.5 }] } }
    ]
  })
  const targets = 'main (http://a, http://b, http://c, 2 more)'

  t.same(formatRouteTable(config).split('\n').map(line => line.split(/ {2,}/)), [
    ['HOST', 'PATH', 'METHODS', 'ROUTE', 'UPSTREAM', 'CACHE', 'FILTERS'],
    ['x.example', '/*', '*', 'hosts', targets, 'on, 200/404 1h, 500 500ms', '-'],
    ['*.x.example', '/*', '*', 'hosts', targets, 'on, 200/404 1h, 500 500ms', '-'],
    ['*', '/users/new', '*', 'new', targets, 'on', 'rate-limit 5/90s, strip /users, add /v1, request-fields, response-fields'],
    ['*', '/users/:id', 'GET,HEAD', 'user', targets, 'off', 'api-key or bearer'],
    ['*', '/*', '*', 'all', targets, 'on', '-'],
    ['']
  ])
})
