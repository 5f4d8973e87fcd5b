/**
 * Keeps the end of a connection back while its parser is paused. undici reads the end although it does not read on, takes a
 * content that is delimited by it for a fault of its own, which nobody catches, and gives up one that is whole already.
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

  // To undici a reset may be the end of a content as well; what it destroys itself says something else.
  socket.destroy = function (error?: Error): Socket {
    if (!watch.parserWaits || (error as NodeJS.ErrnoException | undefined)?.code !== 'ECONNRESET') return destroy(error)
    failure ??= error as Error
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
