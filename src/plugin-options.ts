/** Whether an application hands the plugin what the plugin knows: an option under another name would be off without a word. */
import type { HoldfastOptions } from './app.ts'
import { ConfigError, didYouMean, nearest, pointerTo, type ConfigProblem } from './config/problems.ts'
import { ConfigSchema } from './config/schema.ts'

const own: Readonly<Record<keyof HoldfastOptions, true>> = {
  config: true,
  store: true,
  now: true,
  deviceClass: true,
  transforms: true,
  rateLimitKey: true,
  rateLimitStore: true,
  purge: true,
  onInvalidation: true,
  extensions: true,
  processMetrics: true,
  onControl: true
}

/** What Fastify, and tools that register plugins, say to any of them. */
const ofFastify = ['prefix', 'logLevel', 'logSerializers', 'name', 'encapsulate']

const known: ReadonlySet<string> = new Set([...Object.keys(own), ...ofFastify])

/** Throws a `ConfigError` that names every option which is not known, with what was probably meant. */
export function checkOptionNames (options: object): void {
  const problems = Object.keys(options).filter(name => !known.has(name)).map(unknown)
  if (problems.length > 0) throw new ConfigError(problems)
}

function unknown (name: string): ConfigProblem {
  const place = { source: 'app.register(holdfast, options)', path: pointerTo('', name), rule: 'unknown-option' }
  if (Object.hasOwn(ConfigSchema.properties, name)) return { ...place, message: 'unknown option; it belongs into "config"' }
  const suggestion = nearest(name, known)
  return { ...place, message: `unknown option${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } }
}
