/** What the parser refuses never becomes a request of Fastify's; it is logged and counted here, as one that was answered. */
import type { Counter, Registry } from '@prometheus-io/client'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

export type NoteRefusal = (socket: Duplex, status: number, code: string) => void

export interface RefusalsInput {
  readonly registry: Registry
  /** Null: no access log. */
  readonly log: { info (line: object, message: string): void } | null
}

export function createRefusals ({ registry, log }: RefusalsInput): NoteRefusal {
  // Of plugins/metrics.ts.
  const requests = registry.getSingleMetric('holdfast_http_requests_total') as Counter<string> | undefined
  return (socket, status, code) => {
    requests?.inc({ route: '(none)', method: 'other', status_class: `${Math.floor(status / 100)}xx`, cache: 'none' })
    log?.info({ method: '', path: '', route: '', status, cache: 'none', client: (socket as Socket).remoteAddress ?? '', code }, 'request')
  }
}
