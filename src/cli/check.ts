/** `holdfast check`: says everything that is wrong with a configuration, or what it does. */
import type { Arguments } from './arguments.ts'
import { formatRouteTable } from './routes-table.ts'
import { ConfigError, loadConfig, warningsFor } from '../config/load.ts'
import type { LoadOptions } from '../config/load.ts'
import { formatProblem } from '../config/problems.ts'

/** Where text goes; `process.stdout` is one. */
export interface Output { write (text: string): unknown }

export type CheckOptions = Pick<Arguments, 'file' | 'upstream'> & { readonly overrides?: Arguments['overrides'], readonly env?: NodeJS.ProcessEnv }

/** Prints problems, or warnings and the route table; resolves to the exit code, 0 or 1. */
export async function runCheck (options: CheckOptions, out: Output): Promise<0 | 1> {
  const { file, env = process.env } = options
  if (file === undefined && options.upstream === undefined && !env.HOLDFAST_UPSTREAM) {
    out.write('Nothing to check: name a file with --config FILE\n')
    return 1
  }
  const load: LoadOptions = { ...options, env }
  try {
    const config = await loadConfig(load)
    // Which transformations there are is only known once plugins are registered, as the start does.
    if (config.routes.some(route => route.transforms.length > 0)) await (await import('./print-routes.ts')).describeRoutes(config)
    for (const warning of warningsFor(config)) out.write(`warning: ${formatProblem(warning, file)}\n`)
    out.write(`${file ?? 'The configuration'} is valid.\n\n${formatRouteTable(config)}`)
    return 0
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const { length } = error.problems
    out.write(`${error.message}\n\n${length} ${length === 1 ? 'problem' : 'problems'}\n`)
    return 1
  }
}
