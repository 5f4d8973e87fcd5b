/**
 * `npm run bench`: hits against a Fastify hello-world, misses against bare reply-from, in one run.
 *
 * Servers are on one core and the load generator (autocannon) on another where `taskset` is there to pin them; rounds are
 * interleaved; medians and the ratio to the yardstick are printed. `ROUNDS` (5) and `SECONDS` (4) say how long.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { cpus } from 'node:os'
import { join } from 'node:path'

const rounds = Number(process.env['ROUNDS'] ?? 5)
const seconds = Number(process.env['SECONDS'] ?? 4)
const connections = 64
const pinned = cpus().length > 1 && spawnSync('taskset', ['-V']).status === 0
const children: ChildProcess[] = []

function launch (core: number, args: readonly string[]): ChildProcess {
  const [command, all] = pinned ? ['taskset', ['-c', String(core), process.execPath, ...args]] as const : [process.execPath, args] as const
  const child = spawn(command, all, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

async function text (child: ChildProcess, enough: (text: string) => boolean): Promise<string> {
  let seen = ''
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    seen += chunk.toString()
    if (enough(seen)) break
  }
  return seen
}

async function startServer (name: string, origin = '', core = 0): Promise<string> {
  const port = await text(launch(core, [join(import.meta.dirname, 'servers.ts'), name, origin]), seen => seen.includes('\n'))
  return `http://127.0.0.1:${port.trim()}`
}

async function requestsPerSecond (url: string, forSeconds = seconds): Promise<number> {
  const cannon = join(import.meta.dirname, '../node_modules/autocannon/autocannon.js')
  const result = JSON.parse(await text(launch(1, [cannon, '-j', '-c', String(connections), '-d', String(forSeconds), url]), () => false)) as { requests: { average: number }, non2xx: number, errors: number }
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${url}: ${result.non2xx} answers were not 2xx, ${result.errors} errors`)
  return result.requests.average
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

async function compare (title: string, urls: Readonly<Record<string, string>>): Promise<void> {
  const results = new Map(Object.keys(urls).map(name => [name, [] as number[]]))
  for (const url of Object.values(urls)) await requestsPerSecond(url, 2)
  for (let round = 0; round < rounds; round++) {
    for (const [name, url] of Object.entries(urls)) results.get(name)?.push(await requestsPerSecond(url))
  }
  const yardstick = median([...results.values()][0] as number[])
  process.stdout.write(`\n${title}\n\n| | requests/s | ratio | spread |\n|---|---|---|---|\n`)
  for (const [name, values] of results) {
    const spread = `${(Math.min(...values) / yardstick).toFixed(2)}-${(Math.max(...values) / yardstick).toFixed(2)}`
    process.stdout.write(`| ${name} | ${Math.round(median(values))} | ${(median(values) / yardstick).toFixed(2)} | ${spread} |\n`)
  }
}

try {
  process.stdout.write(`Node ${process.version}, ${cpus()[0]?.model} x ${cpus().length}, ${pinned ? 'pinned' : 'not pinned'}, ${connections} connections, ${rounds} rounds of ${seconds} s, 1 KiB\n`)
  // The origin shares the load generator's core: what is compared is the proxy's own.
  const origin = await startServer('origin', '', 1)
  const [hello, forwarder, shipped, bare] = await Promise.all([startServer('hello'), startServer('reply-from', origin), startServer('holdfast', origin), startServer('holdfast-bare', origin)])
  await compare('Hit', { 'Fastify hello-world, 8 fields': `${hello}/hit`, 'Holdfast, everything on': `${shipped}/hit`, 'Holdfast, no log and rate limit': `${bare}/hit` })
  await compare('Miss, not stored', { 'bare reply-from': `${forwarder}/miss/1`, 'Holdfast, everything on': `${shipped}/miss/1`, 'Holdfast, no log and rate limit': `${bare}/miss/1` })
} finally {
  for (const child of children) child.kill()
}
