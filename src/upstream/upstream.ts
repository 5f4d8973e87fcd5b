/**
 * An origin service: targets, queue, deadlines, one retry. Everything that asks an origin server goes through `fetch`,
 * be it a client's request or a validation of the cache's own.
 */
import type { UpstreamConfig } from '../config/schema.ts'
import { startAttempt, type Attempt } from './attempt.ts'
import { chooseTarget } from './balance.ts'
import { failedToConnect } from './classify.ts'
import { UpstreamError, type Exchange, type FetchCallback, type Upstream, type UpstreamErrorCode } from './exchange.ts'
import { startHealthChecks } from './health-check.ts'
import { createTarget, type Target } from './target.ts'
import { createWaitingLine } from './waiting-line.ts'

export interface UpstreamDependencies {
  readonly log: { warn (details: object, message: string): void }
  /** Epoch milliseconds. */
  readonly now?: () => number
}

/** Methods that may be sent twice (RFC 9110 9.2.2). */
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

interface Fetch {
  readonly exchange: Exchange
  readonly callback: FetchCallback
  readonly startedAt: number
  attempt: Attempt | null
  retried: boolean
  /** Where the last attempt failed, to try another one. */
  failedAt: Target | null
  queueTimer: NodeJS.Timeout | null
  totalTimer: NodeJS.Timeout | null
  settled: boolean
}

export function createUpstream (name: string, config: UpstreamConfig, dependencies: UpstreamDependencies): Upstream {
  const now = dependencies.now ?? Date.now
  const { timeouts } = config
  const targets = config.targets.map(target => typeof target === 'string' ? createTarget(target, 1, config) : createTarget(target.url, target.weight, config))
  const line = createWaitingLine<Fetch>(config.queue)
  const errors: Record<string, number> = Object.create(null)
  let requests = 0
  let retries = 0
  let running = 0
  let closed = false
  let onIdle: (() => void) | null = null

  if (!config.tls.verify && targets.some(target => target.origin.startsWith('https:'))) {
    dependencies.log.warn({ upstream: name, code: 'tls_not_verified' }, 'certificates of this upstream are not verified')
  }
  const stopHealthChecks = startHealthChecks(targets, config, now)

  function finish (fetch: Fetch): void {
    running--
    if (fetch.totalTimer !== null) clearTimeout(fetch.totalTimer)
    if (running === 0) onIdle?.()
  }

  function refuse (fetch: Fetch, error: UpstreamError): void {
    errors[error.code] = (errors[error.code] ?? 0) + 1
    leaveLine(fetch)
    fetch.settled = true
    finish(fetch)
    fetch.callback(error)
  }

  function leaveLine (fetch: Fetch): void {
    line.leave(fetch)
    if (fetch.queueTimer !== null) clearTimeout(fetch.queueTimer)
    fetch.queueTimer = null
  }

  /** Ends an exchange wherever it is: waiting, under way, or streaming. */
  function end (fetch: Fetch, code: UpstreamErrorCode): void {
    if (fetch.attempt !== null) fetch.attempt.abort(code)
    else if (!fetch.settled) refuse(fetch, new UpstreamError(code))
  }

  function start (fetch: Fetch): boolean {
    const target = chooseTarget(targets, config.balance, now(), fetch.failedAt)
    if (target === null) return false
    leaveLine(fetch)
    target.trying(now())
    const connection = target.acquire(fetch.retried)
    const waitedMs = now() - fetch.startedAt
    fetch.attempt = startAttempt({
      exchange: fetch.exchange,
      config,
      target,
      connection,
      firstByteMs: timeouts.firstByte === 0 ? 0 : Math.max(1, timeouts.firstByte - waitedMs),
      onReleased (broken) {
        fetch.attempt = null
        target.release(connection, broken)
        if (fetch.settled) finish(fetch)
        next()
      },
      onResponse (response) {
        target.succeeded()
        fetch.settled = true
        fetch.exchange.response = response
        fetch.callback(null, response)
      },
      onFailed (error, reused) {
        const ours = error.code === 'cancelled' || error.code === 'client_body_failed'
        if (!ours) target.failed(now())
        if (mayTryAgain(fetch, error, reused)) {
          retries++
          fetch.retried = true
          if (failedToConnect(error.code)) fetch.failedAt = target
          if (start(fetch) || wait(fetch)) return
        }
        refuse(fetch, error)
      },
      onCutShort (error) {
        if (error.code !== 'cancelled') {
          errors[error.code] = (errors[error.code] ?? 0) + 1
          target.failed(now())
        }
      }
    })
    return true
  }

  function mayTryAgain (fetch: Fetch, error: UpstreamError, reused: boolean): boolean {
    if (!config.retry.enabled || fetch.retried || closed || fetch.exchange.body !== null || !idempotent.has(fetch.exchange.method)) return false
    // The socket was closed by the target while it lay idle, which is nobody's fault and no sign of trouble.
    if (reused && error.code === 'upstream_reset') return true
    return failedToConnect(error.code) && targets.length > 1
  }

  function wait (fetch: Fetch): boolean {
    if (!line.join(fetch)) return false
    if (timeouts.firstByte > 0) {
      const leftMs = Math.max(1, timeouts.firstByte - (now() - fetch.startedAt))
      fetch.queueTimer = setTimeout(() => { refuse(fetch, new UpstreamError('upstream_queue_timeout')) }, leftMs)
    }
    return true
  }

  function next (): void {
    for (let waiting = line.first(); waiting !== undefined; waiting = line.first()) {
      if (!start(waiting)) return
    }
  }

  function fetch (exchange: Exchange, callback: FetchCallback): void {
    requests++
    running++
    const begun: Fetch = { exchange, callback, startedAt: now(), attempt: null, retried: false, failedAt: null, queueTimer: null, totalTimer: null, settled: false }
    exchange.cancel = () => { end(begun, 'cancelled') }
    if (closed) return refuse(begun, new UpstreamError('upstream_closed'))
    if (timeouts.total > 0) begun.totalTimer = setTimeout(() => { end(begun, 'upstream_total_timeout') }, timeouts.total)
    // Nobody overtakes those who wait.
    if (line.size === 0 && start(begun)) return
    if (!wait(begun)) refuse(begun, new UpstreamError('upstream_queue_full'))
  }

  return {
    name,
    fetch,
    isHealthy: () => targets.some(target => !target.isOut(now())),
    stats: () => ({ targets: targets.map(target => target.statistics(now())), queued: line.size, requests, errors: { ...errors }, retries }),
    async close () {
      closed = true
      stopHealthChecks()
      if (running > 0) await new Promise<void>(resolve => { onIdle = resolve })
      await Promise.all(targets.map(target => target.close()))
    },
    async destroy () {
      closed = true
      stopHealthChecks()
      for (let waiting = line.first(); waiting !== undefined; waiting = line.first()) refuse(waiting, new UpstreamError('upstream_closed'))
      await Promise.all(targets.map(target => target.destroy()))
    }
  }
}
