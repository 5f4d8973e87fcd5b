/**
 * `npm run bench:filters`: what each built-in filter costs a hit, in processor time of the server.
 *
 * A proxy for each filter, and one without any, in a process of its own; rounds of `REQUESTS` (20000) are interleaved, `ROUNDS`
 * (7) of them; medians and the ratio to none. Processor time is read from /proc (Linux only): it says the same where other work
 * takes turns on the core, which requests per second do not.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { Writable, type Readable } from 'node:stream'
import { hash } from '@node-rs/argon2'
import pino from 'pino'
import { resolveConfig } from '../src/config/load.ts'
import { createProxyListener } from '../src/server/listener.ts'

const rounds = Number(process.env['ROUNDS'] ?? 7)
const requests = Number(process.env['REQUESTS'] ?? 20_000)
const sha256 = `sha256:${createHash('sha256').update('secret').digest('hex')}`
const basic = { authorization: `Basic ${Buffer.from('user:secret').toString('base64')}` }
const page = 'It is a truth universally acknowledged. '.repeat(26)

interface Subject { readonly route: object, readonly fields?: Readonly<Record<string, string>> }

const subjects: Readonly<Record<string, () => Subject | Promise<Subject>>> = {
  none: () => ({ route: {} }),
  'rate limit': () => ({ route: { rateLimit: { max: 1e9 } } }),
  'rate limits, three': () => ({ route: { rateLimit: [{ max: 1e9 }, { max: 1e9, window: '1h' }, { name: 'bursts', max: 1e9, burst: 1e6 }] } }),
  'access lists': () => ({ route: { access: { deny: ['192.0.2.0/24'], methods: ['GET'] } } }),
  cors: () => ({ route: { cors: { origins: ['https://a.test'] } }, fields: { origin: 'https://a.test' } }),
  'api key': () => ({ route: { auth: { shared: true, apiKeys: { keys: [sha256] } } }, fields: { 'x-api-key': 'secret' } }),
  'bearer token': () => ({ route: { auth: { shared: true, bearer: { tokens: [sha256] } } }, fields: { authorization: 'Bearer secret' } }),
  'password, remembered': async () => ({ route: { auth: { shared: true, basic: { users: { user: await hash('secret') } } } }, fields: basic }),
  'path rewriting': () => ({ route: { rewrite: { stripPrefix: '/a', addPrefix: '/b' } } }),
  'request fields': () => ({ route: { rewrite: { setFields: { 'x-client': '{client.ip}' } } } }),
  'response fields, before storing': () => ({ route: { response: { setFields: { 'x-frame-options': 'DENY' }, security: {} } } }),
  'response fields, before sending': () => ({ route: { response: { rules: [{ when: { cache: 'hit' }, set: { 'x-cache': 'HIT' } }] } } }),
  compression: () => ({ route: { response: { compression: { enabled: true, minBytes: 100 } } }, fields: { 'accept-encoding': 'gzip, br' } })
}

/** The proxy of a subject, in this process; prints its port. */
async function serve (name: string, origin: string): Promise<void> {
  const { route } = await (subjects[name] as () => Subject | Promise<Subject>)()
  const config = resolveConfig({ server: { limits: { requestsPerConnection: 0 } }, upstreams: { origin: { targets: [origin] } }, routes: [{ name: 'all', upstream: 'origin', ...route }] })
  // Lines are made and thrown away: the disk is not what is measured.
  const logger = pino({}, new Writable({ write: (_chunk, _encoding, done) => { done() } }))
  const { app } = await createProxyListener({ config, logger: logger as never, tls: null })
  await app.listen({ port: 0, host: '127.0.0.1' })
  process.stdout.write(`${(app.server.address() as AddressInfo).port}\n`)
}

const pinned = cpus().length > 1 && spawnSync('taskset', ['-V']).status === 0
const onCore = (core: number, args: readonly string[]): readonly [string, string[]] =>
  pinned ? ['taskset', ['-c', String(core), process.execPath, ...args]] : [process.execPath, [...args]]

async function start (name: string, origin: string): Promise<{ readonly child: ChildProcess, readonly url: string }> {
  const [command, args] = onCore(0, [import.meta.filename, 'serve', name, origin])
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const failed = once(child, 'exit').then(() => { throw new Error(`${name} did not start`) })
  const [port] = await Promise.race([once(child.stdout as Readable, 'data'), failed]) as [Buffer]
  failed.catch(() => {})
  return { child, url: `http://127.0.0.1:${port.toString().trim()}/a/page` }
}

/** Without waiting for it in this process, whose origin has to answer. */
async function load (url: string, count: number, fields: Readonly<Record<string, string>>): Promise<void> {
  const cannon = join(import.meta.dirname, '../node_modules/autocannon/autocannon.js')
  const [command, args] = onCore(1, [cannon, '-j', '-c', '64', '-a', String(count), ...Object.entries(fields).flatMap(([name, value]) => ['-H', `${name}: ${value}`]), url])
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  let text = ''
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) text += chunk.toString()
  const { non2xx, errors } = JSON.parse(text) as { non2xx: number, errors: number }
  if (non2xx + errors > 0) throw new Error(`${url}: ${non2xx} answers were not 2xx, ${errors} errors`)
}

/** User and system time in microseconds; the kernel counts in hundredths of a second. */
function processorTime (pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number

async function compare (): Promise<void> {
  const origin = createServer((_request, response) => { response.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'public, max-age=3600', 'content-length': page.length }).end(page) })
  await new Promise<void>(resolve => { origin.listen(0, '127.0.0.1', resolve) })
  const running = new Map<string, { child: ChildProcess, url: string, fields: Readonly<Record<string, string>>, costs: number[] }>()
  try {
    for (const name of Object.keys(subjects)) {
      const { child, url } = await start(name, `http://127.0.0.1:${(origin.address() as AddressInfo).port}`)
      const { fields = {} } = await (subjects[name] as () => Subject | Promise<Subject>)()
      running.set(name, { child, url, fields, costs: [] })
      // At once: one answer is stored, for which the others wait.
      await load(url, 64, fields)
      await load(url, 5000, fields)
    }
    for (let round = 0; round < rounds; round++) {
      for (const { child, url, fields, costs } of running.values()) {
        const before = processorTime(child.pid as number)
        await load(url, requests, fields)
        costs.push((processorTime(child.pid as number) - before) / requests)
      }
    }
  } finally {
    for (const { child } of running.values()) child.kill()
    origin.close()
  }
  process.stdout.write(`Node ${process.version}, ${cpus()[0]?.model} x ${cpus().length}, ${pinned ? 'pinned' : 'not pinned'}, 64 connections, ${rounds} rounds of ${requests} hits of 1 KiB\n\n`)
  process.stdout.write('| filter | microseconds a hit | ratio | spread |\n|---|---|---|---|\n')
  const none = median(running.get('none')?.costs ?? [])
  for (const [name, { costs }] of running) {
    process.stdout.write(`| ${name} | ${median(costs).toFixed(1)} | ${(median(costs) / none).toFixed(2)} | ${Math.min(...costs).toFixed(1)}-${Math.max(...costs).toFixed(1)} |\n`)
  }
}

const [mode, name = '', origin = ''] = process.argv.slice(2)
if (mode === 'serve') await serve(name, origin)
else await compare()
