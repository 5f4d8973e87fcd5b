/** What the documentation shows runs: recipes are started and asked, modules are loaded, tests pass. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { describeRoutes } from '../../src/cli/print-routes.ts'
import { loadConfig } from '../../src/index.ts'
import { readAnswer, type Answer } from '../fixtures/answers.ts'
import { bearer, createSigner, startService } from '../fixtures/auth.ts'
import { startProxy, talk, type ProxySettings } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

const root = join(import.meta.dirname, '../..')
const read = (page: string): string => readFileSync(join(root, page), 'utf8')

function folderFor (t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-docs-'))
  t.teardown(() => { rmSync(folder, { recursive: true }) })
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

interface Written extends ProxySettings { readonly upstreams: Record<string, object>, readonly routes: Array<Record<string, unknown>> }

/** What the page says of the origin server. */
const originSays = ({ text }: { text: string }): string => response('<p>text</p>'.repeat(187), [
  'Content-Type: text/html', 'Server: app', 'X-Powered-By: app', `X-Path: ${text.split(' ')[1]}`,
  ...text.includes('/login') ? ['Set-Cookie: session=1; Domain=backend.internal'] : []
])

/** The lines of a request, with tokens in place of `Bearer subject@tenant`. */
async function octetsOf (method: string, path: string, fields: readonly string[], tokenFor: (subject: string, tenant: string) => Promise<string>): Promise<string> {
  const sent = await Promise.all(fields.map(async line => {
    const [, subject, tenant] = /^Authorization: Bearer (\w+)@(\w+)$/.exec(line) ?? []
    return subject === undefined || tenant === undefined ? line : bearer(await tokenFor(subject, tenant))
  }))
  return [`${method} ${path} HTTP/1.1`, 'Host: example.com', 'Connection: close', ...sent, '', ''].join('\r\n')
}

t.test('every recipe does what the page says that it does', async t => {
  const page = read('docs/recipes.md')
  const recipes = page.split(/^## /m).slice(1).map(section => ({
    title: section.split('\n', 1)[0] as string,
    configurations: [...section.matchAll(/```yaml\n([^]*?)```/g)].map(([, yaml = '']) => yaml),
    expectations: [...section.matchAll(/```text\n([^]*?)```/g)].map(([, text = '']) => text)
  }))
  t.ok(recipes.length >= 6)
  const signer = createSigner('k')
  for (const { title, configurations: [yaml = '', ...moreYaml], expectations: [expectations = '', ...moreText] } of recipes) {
    await t.test(title, async t => {
      t.same([moreYaml, moreText], [[], []], 'one configuration, and what to expect of it')
      const origin = await startRawOrigin(t, originSays)
      const login = await startService(t, (_request, answer) => { answer.end(JSON.stringify({ keys: [signer.jwk] })) })
      const { upstreams, routes, ...settings } = parse(yaml.replaceAll('https://login.example.com/jwks.json', login.url)) as Written
      const here = Object.fromEntries(Object.entries(upstreams).map(([name, upstream]) => [name, { ...upstream, targets: [origin.url] }]))
      let now = Date.now()
      const proxy = await startProxy(t, null, { ...settings, upstreams: here, routes, holdfast: { now: () => now } })
      const [, audience = ''] = /audience: (\w+)/.exec(yaml) ?? []
      const tokenFor = (sub: string, tenant: string): Promise<string> => signer.sign({ sub, tenant, iss: 'https://login.example.com/', aud: audience, exp: Math.floor(now / 1000) + 3600 })

      for (const line of expectations.trimEnd().split('\n')) {
        const [, seconds] = /^after (\d+) seconds$/.exec(line) ?? []
        if (seconds !== undefined) {
          now += Number(seconds) * 1000
          continue
        }
        const [, method = '', path = '', fields = '', status, said = ''] = /^([A-Z]+) +(\S+) *(.*?) *-> (\d{3}) *(.*)$/.exec(line) ?? []
        const octets = await octetsOf(method, path, fields.split(/ {2,}/).filter(field => field !== ''), tokenFor)
        const answer = readAnswer(await talk(proxy.port, octets))
        t.equal(answer.status, Number(status), line)
        for (const expected of said.split(/ {2,}/).filter(text => text !== '')) checkSaid(t, answer, expected, line)
      }
    })
  }
})

/** `Name: part of the value`, `no Name`, or what `Cache-Status` has. */
function checkSaid (t: Test, { fields }: Answer, expected: string, line: string): void {
  const [, absent] = /^no ([\w-]+)$/.exec(expected) ?? []
  const [, name, value = ''] = /^([\w-]+): (.+)$/.exec(expected) ?? []
  if (absent !== undefined) t.equal(fields[absent.toLowerCase()], undefined, line)
  else if (name === undefined) t.ok((fields['cache-status'] ?? '').split('; ').includes(expected), `${line}, not: ${fields['cache-status']}`)
  else t.ok((fields[name.toLowerCase()] ?? '').includes(value), `${line}, not: ${fields[name.toLowerCase()]}`)
}

t.test('every module in docs/extending.md loads, and the test in it passes', async t => {
  const folder = folderFor(t)
  const blocks = [...read('docs/extending.md').matchAll(/```ts\n([^]*?)```/g)].map(([, text = '']) => text)
  const modules = blocks.filter(text => text.includes('export default'))
  const tests = blocks.filter(text => text.includes('assert.'))
  t.equal(modules.length + tests.length, blocks.length)
  const names = modules.map(text => /export default async function (\w+)/.exec(text)?.[1] ?? '')
  modules.forEach((text, index) => { writeFileSync(join(folder, `${names[index]}.ts`), text) })

  const files = names.map(name => `./${name}.ts`)
  writeFileSync(join(folder, 'all.yaml'), JSON.stringify({ extensions: files, upstreams: { a: { targets: ['http://127.0.0.1:1'] } }, routes: [{ name: 'a', upstream: 'a', extensions: Object.fromEntries(names.map(name => [name, true])) }] }))
  const chain = await describeRoutes(await loadConfig({ file: join(folder, 'all.yaml'), env: {} }))
  for (const name of names) t.match(chain, new RegExp(`\\b${name}\\b.*${name}\\.ts`))

  for (const [index, text] of tests.entries()) {
    const file = join(folder, `test-${index}.ts`)
    writeFileSync(file, text.replace("'holdfast'", `'${pathToFileURL(join(root, 'src/index.ts')).href}'`))
    await promisify(execFile)(process.execPath, [file])
    t.pass(`test ${index}`)
  }
})

t.test('the configuration of docs/extending.md, and the one of all examples, load with their modules', async t => {
  const folder = folderFor(t)
  writeFileSync(join(folder, 'greet.ts'), /```ts\n(\/\/ greet\.ts[^]*?)```/.exec(read('docs/extending.md'))?.[1] ?? '')
  const [, own = ''] = /```yaml\n([^]*?)```/.exec(read('docs/extending.md')) ?? []
  writeFileSync(join(folder, 'own.yaml'), own)
  t.equal((await loadConfig({ file: join(folder, 'own.yaml'), env: {} })).routes.length, 1)

  const [, examples = ''] = /```yaml\n([^]*?)```/.exec(read('examples/README.md')) ?? []
  writeFileSync(join(folder, 'examples.yaml'), examples.replaceAll(/\.\/([a-z-]+\.ts)/g, join(root, 'examples/$1')))
  t.equal((await loadConfig({ file: join(folder, 'examples.yaml'), env: {} })).routes.length, 5)
})
