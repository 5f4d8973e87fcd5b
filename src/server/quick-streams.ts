/** Writes quick answers (`quick-answers.ts`) to HTTP/2 streams, before Node makes a request and a response of them. */
import type { Http2SecureServer, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { addLines, streamHead, writeStream } from '../../plugins/wire-stream.ts'
import { knownTarget, type LookedAt } from '../proxy/known-targets.ts'
import type { QuickAnswers } from './quick-answers.ts'

/** Answers what came on the stream and returns true, or leaves it as it is and returns false. */
export type QuickStreams = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]) => boolean

/** `:method`, `:scheme`, `:authority` and `:path` stand among the fields. */
const pseudoFields = 4

/** Lets `answer` see each stream before what else there is for it: Node's own listener makes a request of it. */
export function beforeRequests (server: Http2SecureServer, answer: QuickStreams): void {
  const others = server.listeners('stream')
  server.removeAllListeners('stream')
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => {
    if (answer(stream, headers, rawHeaders)) return
    for (const listener of others) listener.call(server, stream, headers, flags, rawHeaders)
  })
}

/** @param maxFields field lines in a request */
export function createQuickStreams (answers: QuickAnswers, maxFields: number): QuickStreams {
  return (stream, headers, rawHeaders) => {
    if (!isPlain(stream, headers, rawHeaders, maxFields)) return false
    const request: LookedAt & { readonly headers: IncomingHttpHeaders } = { headers }
    const host = (headers[':authority'] ?? headers.host) as string
    const answer = answers.find(request, headers[':method'] as string, 'https', host, headers[':path'] as string, stream.session?.socket.remoteAddress ?? '')
    if (answer === null) {
      // The request that Node makes of it finds there what was worked out.
      const { [knownTarget]: known } = request
      if (known !== undefined) (stream as LookedAt)[knownTarget] = known
      return false
    }
    const { block, hit } = answer
    const head = streamHead(block)
    if (head === null || !answers.take(answer, request)) return false

    if (hit.age !== null) head.push('age', String(hit.age))
    head.push('cache-status', answers.status(answer))
    addLines(head, answer.limitLines, answer.limitLines.length)
    head.push('x-request-id', answer.id)
    // What goes wrong with the stream shows when it closes.
    stream.on('error', () => {})
    stream.on('close', () => { answers.finish(answer, '2.0', stream, stream.aborted || stream.rstCode !== 0) })
    writeStream(stream, answer.method, head, block)
    return true
  }
}

/** Nothing about the request or its stream that some check on the long way would want to see. */
function isPlain (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[], maxFields: number): boolean {
  const { ':method': method, ':path': path, ':authority': authority, host } = headers
  if ((method !== 'GET' && method !== 'HEAD') || path === undefined || (authority ?? host) === undefined) return false
  // Whether both name the same is for the long way to say.
  if (authority !== undefined && host !== undefined && authority !== host) return false
  if (headers['content-length'] !== undefined || headers.expect !== undefined || rawHeaders.length > 2 * (maxFields + pseudoFields)) return false
  return stream.endAfterHeaders && !stream.destroyed && !stream.closed
}
