/** `holdfast routes`: the route table, and below it what the requests of each route pass. */
import Fastify from 'fastify'
import { holdfast } from '../app.ts'
import type { Config } from '../config/schema.ts'
import type { HoldfastControl } from '../control.ts'
import { formatChains } from '../proxy/chain.ts'
import { formatRouteTable } from './routes-table.ts'

/** Both, as text. */
export function formatRoutes (config: Config, control: Pick<HoldfastControl, 'chains'>): string {
  return `${formatRouteTable(config)}\n${formatChains(control.chains(), process.cwd())}`
}

/** Of a configuration that is not running: its extensions are registered to see what they add, and nothing listens. */
export async function describeRoutes (config: Config): Promise<string> {
  const app = Fastify({ logger: false })
  let control: HoldfastControl | null = null
  // Without a snapshot: a process that only looks must not take the place of what a running one has written.
  const { file: _file, ...snapshot } = config.cache.snapshot
  await app.register(holdfast, {
    config: { resolved: { ...config, cache: { ...config.cache, snapshot } } },
    onControl: made => { control = made }
  })
  try {
    await app.ready()
    return formatRoutes(config, control as unknown as HoldfastControl)
  } finally {
    await app.close()
  }
}
