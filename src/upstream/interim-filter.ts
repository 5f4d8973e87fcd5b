/**
 * Takes unasked `100 Continue` responses out of what a socket delivers. A client must be able to read interim responses
 * that it did not ask for (RFC 9110 15.2); undici gives up the connection when it meets a 100.
 */
import type { Socket } from 'node:net'

/** Longest run of interim responses before the head; beyond it undici may see the rest and refuse it. */
const maxHeldBytes = 16 * 1024

const start = Buffer.from('HTTP/1.')

export interface HeadWatch {
  /** The next octets from the socket are a response head. Set when a request is written; cleared here. */
  awaitingHead: boolean
}

export function skipUnaskedContinue (socket: Socket, watch: HeadWatch): void {
  const read = socket.read.bind(socket)
  let held: Buffer | null = null

  socket.read = function (size?: number): Buffer | null {
    let chunk = read(size) as Buffer | null
    if (!watch.awaitingHead) return chunk
    while (chunk !== null) {
      if (held !== null) chunk = Buffer.concat([held, chunk])
      held = null
      const end = endOfContinue(chunk)
      if (end === 'other' || chunk.length > maxHeldBytes) {
        watch.awaitingHead = false
        return chunk
      }
      if (end === 'incomplete') held = chunk
      chunk = end === 'incomplete' || end === chunk.length ? read() as Buffer | null : chunk.subarray(end)
    }
    return null
  }
}

/** Where a `100` head at the front ends; `incomplete` if it may still become one. */
function endOfContinue (chunk: Buffer): number | 'incomplete' | 'other' {
  const known = Math.min(chunk.length, start.length)
  if (chunk.compare(start, 0, known, 0, known) !== 0) return 'other'
  // HTTP/1.x SP 100
  if (chunk.length < 12) return 'incomplete'
  if (chunk[9] !== 0x31 || chunk[10] !== 0x30 || chunk[11] !== 0x30) return 'other'
  const end = chunk.indexOf('\r\n\r\n')
  return end === -1 ? 'incomplete' : end + 4
}
