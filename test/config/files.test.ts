/* eslint-disable no-template-curly-in-string -- these are what an operator writes */
import { readdir, readFile } from 'node:fs/promises'
import t from 'tap'
import Schema from 'typebox/schema'
import { parse } from 'yaml'
import { formatJsonSchema } from '../../src/config/json-schema.ts'
import { loadConfig } from '../../src/config/load.ts'
import { formatReference } from '../../src/config/reference.ts'

const root = new URL('../../', import.meta.url)
const text = async (path: string) => await readFile(new URL(path, root), 'utf8')

/** Variables that a file in `config/` may ask for without a default, and whether it wants `--upstream`. */
const env = { HOLDFAST_ADMIN_TOKEN: '0123456789abcdef' }

t.test('what is made from the schema is current (npm run schema)', async (t) => {
  t.equal(await text('config/holdfast.schema.json'), formatJsonSchema())
  t.equal(await text('docs/configuration.md'), formatReference())
})

t.test('every file in config/ is valid, for us and for an editor', async (t) => {
  const schema = JSON.parse(formatJsonSchema())
  const files = (await readdir(new URL('config', root))).filter(name => /\.(yaml|yml|json)$/.test(name) && name !== 'holdfast.schema.json')
  t.ok(files.includes('example.yaml'))

  for (const name of files) {
    const path = `config/${name}`
    const written = parse(await text(path))
    const needsUpstream = written.upstreams === undefined
    await t.resolves(loadConfig({ file: new URL(path, root).pathname, env, ...needsUpstream && { upstream: 'http://127.0.0.1:3000' } }), path)
    t.same(Schema.Errors(schema, written)[1], [], path)
  }
})

t.test('the schema for editors takes what may be written, and nothing else', async (t) => {
  const schema = JSON.parse(formatJsonSchema())
  const upstreams = { main: { targets: ['http://a', { url: '${URL}', weight: '${W:-2}' }] } }
  const rows: Array<[title: string, value: unknown, valid: boolean]> = [
    ['nothing', {}, true],
    ['defaults left out', { upstreams, routes: [{ name: 'a', upstream: 'main', cache: { ttl: [{ status: [200], ttl: '1m' }] } }] }, true],
    ['a reference to itself', { $schema: './holdfast.schema.json' }, true],
    ['values from the environment', { server: { port: '${PORT}', drainTimeout: '${D:-1s}', mergeSlashes: '${M}' }, log: { level: '${L}' }, upstreams }, true],
    ['an unknown option', { server: { prot: 1 } }, false],
    ['text for a number', { server: { port: '80' } }, false],
    ['a missing name', { routes: [{ upstream: 'main' }] }, false],
    ['a wrong word', { log: { level: 'loud' } }, false],
    ['a wrong duration', { server: { drainTimeout: 'soon' } }, false]
  ]
  for (const [title, value, valid] of rows) t.equal(Schema.Check(schema, value), valid, title)
})

t.test('the example says what the route table then shows', async (t) => {
  const config = await loadConfig({ file: new URL('config/example.yaml', root).pathname, env: { SAMPLE_ORIGIN_PORT: '4000' } })

  t.match(config.upstreams.site?.targets, ['http://127.0.0.1:4000'])
  t.match(config.routes.find(route => route.name === 'api'), { rewrite: { stripPrefix: '/api' }, rateLimit: [{ max: 300 }, { key: 'identity' }], upstream: 'api' })
  t.equal(config.routes.find(route => route.name === 'events')?.betweenBytes, 0)
})
