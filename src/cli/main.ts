/** What the command line does; `src/server.ts` is where it begins. */
import cluster from 'node:cluster'
import { parseArguments, usage, type Arguments } from './arguments.ts'
import { ConfigError, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { ProcessLog } from '../server/logger.ts'
import { packageVersion } from '../version.ts'

/** Oldest Node that everything used here is made for. */
const oldestNode = [22, 19] as const

/** Sets the exit code of the process; resolves once a proxy runs, whose listeners keep the process alive. */
export async function main (words: readonly string[]): Promise<void> {
  const parsed = parseArguments(words)
  if (parsed.ok) return await run(parsed.arguments)
  process.stderr.write(`holdfast: ${parsed.message}\n`)
  process.exitCode = parsed.exitCode
}

async function run (given: Arguments): Promise<void> {
  switch (given.command) {
    case 'help':
      process.stdout.write(usage)
      return
    case 'version':
      process.stdout.write(`${packageVersion()}\n`)
      return
    case 'check':
      process.exitCode = await (await import('./check.ts')).runCheck(given, process.stdout)
      return
    case 'routes': return await printRoutes(given)
    case 'hash-password':
      process.exitCode = await (await import('./hash-password.ts')).runHashPassword(process.stdin, process.stdout)
      return
    case 'start': await start(given)
  }
}

async function printRoutes (given: Arguments): Promise<void> {
  try {
    const { describeRoutes } = await import('./print-routes.ts')
    process.stdout.write(await describeRoutes(await loadConfig({ ...given, env: process.env })))
  } catch (error) {
    fail(error)
  }
}

async function start (given: Arguments): Promise<void> {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])) {
    process.stderr.write(`holdfast: made for Node ${oldestNode.join('.')} or later, this is ${process.versions.node}; going on\n`)
  }

  // Nothing named: a small origin of our own, so that there is something to see.
  const sample = given.file === undefined && given.upstream === undefined && (process.env['HOLDFAST_UPSTREAM'] ?? '') === ''
  let log: ProcessLog | null = null
  try {
    const origin = sample ? await startSample() : null
    const upstream = origin?.url ?? given.upstream
    const load = (inPieces: boolean): Promise<Config> => loadConfig({
      inPieces,
      env: process.env,
      overrides: given.overrides,
      ...(given.file === undefined ? {} : { file: given.file }),
      ...(upstream === undefined ? {} : { upstream })
    })
    const config = await load(false)
    const read = (): Promise<Config> => load(true)
    const { createProcessLog } = await import('../server/logger.ts')
    const { endWithErrors, endWithSignals } = await import('../server/signals.ts')
    log = createProcessLog(config.log.level)
    endWithErrors(log)

    const { flush } = log
    const introduce = (proxyUrl: string, adminUrl: string | null): void => {
      if (origin === null) return
      flush()
      process.stdout.write(introduction(proxyUrl, origin.url, adminUrl))
    }

    if (cluster.isWorker) return await (await import('../server/worker.ts')).startWorker({ config, log, read })
    if (config.server.workers > 1) {
      const { startPrimary } = await import('../server/workers.ts')
      // One sample for all of them.
      const env = origin === null ? {} : { HOLDFAST_UPSTREAM: origin.url }
      return await startPrimary({ config, log, read, env, onListening: introduce })
    }

    const { startInstance } = await import('../server/instance.ts')
    const instance = await startInstance({ config, log, read, admin: true })
    endWithSignals({
      log,
      drain: async () => {
        await instance.drain()
        await origin?.close()
      },
      reload: instance.reload
    })
    introduce(instance.proxyUrl, instance.adminUrl)
    log.flush()
  } catch (error) {
    log?.flush()
    fail(error)
  }
}

async function startSample (): Promise<{ url: string, close (): Promise<void> }> {
  const { startSampleOrigin } = await import('../sample-origin/app.ts')
  return await startSampleOrigin({ host: '127.0.0.1', port: 0 })
}

function introduction (proxy: string, origin: string, admin: string | null): string {
  return `
Holdfast listens on ${proxy} in front of a sample origin on ${origin}
${admin === null ? '' : `Health, metrics and routes are on ${admin}\n`}
Try this twice; the second answer comes from the cache (Cache-Status: holdfast; hit):

  curl -i ${proxy}/article

Your own backend: npm start -- --upstream https://api.example.com
`
}

function fail (error: unknown): void {
  const code = (error as NodeJS.ErrnoException).code
  if (error instanceof ConfigError) process.stderr.write(`${error.message}\n`)
  else if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') process.stderr.write(`holdfast: cannot listen: ${(error as Error).message} (${code})\n`)
  else process.stderr.write(`holdfast: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(1)
}
