/**
 * Writes a head and the text behind it to a connection as one piece. As one text they would first be put together anew in
 * V8's heap, for each hit as many bytes as it has content; here they are copied to memory that is used again.
 */
import { Socket } from 'node:net'

/** Below this length V8 puts texts together for what it costs to hand memory of our own to the system. */
export const minJoinedLength = 4096

/** Room for the largest text that is kept with its content (`textBytes`), and for its head. */
const roomBytes = 32 * 1024

/** Null while the system may still read what it was. */
let room: Buffer | null = null

const { write } = Socket.prototype

/**
 * Returns false, and has done nothing, where it does not fit, and for what is no plain connection: TLS, or anything else
 * that may keep what it is given without saying so.
 * @param head text of one character per octet, as is `rest`
 */
export function writeJoined (socket: Socket, head: string, rest: string): boolean {
  if (head.length + rest.length > roomBytes || socket.constructor !== Socket || socket.write !== write) return false
  room ??= Buffer.allocUnsafeSlow(roomBytes)
  const end = room.write(head, 0, 'latin1')
  socket.write(room.subarray(0, end + room.write(rest, end, 'latin1')))
  // A connection that has not handed over everything keeps the memory itself until it has, and not a copy.
  if (socket.writableLength > 0) room = null
  return true
}
