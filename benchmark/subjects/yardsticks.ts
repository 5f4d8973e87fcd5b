/** What Holdfast is compared with in Node: Fastify's hello-world, `node:http` alone, reply-from as it comes. */
import { once } from 'node:events'
import { join } from 'node:path'
import { launch, type Place, type Spawned } from '../lib/processes.ts'
import type { Subject } from './subject.ts'

/** A server of ours that prints its port. */
export async function startNode (place: Place, file: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ readonly spawned: Spawned, readonly port: number }> {
  const spawned = launch(place, process.execPath, [join(import.meta.dirname, '../servers', file), ...args], { env })
  const ended = once(spawned.child, 'close').then(() => { throw new Error(`${file} ${args.join(' ')} did not start: ${spawned.output()}`) })
  ended.catch(() => {})
  while (!spawned.output().includes('\n')) await Promise.race([once(spawned.child.stdout as NodeJS.ReadableStream, 'data'), ended])
  return { spawned, port: Number.parseInt(spawned.output()) }
}

const createYardstick = (name: string, title: string): Subject => ({
  name,
  title,
  isOurs: false,
  missing: null,
  version: process.version,
  start: ({ origin, settings }) => startNode('server', 'node.ts', [name, origin], settings.env)
})

export const createYardsticks = (): Subject[] => [
  createYardstick('hello', 'Fastify hello-world, 8 fields'),
  createYardstick('raw', '`node:http` alone, 8 fields'),
  createYardstick('reply-from', 'bare reply-from')
]
