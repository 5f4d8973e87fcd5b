/** The dispatcher handed to `@fastify/reply-from`: it finds the exchange on the headers, and the exchange knows its upstream. */
import type { Body } from '../http/body.ts'
import { exchangeKey, UpstreamError, type Exchange } from './exchange.ts'

interface DispatchedResponse {
  readonly statusCode: number
  readonly headers: Record<string, string>
  /** reply-from destroys it where the client has left, and passes it on to `onResponse` else. */
  readonly body: Body
}

export interface ReplyFromDispatcher {
  request (options: { headers: { [exchangeKey]?: Exchange } }, callback: (error: Error | null, response?: DispatchedResponse) => void): void
  close (): void
  destroy (): void
}

/** The fields travel on the exchange as raw lines; reply-from would only copy them, one by one, onto the reply. */
const none: Record<string, string> = Object.freeze({})

export function createReplyFromDispatcher (): ReplyFromDispatcher {
  return {
    request (options, callback) {
      const exchange = options.headers[exchangeKey]
      if (exchange === undefined) return callback(new UpstreamError('upstream_closed'))
      exchange.upstream.fetch(exchange, (error, response) => {
        const { attendant } = exchange
        // Of a failure reply-from would write a line with a stack, for each request while an upstream is down, beside our own.
        if (attendant !== null && (error !== null || attendant.isGone())) attendant.answered(error, response)
        else if (error !== null || response === undefined) callback(error)
        else callback(null, { statusCode: response.statusCode, headers: none, body: response.body })
      })
    },
    // The upstreams belong to the runtime, which outlives a registration of reply-from.
    close () {},
    destroy () {}
  }
}
