/** Asks each target regularly whether it is well, where the configuration names a path for it. */
import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { readFileSync } from 'node:fs'
import type { UpstreamConfig } from '../config/schema.ts'
import type { Target } from './target.ts'

/** @returns a function that stops the checks */
export function startHealthChecks (targets: readonly Target[], config: UpstreamConfig, now: () => number): () => void {
  const { path, interval, timeout } = config.health
  if (path === undefined) return () => {}
  const ca = config.tls.ca === undefined ? {} : { ca: readFileSync(config.tls.ca) }

  function ask (target: Target): void {
    const options = { path, timeout, signal: AbortSignal.timeout(timeout), agent: false, headers: { host: target.authority } }
    const asked = target.origin.startsWith('https:')
      ? requestTls(target.origin, { ...options, ...ca, rejectUnauthorized: config.tls.verify })
      : request(target.origin, options)
    asked.once('response', response => {
      response.resume()
      const status = response.statusCode ?? 0
      if (status >= 200 && status < 400) target.succeeded()
      else target.failed(now())
    })
    asked.once('error', () => { target.failed(now()) })
    asked.end()
  }

  const timer = setInterval(() => { targets.forEach(ask) }, Math.max(100, interval))
  timer.unref()
  return () => { clearInterval(timer) }
}
