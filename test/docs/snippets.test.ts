import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { resolveConfig } from '../../src/config/load.ts'
import { reasons } from '../../src/cache/reasons.ts'

const root = join(import.meta.dirname, '../..')
const pages = ['README.md', 'examples/README.md', ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`)]
const minimal = { upstreams: { shop: { targets: ['http://127.0.0.1:3000'] } }, routes: [{ name: 'all', upstream: 'shop' }] }

t.test('every configuration in the documentation validates', async t => {
  let found = 0
  for (const page of pages) {
    for (const [, text = ''] of readFileSync(join(root, page), 'utf8').matchAll(/```yaml\n([^]*?)```/g)) {
      const written = parse(text) as object | null
      if (written === null) continue
      found++
      const config = text.startsWith('# partial') ? { ...minimal, ...written } : written
      t.doesNotThrow(() => resolveConfig(config), page)
    }
  }
  t.ok(found >= 2)
})

t.test('every link between pages leads somewhere', async t => {
  for (const page of pages) {
    for (const [, link = ''] of readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)#:]+)\)/g)) {
      t.doesNotThrow(() => readFileSync(join(root, page, '..', link)), `${page} -> ${link}`)
    }
  }
})

t.test('every reason is explained', async t => {
  const text = readFileSync(join(root, 'docs/caching.md'), 'utf8')
  for (const [word, { sentence, source }] of Object.entries(reasons)) t.ok(text.includes(`| \`${word}\` | ${sentence} | ${source} |\n`), word)
})
