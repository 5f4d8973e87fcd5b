/* eslint-disable no-template-curly-in-string -- these are what an operator writes */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generate } from 'selfsigned'
import t from 'tap'
import type { Test } from 'tap'
import { ConfigError, loadConfig } from '../../src/config/load.ts'
import type { ConfigProblem, LoadOptions } from '../../src/config/load.ts'
import { parseUpstreamUrl } from '../../src/config/upstream-flag.ts'

const small = 'upstreams: { main: { targets: [http://127.0.0.1:3000] } }\nroutes: [{ name: all, upstream: main }]\n'

interface Given extends Partial<LoadOptions> { readonly name?: string }

/** Loads a file with this text; the file's directory is the test's own. */
async function load (t: Test, text: string | Uint8Array, { name = 'config.yaml', env = {}, ...options }: Given = {}) {
  const file = join(t.testdir(), name)
  await writeFile(file, text)
  return await loadConfig({ file, env, ...options })
}

async function problemsOf (loading: Promise<unknown>): Promise<readonly ConfigProblem[]> {
  try {
    await loading
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('YAML and JSON say the same', async (t) => {
  const yaml = await load(t, small)
  const json = await load(t, '{\n\t"$schema": "./holdfast.schema.json",\n\t"upstreams": { "main": { "targets": ["http://127.0.0.1:3000"] } },\n\t"routes": [\n\t\t{ "name": "all", "upstream": "main" }\n\t]\n}\n', { name: 'config.json' })

  t.same({ ...yaml, $schema: './holdfast.schema.json' }, json)
  t.same(await load(t, `\uFEFF${small}`), yaml, 'with a byte order mark')
  t.same(await load(t, small.replaceAll('\n', '\r\n')), yaml, 'with the line ends of Windows')
})

t.test('aliases stand for what they name', async (t) => {
  const config = await load(t, 'upstreams: { main: { targets: &here [http://a] }, other: { targets: *here } }\nroutes: [{ name: all, upstream: main }]\n')

  t.same(config.upstreams.other?.targets, ['http://a'])
})

t.test('a problem carries its line', async (t) => {
  const text = [
    'server:', //                       1
    '  prot: 80', //                    2
    '  limits:', //                     3
    '    headerCount: 0', //            4
    'upstreams:', //                    5
    '  main:', //                       6
    '    targets:', //                  7
    '      - http://a', //              8
    '      - nowhere', //               9
    'routes:', //                      10
    '  - name: a', //                  11
    '    upstream: mian', //           12
    '  - name: b', //                  13
    '    match:', //                   14
    '      path: /*/x'] //             15
  const problems = await problemsOf(load(t, text.join('\n')))

  t.same(problems.map(({ line, path }) => `${line} ${path}`), [
    '2 /server/prot', '4 /server/limits/headerCount', '9 /upstreams/main/targets/1', '12 /routes/0/upstream', '13 /routes/1/upstream', '15 /routes/1/match/path'])
})

t.test('the message of the error is the report', async (t) => {
  await t.rejects(load(t, `server: { prot: 80 }\n${small}`), { code: 'invalid_configuration', message: /config\.yaml:1 {2}\/server\/prot {2}unknown option; did you mean "port"\? \(unknown-option\)$/ })
})

t.test('a file that is no configuration', async (t) => {
  const rows: Array<[title: string, text: string | Uint8Array, expected: object[]]> = [
    ['nothing in it', '', [{ path: '/upstreams', rule: 'required' }, { path: '/routes', rule: 'required' }]],
    ['text', 'hello', [{ path: '', rule: 'type' }]],
    ['the same option twice', `server: {}\nserver: {}\n${small}`, [{ line: 2, rule: 'syntax', message: 'the same option is given twice' }]],
    ['several documents', `${small}---\n${small}`, [{ line: 3, rule: 'syntax', message: /one document/ }]],
    ['a tag', `${small}log: !js/function x\n`, [{ line: 3, rule: 'syntax', message: /tags/ }]],
    ['a list as name', '? [a]\n: b\n', [{ line: 1, rule: 'syntax', message: /name of an option/ }]],
    ['tabs', 'server:\n\tport: 1\n', [{ line: 2, rule: 'syntax', message: /[Tt]abs/ }]],
    ['a variable inside braces without quotes', `server: { host: ${'${A}'} }\n${small}`, [{ line: 1, rule: 'syntax', message: /put \$\{NAME\} into quotes/ }]],
    ['open quote', 'server: "x\n', [{ rule: 'syntax' }]],
    ['nested without end', '['.repeat(100_000), [{ rule: 'syntax' }]],
    ['nested deeply', `log: ${'['.repeat(80)}${']'.repeat(80)}\n${small}`, [{ line: 1, rule: 'size', message: /nested/ }]],
    ['an alias of nothing', `log: *x\n${small}`, [{ path: '/log', line: 1, rule: 'yaml' }]],
    ['an alias within itself', `log: &x [*x]\n${small}`, [{ line: 1, rule: 'size' }]],
    ['aliases of aliases of aliases', Array.from({ length: 12 }, (_, i) => `a${i}: &a${i} [${Array(10).fill(i === 0 ? 'x' : `*a${i - 1}`).join()}]`).join('\n'), [{ rule: 'size', message: /aliases/ }]],
    ['a name that would reach into prototypes', `__proto__: { server: {} }\n${small}`, [{ path: '/__proto__', line: 1, rule: 'unknown-option' }]],
    ['an upstream of that name', small.replace('main:', '__proto__: { targets: [http://127.0.0.1:3000] }, main:'), [{ path: '/upstreams/__proto__', line: 1, rule: 'unknown-option' }]],
    ['merge keys are not part of YAML 1.2', `server: &s {}\nadmin: { <<: *s }\n${small}`, [{ path: '/admin/<<', rule: 'unknown-option' }]],
    ['other bytes than UTF-8', new Uint8Array([0x73, 0xff, 0xfe]), [{ rule: 'encoding' }]],
    ['too large', `# ${'x'.repeat(8 * 1024 * 1024)}\n${small}`, [{ rule: 'size', message: /larger than 8388608 bytes/ }]]
  ]
  for (const [title, text, expected] of rows) {
    const problems = await problemsOf(load(t, text))
    t.match(problems.slice(0, expected.length), expected, title)
    t.ok(problems.length > 0 && problems.length < 30, title)
  }
})

t.test('an unknown option without a value is told, also where a blank is missing', async (t) => {
  const text = 'severs:\ncache:\nupstreams:\n  main: { targets: [http://a], tsl: }\nroutes:\n  - { name: all, upstream:main, extensions: { own: }, rateLimit: { key: { filed: } } }\n'
  const problems = await problemsOf(load(t, text))

  t.same(problems.filter(({ rule }) => rule === 'unknown-option').map(({ line, path, suggestion }) => `${line} ${path} ${suggestion}`), [
    '1 /severs server', '4 /upstreams/main/tsl tls', '6 /routes/0/upstream:main upstream', '6 /routes/0/rateLimit/key/filed field'])
})

t.test('a file that cannot be read is told with the code of the system', async (t) => {
  const missing = await problemsOf(loadConfig({ file: join(t.testdir(), 'none.yaml'), env: {} }))
  const directory = await problemsOf(loadConfig({ file: t.testdir(), env: {} }))

  t.match(missing, [{ path: '', rule: 'readable-file', message: 'cannot be read: there is no such file (ENOENT)' }])
  t.match(directory, [{ path: '', rule: 'readable-file', message: 'cannot be read: it is a directory (EISDIR)' }])
})

t.test('values come from the environment', async (t) => {
  const rows: Array<[title: string, value: string, env: Record<string, string>, expected: unknown]> = [
    ['a variable', 'server: { host: "${A}" }', { A: '127.0.0.1' }, '127.0.0.1'],
    ['part of a value', 'server:\n  host: ${A}.${B}', { A: 'a', B: 'b' }, 'a.b'],
    ['a default', 'server:\n  host: ${A:-localhost}', {}, 'localhost'],
    ['a default for an empty variable', 'server:\n  host: ${A:-localhost}', { A: '' }, 'localhost'],
    ['a variable before its default', 'server:\n  host: ${A:-localhost}', { A: 'b' }, 'b'],
    ['an escape', "server:\n  host: '$${A}'", { A: 'b' }, '${A}'],
    ['no second look', 'server:\n  host: ${A}', { A: '${B}', B: 'b' }, '${B}'],
    ['no structure', 'server:\n  host: ${A}', { A: '"x", port: 1 }\nadmin: {}' }, '"x", port: 1 }\nadmin: {}'],
    ['a dollar alone', 'server:\n  host: $A', { A: 'b' }, '$A'],
    ['text of digits where text is wanted', 'server:\n  host: ${A}', { A: '12' }, '12']
  ]
  for (const [title, value, env, expected] of rows) {
    t.equal((await load(t, `${value}\n${small}`, { env })).server.host, expected, title)
  }
})

t.test('numbers and switches come from the environment where the schema wants them', async (t) => {
  const text = 'server:\n  port: ${PORT}\n  drainTimeout: ${DRAIN}\n  mergeSlashes: ${MERGE:-false}\nupstreams:\n  main:\n    connections: "${N:-7}"\n    targets: [{ url: http://a, weight: "${W}" }]\nroutes: [{ name: all, upstream: main, cache: { ttl: [{ status: ["${S}"], ttl: "${TTL}" }] } }]\n'
  const config = await load(t, text, { env: { PORT: ' 81 ', DRAIN: '5', W: '3', S: '404', TTL: '2m' } })

  t.equal(config.server.port, 81)
  t.equal(config.server.drainTimeout, 5000)
  t.equal(config.server.mergeSlashes, false)
  t.equal(config.upstreams.main?.connections, 7)
  t.same(config.upstreams.main?.targets, [{ url: 'http://a', weight: 3 }])
  t.same(config.routes[0]?.cache.ttl, [{ status: [404], ttl: 120_000 }])
})

t.test('what is wrong with a value from the environment', async (t) => {
  const rows: Array<[title: string, value: string, expected: object]> = [
    ['not set', '${NONE}', { path: '/server/port', line: 2, rule: 'environment', message: /variable NONE, which is not set/ }],
    ['a property of every object', '${constructor}', { rule: 'environment', message: /constructor/ }],
    ['no name', '${}', { rule: 'environment', message: /without a variable name/ }],
    ['not closed', '${A', { rule: 'environment' }],
    ['no number', '${WORD}', { path: '/server/port', line: 2, rule: 'type', value: '${WORD}', message: 'must be a whole number' }],
    ['out of bounds', '${BIG}', { rule: 'maximum', value: '${BIG}' }],
    ['text in quotes is text', '"80"', { rule: 'type', value: '80' }]
  ]
  for (const [title, value, expected] of rows) {
    const problems = await problemsOf(load(t, `server:\n  port: ${value}\n${small}`, { env: { WORD: 'secret', BIG: '99999' } }))
    t.match(problems, [expected], title)
    t.equal(problems.length, 1, title)
    t.notMatch(JSON.stringify(problems), 'secret', title)
  }
})

t.test('flags outrank the environment, which outranks the file', async (t) => {
  const text = `server: { host: 10.0.0.1, port: 1, workers: 1 }\nadmin: { host: 127.0.0.2, port: 2 }\nlog: { level: warn }\n${small}`
  const env = { HOLDFAST_HOST: '10.0.0.2', HOLDFAST_PORT: '11', HOLDFAST_WORKERS: '2', HOLDFAST_ADMIN_HOST: '127.0.0.3', HOLDFAST_ADMIN_PORT: '12', HOLDFAST_LOG_LEVEL: 'error', HOLDFAST_ADMIN_TOKEN: '1234567890123456' }
  const overrides = { host: '10.0.0.3', port: 0, workers: 3, adminHost: '127.0.0.4', adminPort: 22, logLevel: 'debug' }
  const settings = ({ server, admin, log }: Awaited<ReturnType<typeof loadConfig>>) => [server.host, server.port, server.workers, admin.host, admin.port, log.level, admin.token]

  t.same(settings(await load(t, text)), ['10.0.0.1', 1, 1, '127.0.0.2', 2, 'warn', undefined])
  t.same(settings(await load(t, text, { env })), ['10.0.0.2', 11, 2, '127.0.0.3', 12, 'error', '1234567890123456'])
  t.same(settings(await load(t, text, { env, overrides })), ['10.0.0.3', 0, 3, '127.0.0.4', 22, 'debug', '1234567890123456'])
  t.equal((await load(t, text, { env: { HOLDFAST_PORT: '' } })).server.port, 1, 'an empty variable is not set')
})

t.test('a problem with a setting names the flag or variable', async (t) => {
  const problems = await problemsOf(load(t, `server: { port: 1 }\n${small}`, { env: { HOLDFAST_PORT: 'x', HOLDFAST_ADMIN_TOKEN: 'hunter2' }, overrides: { logLevel: 'inof' } }))

  t.match(problems, [
    { path: '/server/port', source: 'HOLDFAST_PORT', value: 'x' }, { path: '/admin/token', source: 'HOLDFAST_ADMIN_TOKEN' }, { path: '/log/level', source: '--log-level' }])
  t.notMatch(JSON.stringify(problems), 'hunter2')
  t.match(problems.map(problem => problem.line), [undefined, undefined, undefined])
})

t.test('--upstream alone sends everything there', async (t) => {
  const config = await loadConfig({ upstream: 'https://api.example.com', env: {} })
  const based = await loadConfig({ env: { HOLDFAST_UPSTREAM: 'http://127.0.0.1:3000/base/' } })

  t.same(config.upstreams.default?.targets, ['https://api.example.com'])
  t.match(config.routes, [{ name: 'default', match: { path: '/*' }, upstream: 'default', cache: { enabled: true } }])
  t.equal(config.routes.length, 1)
  t.equal(config.routes[0]?.rewrite.addPrefix, undefined)
  t.equal(config.routes[0]?.rateLimit, undefined)
  t.same(based.upstreams.default?.targets, ['http://127.0.0.1:3000'])
  t.equal(based.routes[0]?.rewrite.addPrefix, '/base')
  t.equal((await loadConfig({ upstream: 'http://a', env: { HOLDFAST_UPSTREAM: 'http://b' } })).upstreams.default?.targets[0], 'http://a')
})

t.test('--upstream beside a file gives the upstream called default its target', async (t) => {
  const upstream = 'https://api.example.com/base'
  const rules = await load(t, 'routes: [{ name: all, upstream: default, cache: { heuristic: false } }]\n', { upstream })
  const more = await load(t, 'upstreams: { default: { targets: [http://old], connections: 3 }, other: { targets: [http://b] } }\nroutes: [{ name: a, upstream: default, rewrite: { addPrefix: /own } }, { name: b, upstream: other, match: { path: /b } }]\n', { upstream })
  const cacheOnly = await load(t, 'cache: { maxBytes: 64MiB }\n', { upstream })
  const useless = await problemsOf(load(t, small, { upstream }))

  t.same(rules.upstreams.default?.targets, ['https://api.example.com'])
  t.match(rules.routes, [{ name: 'all', cache: { heuristic: false }, rewrite: { addPrefix: '/base' } }])
  t.match(more.upstreams, { default: { targets: ['https://api.example.com'], connections: 3 }, other: { targets: ['http://b'] } })
  t.same(more.routes.map(route => route.rewrite.addPrefix), ['/base/own', undefined])
  t.match(cacheOnly, { cache: { maxBytes: 64 * 1024 * 1024 }, routes: [{ name: 'default' }] })
  t.match(useless, [{ path: '/routes', source: '--upstream', rule: 'unused-upstream' }])
})

t.test('a URL that is no upstream', async (t) => {
  for (const [url, message] of [
    ['localhost:3000', /must be a URL such as http:\/\/localhost:3000$/], ['ftp://a', /must be a URL/], ['http://', /must be a URL/], ['', /must be a URL/], ['http://a b', /must be a URL/],
    ['http://user:hunter2@a', /must not carry/], ['http://a?b', /query/], ['http://a/#b', /fragment/]
  ] as const) {
    t.match(await problemsOf(loadConfig({ upstream: url, env: {} })), [{ path: '/upstreams/default/targets/0', source: '--upstream', message }], url)
  }
  const error = await loadConfig({ upstream: 'http://user:hunter2@a', env: {} }).catch((error: unknown) => error as Error)
  t.match(error, { message: /http:\/\/\*\*\*@a/ })
  t.same(parseUpstreamUrl('HTTP://A.example:80/x//'), { ok: true, origin: 'http://a.example', path: '/x' })
})

t.test('without file and upstream the report says what is missing', async (t) => {
  t.match(await problemsOf(loadConfig({ env: {} })), [{ path: '/upstreams', rule: 'required' }, { path: '/routes', rule: 'required' }])
})

t.test('files that the configuration names are relative to it, and are read', async (t) => {
  const [mine, other] = await Promise.all([generate([{ name: 'commonName', value: 'a' }]), generate([{ name: 'commonName', value: 'b' }])])
  const directory = t.testdir({ 'mine.pem': mine.cert, 'mine.key': mine.private, 'other.key': other.private, 'junk.pem': 'junk' })
  const tls = (cert: string, key: string) => `server: { tls: { certificates: [{ cert: ${cert}, key: ${key} }] } }\n${small}`
  const withText = async (text: string) => {
    const file = join(directory, 'config.yaml')
    await writeFile(file, text)
    return await loadConfig({ file, env: {} })
  }

  const config = await withText(tls('mine.pem', './mine.key'))
  t.match(config.server.tls?.certificates, [{ cert: join(directory, 'mine.pem'), key: join(directory, 'mine.key') }])

  t.match(await problemsOf(withText(tls('mine.pem', 'other.key'))), [{ path: '/server/tls/certificates/0/key', line: 1, rule: 'matching-key' }])
  t.match(await problemsOf(withText(tls('junk.pem', 'none.key'))), [{ path: '/server/tls/certificates/0/cert', rule: 'pem' }, { path: '/server/tls/certificates/0/key', rule: 'readable-file', message: /no such file/ }])
  t.match(await problemsOf(withText('upstreams: { main: { targets: [https://a], tls: { ca: junk.pem, cert: mine.pem, key: other.key } } }\nroutes: [{ name: all, upstream: main }]\n')),
    [{ path: '/upstreams/main/tls/ca', rule: 'pem' }, { path: '/upstreams/main/tls/key', rule: 'matching-key' }])
})
