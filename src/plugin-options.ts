/** Whether an application hands the plugin what the plugin knows: an option under another name would be off without a word. */
import type { HoldfastOptions } from './app.ts'
import { ConfigError, didYouMean, nearest, pointerTo, type ConfigProblem } from './config/problems.ts'
import { isPlain } from './config/plain.ts'
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

const ofTransforms: Readonly<Record<keyof NonNullable<HoldfastOptions['transforms']>, true>> = {
  responses: true,
  requests: true,
  maxHeldBytes: true,
  timeoutMs: true
}

/** What Fastify, and tools that register plugins, say to any of them. */
const ofFastify = ['prefix', 'logLevel', 'logSerializers', 'name', 'encapsulate']

const known: ReadonlySet<string> = new Set([...Object.keys(own), ...ofFastify])
const knownOfTransforms: ReadonlySet<string> = new Set(Object.keys(ofTransforms))

const source = 'app.register(holdfast, options)'

/** Throws a `ConfigError` that names every option which is not known, with what was probably meant. */
export function checkOptionNames (options: HoldfastOptions): void {
  const problems = [...unknownIn(options, known, ''), ...problemsOfTransforms(options.transforms)]
  if (problems.length > 0) throw new ConfigError(problems)
}

function problemsOfTransforms (transforms: unknown): readonly ConfigProblem[] {
  if (transforms === undefined) return []
  if (isPlain(transforms)) return unknownIn(transforms, knownOfTransforms, '/transforms')
  return [{ source, path: '/transforms', rule: 'type', message: 'must be an object with `responses`, `requests`, `maxHeldBytes` or `timeoutMs`' }]
}

function unknownIn (given: object, known: ReadonlySet<string>, place: string): ConfigProblem[] {
  return Object.keys(given).filter(name => !known.has(name)).map(name => {
    const problem = { source, path: pointerTo(place, name), rule: 'unknown-option' }
    if (place === '' && Object.hasOwn(ConfigSchema.properties, name)) return { ...problem, message: 'unknown option; it belongs into "config"' }
    const suggestion = nearest(name, known)
    return { ...problem, message: `unknown option${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } }
  })
}
