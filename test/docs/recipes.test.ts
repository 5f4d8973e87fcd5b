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
import { startProxy, talk } from '../fixtures/proxy.ts'
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

interface Written { readonly upstreams: Record<string, object>, readonly routes: object[], readonly cache?: Record<string, unknown> }

t.test('every recipe does what the page says that it does', async t => {
  const recipes = [...read('docs/recipes.md').matchAll(/## (.+)\n[^]*?```yaml\n([^]*?)```\n\n```text\n([^]*?)```/g)]
  t.ok(recipes.length >= 5)
  t.equal(recipes.length, [...read('docs/recipes.md').matchAll(/```yaml/g)].length, 'none is without what to expect of it')
  for (const [, title = '', yaml = '', expectations = ''] of recipes) {
    await t.test(title, async t => {
      const origin = await startRawOrigin(t, () => response('body'))
      const { upstreams, routes, cache } = parse(yaml) as Written
      const here = Object.fromEntries(Object.entries(upstreams).map(([name, upstream]) => [name, { ...upstream, targets: [origin.url] }]))
      const proxy = await startProxy(t, null, { upstreams: here, routes: routes as Array<Record<string, unknown>>, ...cache !== undefined && { cache } })

      for (const line of expectations.trimEnd().split('\n')) {
        const [, method, path, fields = '', status, said = ''] = /^([A-Z]+) (\S+) *(.*?) *-> (\d{3}) ?(.*)$/.exec(line) ?? []
        const answer = await talk(proxy.port, [`${method} ${path} HTTP/1.1`, 'Host: example.com', 'Connection: close', ...fields === '' ? [] : [fields], '', ''].join('\r\n'))
        t.equal(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1], status, line)
        t.ok((/\r\ncache-status: ([^\r]*)/i.exec(answer)?.[1] ?? '').includes(said), line)
      }
    })
  }
})

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
  t.equal((await loadConfig({ file: join(folder, 'examples.yaml'), env: {} })).routes.length, 4)
})
