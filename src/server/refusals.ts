/** What the parser refuses never becomes a request of Fastify's; it is logged and counted here, as one that was answered. */
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import type { RequestTallies } from '../observe/request-tally.ts'

export type NoteRefusal = (socket: Duplex, status: number, code: string) => void

export interface RefusalsInput {
  readonly tallies: RequestTallies
  /** Null: no access log. */
  readonly log: { info (line: object, message: string): void } | null
}

export function createRefusals ({ tallies, log }: RefusalsInput): NoteRefusal {
  return (socket, status, code) => {
    tallies.of('(none)', '', status, 'none').untimed++
    log?.info({ method: '', path: '', route: '', status, cache: 'none', client: (socket as Socket).remoteAddress ?? '', code }, 'request')
  }
}
