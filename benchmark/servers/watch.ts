/**
 * An extension that watches the event loop of the process it is in. On SIGUSR2 it writes what it has seen since the last
 * one to `file`, as JSON, and begins anew.
 */
import type { FastifyInstance } from 'fastify'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { tellOnSignal } from '../lib/telling.ts'

export interface Watched {
  /** Milliseconds between two turns. */
  readonly median: number
  readonly p99: number
  readonly longest: number
  /** Milliseconds of processor time of the thread: where others take turns on the core, the clock says little. */
  readonly longestTurn: number
}

export default function watch (app: FastifyInstance, { file }: { readonly file: string }): void {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  let longestTurn = 0
  let before = process.threadCpuUsage()
  let next = setImmediate(turn)

  function turn (): void {
    const now = process.threadCpuUsage()
    longestTurn = Math.max(longestTurn, (now.user - before.user + now.system - before.system) / 1000)
    before = now
    next = setImmediate(turn)
  }

  const end = tellOnSignal(file, () => {
    const watched: Watched = { median: delay.percentile(50) / 1e6, p99: delay.percentile(99) / 1e6, longest: delay.max / 1e6, longestTurn }
    delay.reset()
    before = process.threadCpuUsage()
    longestTurn = 0
    return watched
  })
  app.addHook('onClose', async () => {
    end()
    clearImmediate(next)
    delay.disable()
  })
}
