/** What can be known of the container files without an engine. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { loadConfig } from '../../src/config/load.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const dockerfile = read('Dockerfile').split('\n').filter(line => !line.startsWith('#') && line !== '')
const compose = parse(read('docker-compose.yml')) as { services: Record<string, { environment?: Record<string, string>, ports?: string[], volumes?: string[], entrypoint?: string[] }> }

/** The source of a built file. */
const sourceOf = (built: string): string => join(root, built.replace(/^dist\//, '').replace(/\.js$/, '.ts'))

t.test('every file that is copied exists and is not ignored', async t => {
  const ignored = read('.dockerignore').split('\n').filter(line => line !== '')
  for (const line of dockerfile.filter(line => line.startsWith('COPY') && !line.includes('--from'))) {
    for (const source of line.split(/\s+/).slice(1, -1)) {
      t.ok(existsSync(join(root, source)), source)
      t.notOk(ignored.includes(source), source)
    }
  }
})

t.test('the image runs the command line without privileges', async t => {
  t.equal(dockerfile.filter(line => line.startsWith('USER')).at(-1), 'USER node')
  const entry = JSON.parse(dockerfile.find(line => line.startsWith('ENTRYPOINT'))?.slice('ENTRYPOINT '.length) as string) as string[]
  t.equal(entry[0], 'node')
  t.ok(existsSync(sourceOf(entry.at(-1) as string)))
  for (const flag of ['--max-semi-space-size=16', '--no-allocation-site-pretenuring', '--no-parallel-scavenge']) t.ok(entry.includes(flag), 'as npm start and the installed command')
  const arguments_ = JSON.parse(dockerfile.find(line => line.startsWith('CMD'))?.slice('CMD '.length) as string) as string[]
  t.ok(existsSync(join(root, arguments_[1] as string)))
  t.ok(dockerfile.some(line => line.startsWith('RUN npm ci')))
})

t.test('ports, tokens and files agree with the configuration', async t => {
  const { proxy, origin, prometheus } = compose.services
  const config = await loadConfig({ file: join(root, 'config/docker.yaml'), env: { HOLDFAST_ADMIN_TOKEN: 'change-me-change-me', ORIGIN: proxy?.environment?.['ORIGIN'] as string } })

  t.match(proxy?.ports?.[0], new RegExp(`:${config.server.port}$`))
  t.same(config.upstreams['origin']?.targets, [`http://origin:${origin?.environment?.['PORT']}`])
  t.ok(existsSync(sourceOf(origin?.entrypoint?.[1] as string)))
  t.match(dockerfile.join('\n'), `http://127.0.0.1:${config.admin.port}/health/live`)
  const scraping = parse(read('docker/prometheus.yml')) as { scrape_configs: Array<{ authorization: { credentials: string }, static_configs: Array<{ targets: string[] }> }> }
  t.same(scraping.scrape_configs[0]?.static_configs[0]?.targets, [`proxy:${config.admin.port}`])
  t.ok(proxy?.environment?.['HOLDFAST_ADMIN_TOKEN']?.includes(scraping.scrape_configs[0]?.authorization.credentials as string))
  t.ok(existsSync(join(root, prometheus?.volumes?.[0]?.split(':')[0] as string)))
})

t.test('the health check tells a live process from none', async t => {
  const command = JSON.parse(/CMD (\[.*\])$/.exec(dockerfile.find(line => line.startsWith('HEALTHCHECK')) as string)?.[1] as string) as string[]
  const server = createServer((request, response) => { response.writeHead(request.url === '/health/live' ? 200 : 404).end() })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  const check = (): Promise<number | null> => new Promise(resolve => {
    spawn(process.execPath, ['-e', (command[2] as string).replace('9090', String(port))]).once('exit', resolve)
  })

  t.equal(await check(), 0)
  server.closeAllConnections()
  await new Promise(resolve => { server.close(resolve) })
  t.equal(await check(), 1)
})
