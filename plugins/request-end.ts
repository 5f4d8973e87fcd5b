/**
 * The one moment at which a request is over. Fastify's `onResponse` alone would miss every client that leaves early: it
 * waits for `finish`, which an HTTP/1 response that was cut off never emits.
 */
import fp from 'fastify-plugin'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'

/** nginx's status, in logs only, for a client that left before it was answered. */
const clientClosedRequest = 499

export interface RequestEnd {
  /** Status sent; 499 when the client left before one was. */
  readonly statusCode: number
  /** The client did not get the whole response. */
  readonly aborted: boolean
}

export type RequestEndListener = (request: FastifyRequest, reply: FastifyReply, end: RequestEnd) => void

declare module 'fastify' {
  interface FastifyInstance {
    /** Calls the listener once for every request, whether it was answered or not. */
    onRequestEnd: (listener: RequestEndListener) => void
    /** Calls it when nothing can be sent to the client any more, after those of `onRequestEnd`. */
    onRequestGone: (listener: (request: FastifyRequest) => void) => void
  }
  interface FastifyRequest {
    /** The listeners of `onRequestEnd` have been called. */
    isOver: boolean
  }
}

export default fp(async function requestEnd (app) {
  const listeners: RequestEndListener[] = []
  app.decorate('onRequestEnd', (listener: RequestEndListener) => { listeners.push(listener) })
  const goneListeners: Array<(request: FastifyRequest) => void> = []
  app.decorate('onRequestGone', (listener: (request: FastifyRequest) => void) => { goneListeners.push(listener) })
  app.decorateRequest('isOver', false)

  function end (request: FastifyRequest, reply: FastifyReply): void {
    if (request.isOver) return
    request.isOver = true
    const aborted = wasCutOff(reply.raw)
    const statusCode = aborted && !reply.raw.headersSent ? clientClosedRequest : reply.statusCode
    for (const listener of listeners) listener(request, reply, { statusCode, aborted })
  }

  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = reply
    raw.once('close', () => {
      end(request, reply)
      for (const listener of goneListeners) listener(request)
    })
    if (raw.socket === null) closeWithConnection(request, raw)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    end(request, reply)
    done()
  })
}, { name: 'request-end', fastify: '5.x' })

/**
 * A pipelined response that waits behind another has no socket yet, and Node never tells it that the connection is gone.
 * Those that forward for it have to hear of it as well. Nor does Node end the connection behind one that was cut short while
 * it waited, when its turn has come: its client would wait for the rest for ever.
 */
function closeWithConnection (request: FastifyRequest, raw: ServerResponse): void {
  const { socket } = request.raw
  const tell = (): void => {
    // Node 22 does not say of it that nothing can be sent any more.
    raw.destroy()
    raw.emit('close')
  }
  // One for each request that waits, of which Node reads no more than it has room for: it is no leak, and not worth a line in the log for each connection.
  socket.setMaxListeners(0)
  socket.once('close', tell)
  raw.once('close', () => { socket.off('close', tell) })
  raw.once('socket', () => {
    // What has come so far is the client's to see: it leaves in this tick.
    if (raw.destroyed) process.nextTick(() => { socket.destroy() })
  })
}

function wasCutOff (raw: ServerResponse): boolean {
  const { stream } = raw as ServerResponse & { stream?: ServerHttp2Stream }
  // Node ends an HTTP/2 response that was reset as if it had finished.
  return stream === undefined ? !raw.writableFinished : stream.aborted || stream.rstCode !== 0
}
