#!/usr/bin/env -S node --max-semi-space-size=16 --no-allocation-site-pretenuring
/**
 * The command line: `holdfast [start|check|routes|hash-password|help|version] [flags]`.
 *
 * V8's young generation, which by default grows beyond 100 MB whatever is stored, is bounded where this is started: `maxBytes`
 * is a promise about the process (docs/performance.md).
 */
import cluster from 'node:cluster'
import { parseArguments, usage, type Arguments } from './cli/arguments.ts'
import { runCheck } from './cli/check.ts'
import { describeRoutes } from './cli/print-routes.ts'
import { runHashPassword } from './cli/hash-password.ts'
import { ConfigError, loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { startInstance } from './server/instance.ts'
import { createProcessLog, type ProcessLog } from './server/logger.ts'
import { endWithErrors, endWithSignals } from './server/signals.ts'
import { startPrimary, startWorker } from './server/workers.ts'
import { packageVersion } from './version.ts'

/** Oldest Node that everything used here is made for. */
const oldestNode = [22, 19] as const

const parsed = parseArguments(process.argv.slice(2))
if (!parsed.ok) {
  process.stderr.write(`holdfast: ${parsed.message}\nTry holdfast help.\n`)
  process.exitCode = parsed.exitCode
} else {
  await run(parsed.arguments)
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
      process.exitCode = await runCheck(given, process.stdout)
      return
    case 'routes': return await printRoutes(given)
    case 'hash-password':
      process.exitCode = await runHashPassword(process.stdin, process.stdout)
      return
    case 'start': await start(given)
  }
}

async function printRoutes (given: Arguments): Promise<void> {
  try {
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
    log = createProcessLog(config.log.level)
    endWithErrors(log)

    if (config.server.workers > 1 && cluster.isPrimary) return await startPrimary({ config, log, read })
    if (cluster.isWorker) return await startWorker({ config, log, read })

    const instance = await startInstance({ config, log, read, admin: true })
    endWithSignals({
      log,
      drain: async () => {
        await instance.drain()
        await origin?.close()
      },
      reload: instance.reload
    })
    if (origin !== null) {
      log.flush()
      process.stdout.write(introduction(instance.proxyUrl, origin.url, instance.adminUrl))
    }
    log.flush()
  } catch (error) {
    log?.flush()
    fail(error)
  }
}

async function startSample (): Promise<{ url: string, close (): Promise<void> }> {
  const { startSampleOrigin } = await import('./sample-origin/app.ts')
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
  else if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL') process.stderr.write(`holdfast: cannot listen: ${(error as Error).message} (${code})\n`)
  else process.stderr.write(`holdfast: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(1)
}
