/**
 * Writes a head and the text behind it to a connection as one piece, at the end of the turn of the event loop. As one text they
 * would first be put together anew in V8's heap, for each hit as many bytes as it has content; here they are copied to memory that
 * is used again. That hits leave together is an eighth of their processor time.
 */
import { Socket } from 'node:net'
import { atEndOfTurn } from '../src/end-of-turn.ts'

/** The largest text that is kept with its content (`textBytes`), and its head. */
const mostBytes = 32 * 1024

/** A text of a store. */
export interface KeptText {
  readonly text: string
  readonly textLength: number
  /** Copies it to where a word begins, and up to three bytes more; false when it has to be read. */
  copyText (words: Int32Array, at: number): boolean
}

/** What is copied before some of it leaves. A client that does not take its answer keeps as much. */
const roomBytes = 64 * 1024

interface Room { readonly bytes: Buffer, readonly words: Int32Array, /** Of it is in use. */ used: number }

interface Due { readonly socket: Socket, readonly bytes: Buffer, readonly left: () => void }

/** Null while the system may still read what it was. */
let room: Room | null = null
/** Copied to it, and not written yet. */
let due: Due[] = []

const { write } = Socket.prototype

/**
 * Returns false, and has done nothing, where it does not fit, and for what is no plain connection: TLS, or anything else
 * that may keep what it is given without saying so.
 * @param head text of one character per octet, as is what follows
 * @param left called when it was handed to the connection, or the connection is gone; before that nothing else may be written to it
 */
export function writeJoined (socket: Socket, head: string, rest: string | KeptText, left: () => void): boolean {
  const length = head.length + (typeof rest === 'string' ? rest.length : rest.textLength)
  if (length > mostBytes || socket.constructor !== Socket || socket.write !== write) return false
  if (room !== null && room.used + length + 2 * wordBytes > roomBytes) leave()
  room ??= newRoom()
  const { bytes, words } = room
  // What follows begins with a word.
  const start = room.used + (-head.length & wordBytes - 1)
  const end = start + bytes.write(head, start, 'latin1')
  if (typeof rest === 'string') bytes.write(rest, end, 'latin1')
  else if (!rest.copyText(words, end / wordBytes)) bytes.write(rest.text, end, 'latin1')
  // Copying whole words may have gone beyond the end.
  room.used = start + length + wordBytes - 1 & -wordBytes
  if (due.length === 0) atEndOfTurn(leaving)
  due.push({ socket, bytes: bytes.subarray(start, start + length), left })
  return true
}

const leaving = { turnEnded: leave }

function leave (): void {
  const all = due
  due = []
  let isTaken = true
  for (const { socket, bytes, left } of all) {
    if (!socket.destroyed) socket.write(bytes)
    // A connection that has not handed over everything keeps the memory itself until it has, and not a copy.
    if (socket.writableLength > 0) isTaken = false
    left()
  }
  if (!isTaken) room = null
  else if (room !== null && due.length === 0) room.used = 0
}

const wordBytes = 4

/** With what is before and behind whole words. */
function newRoom (): Room {
  const bytes = Buffer.allocUnsafeSlow(roomBytes)
  return { bytes, words: new Int32Array(bytes.buffer), used: 0 }
}
