/** Starts what is measured on one core and everything else on another, and stops it by its own process id. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, connect, type AddressInfo } from 'node:net'
import { cpus } from 'node:os'

/** The server under test has this core to itself; the load generator, the origin server and this process have the other. */
const cores = { server: 0, other: 1 } as const
export type Place = keyof typeof cores

/** False on a machine with one core, and where `taskset` is missing. */
export const isPinned = cpus().length > 1 && spawnSync('taskset', ['-V']).status === 0
/** As many open files as this process may ask for: 10,000 connections need them on both sides. */
const raise = 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$@"'
const startMs = 20_000
const stopMs = 5000

export interface Spawned {
  readonly pid: number
  readonly child: ChildProcess
  /** What it has written to standard output and standard error so far, at most the last of it. */
  output (): string
  /** SIGTERM, then SIGKILL; resolves once it has ended. */
  stop (): Promise<void>
}

const running = new Set<Spawned>()

/** Pins this process, and with it every one that it starts and does not pin itself. */
export function pinThisProcess (): void {
  if (isPinned) spawnSync('taskset', ['-a', '-cp', String(cores.other), String(process.pid)])
}

/** @param discard throw standard output away, as `> /dev/null` would */
export function launch (place: Place, command: string, args: readonly string[], { discard = false, env = {} }: { readonly discard?: boolean, readonly env?: Readonly<Record<string, string>> } = {}): Spawned {
  const pinned = isPinned ? ['taskset', '-c', String(cores[place]), command, ...args] : [command, ...args]
  const child = spawn('sh', ['-c', raise, 'sh', ...pinned], { stdio: ['ignore', discard ? 'ignore' : 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let seen = ''
  const note = (chunk: Buffer): void => { seen = (seen + chunk.toString()).slice(-65_536) }
  child.stdout?.on('data', note)
  child.stderr?.on('data', note)
  const ended = once(child, 'close')
  const spawned: Spawned = {
    pid: child.pid as number,
    child,
    output: () => seen,
    async stop () {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      const timer = setTimeout(() => { child.kill('SIGKILL') }, stopMs)
      await ended
      clearTimeout(timer)
    }
  }
  running.add(spawned)
  ended.then(() => { running.delete(spawned) }, () => {})
  return spawned
}

/** Runs a program of Node to its end and returns what it wrote, JSON. */
export async function runToEnd (place: Place, command: string, args: readonly string[]): Promise<string> {
  const spawned = launch(place, command, args)
  await once(spawned.child, 'close')
  if (spawned.child.exitCode !== 0) throw new Error(`${command} ${args.join(' ')}: ${spawned.output()}`)
  return spawned.output()
}

export async function stopAll (): Promise<void> {
  await Promise.all([...running].map(async spawned => { await spawned.stop() }))
}

export function freePort (): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => { resolve(port) })
    })
  })
}

/** Resolves once a connection is accepted; rejects with what the program says when it ends before. */
export async function listens (spawned: Spawned, port: number): Promise<void> {
  const until = performance.now() + startMs
  while (performance.now() < until && spawned.child.exitCode === null) {
    if (await accepts(port)) return
    await new Promise(resolve => { setTimeout(resolve, 10) })
  }
  throw new Error(`${spawned.child.spawnargs.join(' ')} did not start: ${spawned.output()}`)
}

function accepts (port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => { resolve(false) })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
