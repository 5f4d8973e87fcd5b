/** Writes quick answers (`quick-answers.ts`) to HTTP/1.1 connections. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { canWriteBlock, writeBlock } from '../../plugins/wire.ts'
import { nominatedFields } from '../forward/hop-by-hop.ts'
import { isEncrypted } from '../http/encrypted.ts'
import { hostLinesOf } from '../http/host-lines.ts'
import type { QuickAnswer, QuickAnswers } from './quick-answers.ts'

/** Answers the request and returns true, or leaves it as it is and returns false. */
export type QuickHits = (request: IncomingMessage, response: ServerResponse) => boolean

/** @param maxFields field lines in a request */
export function createQuickHits (answers: QuickAnswers, maxFields: number): QuickHits {
  return (request, response) => {
    if (!isPlain(request, response, maxFields)) return false
    const { headers, socket } = request
    const connection = isEncrypted(socket) ? 'https' : 'http'
    const answer = answers.find(request, request.method as string, connection, headers.host as string, request.url as string, socket.remoteAddress ?? '')
    if (answer === null || !answers.take(answer, request)) return false
    const { hit, block, limitLines, id } = answer
    const age = hit.age === null ? '' : `age: ${hit.age}\r\n`
    const lines = `${age}cache-status: ${answers.status(answer)}\r\n${limitLines}x-request-id: ${id}\r\n`
    writeBlock(response, lines, block, () => { account(answers, answer, response, socket) })
    return true
  }
}

/** Now, if all has left already, or never will; else when it has, or the client. Of a connection that is gone Node says so a little later. */
function account (answers: QuickAnswers, answer: QuickAnswer, response: ServerResponse, socket: Socket): void {
  const finish = (): void => { answers.finish(answer, '1.1', response, !response.writableFinished && response.destroyed) }
  if ((socket.writableLength === 0 && !socket.destroyed) || response.destroyed) finish()
  else response.once('close', finish)
}

/** Nothing about the request or its connection that some check on the long way would want to see. */
function isPlain (request: IncomingMessage, response: ServerResponse, maxFields: number): boolean {
  const { method, headers } = request
  if ((method !== 'GET' && method !== 'HEAD') || request.httpVersionMajor !== 1 || request.httpVersionMinor !== 1) return false
  if (headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined || headers.expect !== undefined) return false
  // Fields that `Connection` names are none for the cache.
  if (nominatedFields(headers) !== null) return false
  // Two Host lines are an attack, and look like one in what Node makes of them.
  if (headers.host === undefined || request.rawHeaders.length > 2 * maxFields || hostLinesOf(request.rawHeaders).length !== 1) return false
  // A pipelined response that waits behind another has no socket yet.
  return response.socket !== null && !response.socket.destroyed && canWriteBlock(response)
}
