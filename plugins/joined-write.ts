/**
 * Writes a head and the text behind it to a connection as one piece. As one text they would first be put together anew in
 * V8's heap, for each hit as many bytes as it has content; here they are copied to memory that is used again.
 */
import { Socket } from 'node:net'

/** Below this length V8 puts texts together for what it costs to hand memory of our own to the system. */
export const minJoinedLength = 4096

/** The largest text that is kept with its content (`textBytes`), and its head. */
const mostBytes = 32 * 1024

/** A text of a store. */
export interface KeptText {
  readonly text: string
  readonly textLength: number
  /** Copies it to where a word begins, and up to three bytes more; false when it has to be read. */
  copyText (words: Int32Array, at: number): boolean
}

interface Room { readonly bytes: Buffer, readonly words: Int32Array }

/** Null while the system may still read what it was. */
let room: Room | null = null

const { write } = Socket.prototype

/**
 * Returns false, and has done nothing, where it does not fit, and for what is no plain connection: TLS, or anything else
 * that may keep what it is given without saying so.
 * @param head text of one character per octet, as is what follows
 */
export function writeJoined (socket: Socket, head: string, rest: string | KeptText): boolean {
  const length = typeof rest === 'string' ? rest.length : rest.textLength
  if (head.length + length > mostBytes || socket.constructor !== Socket || socket.write !== write) return false
  room ??= newRoom()
  const { bytes, words } = room
  // What follows begins with a word.
  const start = -head.length & 3
  const end = start + bytes.write(head, start, 'latin1')
  if (typeof rest === 'string') bytes.write(rest, end, 'latin1')
  else if (!rest.copyText(words, end >>> 2)) bytes.write(rest.text, end, 'latin1')
  socket.write(bytes.subarray(start, end + length))
  // A connection that has not handed over everything keeps the memory itself until it has, and not a copy.
  if (socket.writableLength > 0) room = null
  return true
}

/** With what is before and behind whole words. */
function newRoom (): Room {
  const bytes = Buffer.allocUnsafeSlow(mostBytes + 8)
  return { bytes, words: new Int32Array(bytes.buffer) }
}
