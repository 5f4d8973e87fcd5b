/**
 * An origin service: targets, queue, deadlines, one retry. Everything that asks an origin server goes through `fetch`,
 * be it a client's request or a validation of the cache's own.
 */
import type { UpstreamConfig } from '../config/schema.ts'
import { startAttempt, type Attempt, type AttemptOwner } from './attempt.ts'
import { chooseTarget } from './balance.ts'
import { failedToConnect } from './classify.ts'
import type { Connection } from './connection.ts'
import { UpstreamError, type Exchange, type FetchCallback, type Upstream, type UpstreamErrorCode, type UpstreamResponse } from './exchange.ts'
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

  /** One exchange, with one attempt or two. A class, because there is one for each request that is forwarded: its methods are made once. */
  class Fetch implements AttemptOwner {
    readonly exchange: Exchange
    readonly callback: FetchCallback
    readonly startedAt = now()
    attempt: Attempt | null = null
    retried = false
    /** Where the last attempt failed, to try another one. */
    failedAt: Target | null = null
    queueTimer: NodeJS.Timeout | null = null
    totalTimer: NodeJS.Timeout | null = null
    settled = false

    constructor (exchange: Exchange, callback: FetchCallback) {
      this.exchange = exchange
      this.callback = callback
    }

    cancel (): void { end(this, 'cancelled') }

    released (target: Target, connection: Connection, broken: boolean): void {
      this.attempt = null
      target.release(connection, broken)
      if (this.settled) finish(this)
      next()
    }

    responded (target: Target, response: UpstreamResponse): void {
      target.succeeded()
      this.settled = true
      this.exchange.response = response
      this.callback(null, response)
    }

    failed (target: Target, error: UpstreamError, reused: boolean): void {
      const ours = error.code === 'cancelled' || error.code === 'client_body_failed'
      if (!ours) target.failed(now())
      if (mayTryAgain(this, error, reused)) {
        retries++
        this.retried = true
        if (failedToConnect(error.code)) this.failedAt = target
        if (start(this) || wait(this)) return
      }
      refuse(this, error)
    }

    cutShort (target: Target, error: UpstreamError): void {
      if (error.code === 'cancelled') return
      errors[error.code] = (errors[error.code] ?? 0) + 1
      target.failed(now())
    }
  }

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
    const waitedMs = now() - fetch.startedAt
    const firstByteMs = timeouts.firstByte === 0 ? 0 : Math.max(1, timeouts.firstByte - waitedMs)
    fetch.attempt = startAttempt(fetch, config, target, target.acquire(fetch.retried), firstByteMs)
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
    const begun = exchange.running = new Fetch(exchange, callback)
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
