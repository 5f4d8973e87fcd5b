/** The command line: `holdfast [start|check|routes|hash-password|help|version] [flags]`. */
import { parseArgs } from 'node:util'
import type { Overrides } from '../config/environment.ts'
import { didYouMean, nearest } from '../config/problems.ts'

const commands = ['start', 'check', 'routes', 'hash-password', 'help', 'version'] as const
export type Command = typeof commands[number]

export interface Arguments {
  readonly command: Command
  /** `--config` */
  readonly file?: string
  /** `--upstream` */
  readonly upstream?: string
  readonly overrides: Overrides
}

export type ArgumentsResult =
  | { readonly ok: true, readonly arguments: Arguments }
  | { readonly ok: false, readonly message: string, readonly exitCode: 2 }

const options = {
  upstream: { type: 'string' },
  config: { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'admin-host': { type: 'string' },
  'admin-port': { type: 'string' },
  'log-level': { type: 'string' },
  workers: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' }
} as const

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

export const usage = `Usage: holdfast [command] [flags]

Commands
  start          run the proxy (the default)
  check          validate the configuration, say everything that is wrong with it, print the route table
  routes         print the route table, most specific route first, and the filters that the requests of each route pass
  hash-password  read a password from standard input, print the Argon2 hash for auth.basic
  help           print this
  version        print the version

Flags
  --upstream URL       send everything to this origin server; beside --config: the target of the upstream "default"
  --config FILE        configuration in YAML or JSON, see docs/configuration.md
  --host HOST          address of the proxy (HOLDFAST_HOST; default 0.0.0.0)
  --port PORT          port of the proxy, 0 for a free one (HOLDFAST_PORT; default 8080)
  --admin-host HOST    address of the admin listener (HOLDFAST_ADMIN_HOST; default 127.0.0.1)
  --admin-port PORT    port of the admin listener, 0 for a free one (HOLDFAST_ADMIN_PORT; default 9090)
  --log-level LEVEL    ${logLevels.join(', ')} (HOLDFAST_LOG_LEVEL; default info)
  --workers N          processes that share the listener (HOLDFAST_WORKERS; default 1)
  --help, --version

A flag outranks its environment variable, which outranks the file. HOLDFAST_UPSTREAM stands for --upstream.
Exit codes: 0 done, 1 it cannot be done (the configuration has problems, the port is in use), 2 the flags cannot be meant.
`

/** Reads the arguments that follow the program's name. Never throws. */
export function parseArguments (argv: readonly string[]): ArgumentsResult {
  // Not strict: its errors name no flag that was probably meant.
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true })
  const given = new Map<string, string>()
  const positionals: string[] = []

  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    if (!Object.hasOwn(options, name)) {
      const suggestion = nearest(name, Object.keys(options))
      return refused(`unknown flag ${rawName}${didYouMean(suggestion === undefined ? undefined : `--${suggestion}`)}`)
    }
    if (given.has(name)) return refused(`${rawName} is given twice`)
    if (options[name as keyof typeof options].type === 'boolean') {
      if (value !== undefined) return refused(`${rawName} takes no value`)
    } else if (value === undefined || value === '' || (value.startsWith('--') && inlineValue === false)) {
      return refused(`${rawName} needs a value`)
    }
    given.set(name, value ?? '')
  }

  const [word = 'start', ...more] = positionals
  const file = [word, ...more].find(one => /\.(ya?ml|json)$/.test(one))
  const hint = file === undefined ? '' : `; a file is given as --config ${file}`
  if (!isCommand(word)) return refused(`unknown command ${word}${hint === '' ? didYouMean(nearest(word, commands)) : hint}`)
  if (more.length > 0) return refused(`unexpected ${more[0]} after ${word}${hint}`)
  const command = given.has('help') ? 'help' : given.has('version') ? 'version' : word
  return withValues(command, given)
}

function withValues (command: Command, given: ReadonlyMap<string, string>): ArgumentsResult {
  const numbers: Record<string, number> = {}
  for (const [name, least, most] of [['port', 0, 65_535], ['admin-port', 0, 65_535], ['workers', 1, 256]] as const) {
    const text = given.get(name)
    if (text === undefined) continue
    const value = /^\d+$/.test(text) ? Number(text) : NaN
    if (!(value >= least && value <= most)) return refused(`--${name} must be a whole number from ${least} to ${most}, not ${text}`)
    numbers[name] = value
  }
  const logLevel = given.get('log-level')
  if (logLevel !== undefined && !logLevels.includes(logLevel)) {
    return refused(`--log-level must be one of ${logLevels.join(', ')}, not ${logLevel}${didYouMean(nearest(logLevel, logLevels))}`)
  }

  const [file, upstream, host, adminHost] = ['config', 'upstream', 'host', 'admin-host'].map(name => given.get(name))
  const { port, 'admin-port': adminPort, workers } = numbers
  return {
    ok: true,
    arguments: {
      command,
      ...file !== undefined && { file },
      ...upstream !== undefined && { upstream },
      overrides: {
        ...host !== undefined && { host },
        ...port !== undefined && { port },
        ...adminHost !== undefined && { adminHost },
        ...adminPort !== undefined && { adminPort },
        ...logLevel !== undefined && { logLevel },
        ...workers !== undefined && { workers }
      }
    }
  }
}

function isCommand (word: string): word is Command {
  return (commands as readonly string[]).includes(word)
}

function refused (message: string): ArgumentsResult {
  return { ok: false, message: `${message}\nTry: holdfast --help`, exitCode: 2 }
}
