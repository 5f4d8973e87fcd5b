/**
 * Keeps the end of a connection back while its parser is paused. undici reads the end although it does not read on, takes a
 * content that is delimited by it for a fault of its own, which nobody catches, and gives up one that is whole already.
 *
 * A reset is a failure whenever it comes. To undici it is as good an end as any of a content that has neither a length nor
 * chunks; such a content is complete "unless an error was indicated by the underlying connection" (RFC 9112 section 8).
 */
import type { Socket } from 'node:net'

export interface EndWatch {
  /** The parser has been told to wait; what ends the connection waits with it. */
  parserWaits: boolean
  /** To be called when the parser has gone on: the end comes now, if it has come meanwhile, and the parser does not wait again. */
  parserWentOn: () => void
}

export function keepEndBack (socket: Socket, watch: EndWatch): void {
  const push = socket.push.bind(socket)
  const destroy = socket.destroy.bind(socket)
  let hasEnded = false
  let failure: Error | null = null

  watch.parserWaits = false

  socket.push = function (chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk !== null || !watch.parserWaits) return push(chunk, encoding)
    hasEnded = true
    return false
  }

  socket.destroy = function (error?: Error): Socket {
    if ((error as NodeJS.ErrnoException | undefined)?.code !== 'ECONNRESET') return destroy(error)
    const reset = asFailure(error as Error)
    if (!watch.parserWaits) return destroy(reset)
    failure ??= reset
    return socket
  }

  watch.parserWentOn = () => {
    if (watch.parserWaits || socket.destroyed) return
    if (failure !== null) {
      destroy(failure)
    } else if (hasEnded) {
      hasEnded = false
      // As Node does when it comes.
      push(null)
      socket.read(0)
    }
  }
}

/** The same, by a code that undici does not know. */
function asFailure (error: Error): Error {
  return Object.assign(new Error(error.message, { cause: error }), { code: 'UPSTREAM_RESET' })
}
