/** Extensions that a configuration names: found, loaded, checked with everything else, and shown in the chain. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { spawn } from 'node:child_process'
import t, { type Test } from 'tap'
import { runCheck } from '../../src/cli/check.ts'
import { describeRoutes } from '../../src/cli/print-routes.ts'
import { loadConfig, ConfigError } from '../../src/index.ts'
import { createProxyListener } from '../../src/server/listener.ts'
import { createAuthority } from '../fixtures/auth.ts'
import { get, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const root = join(import.meta.dirname, '../..')

/** A folder with these files; the configuration is `holdfast.yaml`. */
function folderOf (t: Test, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-extensions-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  for (const [name, text] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const yaml = (extensions: string, route: string, origin = 'http://127.0.0.1:1'): string => `extensions: ${extensions}
upstreams: { main: { targets: [${origin}] } }
routes:
  - name: all
    upstream: main
    extensions: ${route}
`

async function problemsOf (folder: string): Promise<string> {
  const file = join(folder, 'holdfast.yaml')
  try {
    await loadConfig({ file, env: {} })
    return ''
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.replaceAll(`${folder}/`, '')
  }
}

const greeting = `
export const optionsSchema = { type: 'object', properties: { text: { type: 'string', default: 'hello' }, count: { type: 'integer', minimum: 1 } } }
export default async function (app: any): Promise<void> {
  app.addFilter('preHandler', (context: any, options: { text: string }) => { context.setField('x-greeting', options.text) })
}
`

t.test('modules in TypeScript and JavaScript, and packages of both kinds, are loaded by their names and act in their order', async t => {
  const origin = await startRawOrigin(t, () => response())
  const mark = (name: string) => `(app) => { app.addFilter('preHandler', context => { context.setField('x-order', (context.request.headers['x-order'] ?? '') + '${name}') }) }`
  const folder = folderOf(t, {
    'filters/greet.ts': greeting,
    'plain.mjs': `export const name = 'named'\nexport default async ${mark('b')}`,
    'node_modules/holdfast-old/package.json': '{"main":"main.cjs"}',
    'node_modules/holdfast-old/main.cjs': `module.exports = ${mark('a')}`,
    'node_modules/@team/new/package.json': '{"type":"module","exports":{".":{"import":"./lib/new.js"}}}',
    'node_modules/@team/new/lib/new.js': `export default ${mark('c')}`,
    'holdfast.yaml': yaml('[holdfast-old, { file: ./filters/greet.ts, timeout: 1s }, ./plain.mjs, "@team/new"]', '{ "@team/new": true, named: true, greet: { text: hi }, holdfast-old: true }', origin.url)
  })

  const listener = await createProxyListener({ config: await loadConfig({ file: join(folder, 'holdfast.yaml'), env: {} }), logger: undefined, tls: null })
  t.teardown(() => listener.app.close())
  await listener.app.listen({ host: '127.0.0.1', port: 0 })
  await talk((listener.app.server.address() as { port: number }).port, get('/'))

  t.match(origin.requests[0], /\r\nx-order: abc\r\n/)
  t.match(origin.requests[0], /\r\nx-greeting: hi\r\n/)
})

t.test('options of a route are told like ours: line, place, value, rule, and what was probably meant', async t => {
  const folder = folderOf(t, { 'greet.ts': greeting, 'holdfast.yaml': yaml('[./greet.ts]', '\n      greet: { text: 5, cuont: 1, count: 0 }\n      great: true') })

  t.equal(await problemsOf(folder), [
    'holdfast.yaml:7  /routes/0/extensions/greet/text  must be text (type; got 5)',
    'holdfast.yaml:7  /routes/0/extensions/greet/cuont  unknown option; did you mean "count"? (unknown-option)',
    'holdfast.yaml:7  /routes/0/extensions/greet/count  must be at least 1 (minimum; got 0)',
    'holdfast.yaml:8  /routes/0/extensions/great  is no extension that is loaded (greet); did you mean "greet"? (known-extension)'
  ].join('\n'))
})

t.test('a module that cannot be used is told with its line and the reason', async t => {
  const cases: ReadonlyArray<readonly [title: string, text: string | null, said: RegExp]> = [
    ['missing', null, /^holdfast\.yaml:1 {2}\/extensions\/0 {2}cannot be loaded: there is no such file \(readable-file; got ".*filter\.ts"\)$/],
    ['throws', 'throw new Error("no database")', /cannot be loaded: Error: no database \(extension/],
    ['does not parse', 'export default function (', /cannot be loaded: SyntaxError|cannot be loaded: Error/],
    ['needs what is not there', 'import "./other.ts"\nexport default () => {}', /cannot be loaded: Error: Cannot find module/],
    ['has no default', 'export const a = 1', /must export a Fastify plugin, a function, as its default/],
    ['exports no function', 'export default { onRequest () {} }', /must export a Fastify plugin/],
    ['is called by no name', 'export const name = "a b"\nexport default () => {}', /must have a name of 1 to 64 letters/],
    ['has a schema with what is not understood', 'export const optionsSchema = { type: "object", properties: { a: { type: "string", format: "uri" } } }\nexport default () => {}', /has a schema that cannot be used: optionsSchema\/properties\/a has the keyword format, which is not understood/],
    ['has a schema of no object', 'export const optionsSchema = { type: "string" }\nexport default () => {}', /optionsSchema must be of type object/],
    ['has a schema without type', 'export const optionsSchema = { type: "object", properties: { a: {} } }\nexport default () => {}', /optionsSchema\/properties\/a must have one type of/],
    ['has a pattern that is none', 'export const optionsSchema = { type: "object", properties: { a: { type: "string", pattern: "(" } } }\nexport default () => {}', /has a schema that cannot be used: Invalid regular expression/]
  ]
  for (const [title, text, said] of cases) {
    await t.test(title, async t => {
      const folder = folderOf(t, { ...text !== null && { 'filter.ts': text }, 'holdfast.yaml': yaml('[./filter.ts]', '{}') })
      t.match(await problemsOf(folder), said)
    })
  }
  t.match(await problemsOf(folderOf(t, { 'holdfast.yaml': yaml('[holdfast-nowhere]', '{}') })), /there is no such package/)
  t.match(await problemsOf(folderOf(t, { 'a.ts': 'export default () => {}', 'holdfast.yaml': yaml('[./a.ts, { file: ./a.ts }]', '{}') })), /\/extensions\/1\/file {2}is called as another extension is/)
  t.match(await problemsOf(folderOf(t, { 'a.ts': 'export default () => {}', 'holdfast.yaml': yaml('[{ file: ./a.ts, optoins: {} }]', '{}') })), /unknown option; did you mean "options"/)
})

t.test('options of an extension as a whole are checked where it says their form, and handed to its plugin', async t => {
  const plugin = 'export const pluginOptionsSchema = { type: "object", required: ["file"], properties: { file: { type: "string" }, size: { type: "integer", default: 3 } } }\nexport default async (app, options) => { globalThis.handedOn = options }'
  t.match(await problemsOf(folderOf(t, { 'a.mjs': plugin, 'holdfast.yaml': yaml('[{ file: ./a.mjs, options: { size: x } }]', '{}') })), /\/extensions\/0\/options\/size {2}must be a whole number[^]*\/extensions\/0\/options\/file {2}is missing/)

  const file = join(folderOf(t, { 'a.mjs': plugin, 'holdfast.yaml': yaml('[{ file: ./a.mjs, options: { file: x } }]', '{}') }), 'holdfast.yaml')
  await describeRoutes(await loadConfig({ file, env: {} }))
  t.same((globalThis as unknown as { handedOn: object }).handedOn, { file: 'x', size: 3 })
})

t.test('`holdfast check` loads extensions and says what is wrong with their options', async t => {
  const folder = folderOf(t, { 'greet.ts': greeting, 'holdfast.yaml': yaml('[./greet.ts]', '{ greet: { texts: a } }') })
  let output = ''

  t.equal(await runCheck({ file: join(folder, 'holdfast.yaml'), env: {} }, { write: text => { output += text } }), 1)

  t.match(output, /\/routes\/0\/extensions\/greet\/texts {2}unknown option; did you mean "text"\?/)
})

t.test('the chain tells each phase in order with the file that a filter comes from, routes with the same one together', async t => {
  const folder = folderOf(t, {
    'greet.ts': greeting + '\nexport const name = "greet"',
    'hook.ts': 'export default async (app: any) => { app.addHook("onRequest", async () => {}); app.addHook("onSend", async () => {}); app.addFilter("beforeStoring", () => {}); app.addFilter("onEnd", () => {}) }',
    'holdfast.yaml': `extensions: [./greet.ts, ./hook.ts]
upstreams: { main: { targets: [http://127.0.0.1:1] } }
cache: { snapshot: { file: ./kept.snapshot } }
routes:
  - { name: a, upstream: main, match: { path: /a }, rateLimit: {}, auth: { bearer: { tokens: ['sha256:${'0'.repeat(64)}'] } }, purge: { allow: [] }, response: { setFields: { x: y } }, extensions: { hook: true, greet: true } }
  - { name: b, upstream: main, match: { path: /b } }
  - { name: c, upstream: main, match: { path: /c } }
`
  })

  const text = await describeRoutes(await loadConfig({ file: join(folder, 'holdfast.yaml'), env: {} }))

  t.match(text, /^HOST +PATH/)
  const rows = text.slice(text.indexOf('\n\n') + 2).trimEnd().split('\n').map(line => line.trim().replaceAll(`${folder}/`, '').split(/ {2,}/))
  const everyRoute = (phase: string) => [phase, 'hook (every route)', 'hook.ts']
  t.same(rows, [
    ['a:'],
    ['onRequest', 'message-checks', 'plugins/message-checks.ts'],
    ['onRequest', 'request-context', 'plugins/request-context.ts'],
    everyRoute('onRequest'),
    ['onRequest', 'rate-limit', 'plugins/rate-limit.ts'],
    ['onRequest', 'auth', 'plugins/auth.ts'],
    ['onRequest', 'auth bearer', 'src/auth/secrets.ts'],
    ['preHandler', 'greet', 'greet.ts'],
    ['preHandler', 'purge', 'plugins/purge.ts'],
    ['preHandler', 'rewrite', 'plugins/rewrite.ts'],
    ['preHandler', 'cache', 'plugins/cache.ts'],
    ['handler', 'forward', 'plugins/forward.ts'],
    ['beforeStoring', 'response-fields', 'src/forward/response-fields.ts'],
    ['beforeStoring', 'hook', 'hook.ts'],
    ['onEnd', 'hook', 'hook.ts'],
    ['onEnd', 'metrics', 'plugins/metrics.ts'],
    everyRoute('onSend'),
    [''],
    ['b, c:'],
    ['onRequest', 'message-checks', 'plugins/message-checks.ts'],
    ['onRequest', 'request-context', 'plugins/request-context.ts'],
    everyRoute('onRequest'),
    ['preHandler', 'rewrite', 'plugins/rewrite.ts'],
    ['preHandler', 'cache', 'plugins/cache.ts'],
    ['handler', 'forward', 'plugins/forward.ts'],
    ['onEnd', 'metrics', 'plugins/metrics.ts'],
    everyRoute('onSend')
  ])
  for (const [, , file] of rows) if (file?.includes('/') === true) t.ok(existsSync(join(root, file)), file)
  t.notOk(existsSync(join(folder, 'kept.snapshot')), 'looking writes no snapshot')
})

t.test('the chain tells every built-in filter in the place where it acts, whether its options are the route\'s or for all routes', async t => {
  const token = `sha256:${'0'.repeat(64)}`
  const authority = await createAuthority('authority')
  const own = await authority.issue('proxy')
  const folder = folderOf(t, {
    'page.html': '<p>{{status}}</p>',
    'mark.ts': `export default async (app: any) => {
  for (const phase of ['onRequest', 'preHandler', 'beforeStoring', 'beforeSending', 'onEnd']) app.addFilter(phase, () => {})
  for (const moment of ['beforeStoring', 'beforeSending']) app.transformResponse({ name: moment, moment, when: () => true, maxBytes: 10, whole: (content: unknown) => content })
}`,
    'ca.pem': authority.cert,
    'own.pem': own.cert,
    'own.key': own.key,
    'holdfast.yaml': `extensions: [./mark.ts]
upstreams: { main: { targets: [http://127.0.0.1:1] } }
access: { hosts: [a.example] }
rateLimit: { max: 9 }
routes:
  - name: all
    upstream: main
    cors: { origins: ['*'] }
    rateLimit: [{ max: 5, hits: 0 }, { max: 4, key: identity }]
    auth:
      all: [{ apiKeys: { keys: [${token}] }, clientCertificate: {} }, { bearer: { tokens: [${token}] } }]
    purge: { allow: [] }
    rewrite: { methodOverride: {} }
    extensions: { mark: true }
    transforms: [beforeSending, beforeStoring]
    response:
      security: {}
      rules: [{ when: { cache: hit }, set: { x-a: b }, ownErrors: true }]
      errorPages: [{ status: [404], file: ./page.html, onlyOwn: false }]
      compression: { enabled: true }
  - { name: hits, upstream: main, match: { path: /hits }, rateLimit: { hits: 0 }, response: { compression: { enabled: true }, location: { paths: true } } }
server: { tls: { certificates: [{ cert: ./own.pem, key: ./own.key }], clientCertificates: { ca: ./ca.pem } } }
`
  })

  const text = await describeRoutes(await loadConfig({ file: join(folder, 'holdfast.yaml'), env: {} }))

  const [, all = [], hits = []] = text.split('\n\n').map(group => group.trim().split('\n').slice(1).map(line => line.trim().replace(`${folder}/`, '').split(/ {2,}/)))
  t.same(all.map(([phase, filter]) => `${phase} ${filter}`), [
    'onRequest message-checks', 'onRequest request-context', 'onRequest method-override', 'onRequest access', 'onRequest cors', 'onRequest mark', 'onRequest rate-limit',
    'onRequest auth', 'onRequest auth client-certificate', 'onRequest auth api-key', 'onRequest auth bearer', 'onRequest rate-limit-identity',
    'preHandler mark', 'preHandler purge', 'preHandler rewrite', 'preHandler transforms', 'preHandler cache', 'handler forward',
    'beforeStoring response-fields', 'beforeStoring mark', 'beforeStoring transforms',
    'beforeSending transforms', 'beforeSending compression', 'beforeSending error-pages', 'beforeSending response-rules', 'beforeSending mark',
    'ownErrors error-pages', 'ownErrors response-rules', 'onEnd mark', 'onEnd metrics'
  ])
  t.same(hits.map(([phase, filter]) => `${phase} ${filter}`), [
    'onRequest message-checks', 'onRequest request-context', 'onRequest access', 'onRequest rate-limit',
    'preHandler rewrite', 'preHandler transforms', 'preHandler cache', 'preHandler rate-limit-forwarded', 'handler forward',
    'beforeStoring response-fields', 'beforeStoring compression', 'onEnd metrics'
  ])
  for (const [, , file = ''] of [...all, ...hits]) t.ok(existsSync(join(root, file)) || existsSync(join(folder, file)), file)
})

t.test('as processes: each worker loads the extensions, the admin listener shows the chain, a changed list needs a restart', async t => {
  const origin = await startRawOrigin(t, () => response())
  const folder = folderOf(t, { 'greet.ts': greeting, 'holdfast.yaml': yaml('[./greet.ts]', '{ greet: { text: first } }', origin.url) })
  const file = join(folder, 'holdfast.yaml')
  const child = spawn(process.execPath, [join(root, 'src/server.ts'), '--config', file, '--host', '127.0.0.1', '--port', '0', '--admin-port', '0', '--workers', '2'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise(resolve => { child.once('close', resolve) })
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let out = ''
  child.stdout.on('data', chunk => { out += chunk })
  const url = (role: string): string => /"url":"([^"]+)"/.exec(out.split('\n').find(line => line.includes('"msg":"listening"') && line.includes(`"role":"${role}"`)) ?? '')?.[1] ?? ''
  await until(() => url('proxy') !== '' && url('admin') !== '')
  const asked = async (): Promise<string> => {
    await (await fetch(url('proxy'))).text()
    return /x-greeting: (\S+)/.exec(origin.requests.at(-1) ?? '')?.[1] ?? ''
  }
  const ready = async (): Promise<boolean> => (await fetch(`${url('admin')}/health/ready`)).status === 200
  while (!await ready()) await new Promise(resolve => { setTimeout(resolve, 20) })

  t.equal(await asked(), 'first')
  t.match(await (await fetch(`${url('admin')}/routes`)).text(), /preHandler +greet +\/\S+\/greet\.ts/)

  writeFileSync(file, yaml('[./greet.ts]', '{ greet: { text: second } }', origin.url))
  t.match(await (await fetch(`${url('admin')}/reload`, { method: 'POST' })).json(), { changed: ['routes/all'], needsRestart: [] })
  t.equal(await asked(), 'second')

  writeFileSync(file, yaml('[./greet.ts]', '{ greet: { text: 3 } }', origin.url))
  const refused = await fetch(`${url('admin')}/reload`, { method: 'POST' })
  t.equal(refused.status, 422)
  t.match(await refused.json(), { error: { problems: [{ path: '/routes/0/extensions/greet/text' }] } })

  writeFileSync(join(folder, 'other.ts'), greeting)
  writeFileSync(file, yaml('[./greet.ts, ./other.ts]', '{ greet: { text: third } }', origin.url))
  t.match(await (await fetch(`${url('admin')}/reload`, { method: 'POST' })).json(), { changed: ['routes/all'], needsRestart: ['extensions'] })
  t.equal(await asked(), 'third')
})
