/**
 * Writes a head and the text behind it to a connection as one piece. As one text they would first be put together anew in V8's
 * heap, for each hit as many bytes as it has content; here they are copied to memory that is used again.
 *
 * Where several come in a turn of the event loop they leave when it ends, which is an eighth of the processor time of a hit. Where
 * they come one by one nobody would leave with them, and waiting is 4 us for a client: they are written at once.
 */
import { Socket } from 'node:net'
import { apart, atEndOfTurn } from '../src/end-of-turn.ts'

/** The largest text that is kept with its content (`textBytes`), and its head. */
const mostBytes = 32 * 1024

/** A text of a store. */
export interface KeptText {
  readonly text: string
  readonly textLength: number
  /** Copies it to where a word begins, and up to three bytes more; false when it has to be read. */
  copyText (words: Int32Array, at: number): boolean
}

/** A client that does not take its answer keeps so much. */
const roomBytes = 64 * 1024
/** When as many are full what is in them leaves. */
const mostRooms = 4

interface Room {
  readonly bytes: Buffer
  readonly words: Int32Array
  used: number
  /** The system has taken all of it. */
  isTaken: boolean
}

interface Due { readonly socket: Socket, readonly bytes: Buffer, readonly room: Room, readonly left: () => void }

/** Those that nobody reads. */
const empty: Room[] = []
/** Those with something that is not written yet; what comes next is copied to the last one. */
let filled: Room[] = []
let due: Due[] = []

/** So many are written at once before one waits, to see whether others come: a prime, or of those that come in pairs it may be the second for ever. */
const probeEvery = 17
/** Turns with one alone until they are written at once again. */
const mostAlone = 8
let isBusy = false
let atOnce = 0
let alone = 0
/** Those of this turn that wait, or have waited until there was no more memory for them. */
let inTurn = 0

const { write } = Socket.prototype

/**
 * Returns false, and has done nothing, where it does not fit, and for what is no plain connection: TLS, or anything else
 * that may keep what it is given without saying so.
 * @param head text of one character per octet, as is what follows
 * @param left called, perhaps at once, when it was handed to the connection, or the connection is gone; before that nothing else may be written to it
 */
export function writeJoined (socket: Socket, head: string, rest: string | KeptText, left: () => void): boolean {
  const length = head.length + (typeof rest === 'string' ? rest.length : rest.textLength)
  if (length > mostBytes || socket.constructor !== Socket || socket.write !== write) return false
  const room = roomFor(length + 2 * wordBytes)
  const { bytes, words } = room
  // What follows begins with a word.
  const start = room.used + (-head.length & wordBytes - 1)
  const end = start + bytes.write(head, start, 'latin1')
  if (typeof rest === 'string') bytes.write(rest, end, 'latin1')
  else if (!rest.copyText(words, end / wordBytes)) bytes.write(rest.text, end, 'latin1')
  // Copying whole words may have gone beyond the end.
  room.used = start + length + wordBytes - 1 & -wordBytes
  due.push({ socket, bytes: bytes.subarray(start, start + length), room, left })
  if (inTurn === 0 && !isBusy && ++atOnce < probeEvery) leave()
  else if (inTurn++ === 0) atEndOfTurn(leaving)
  return true
}

function roomFor (bytes: number): Room {
  const last = filled.at(-1)
  if (last !== undefined && last.used + bytes <= roomBytes) return last
  if (filled.length === mostRooms) leave()
  const room = empty.pop() ?? newRoom()
  filled.push(room)
  return room
}

const leaving = {
  turnEnded: () => {
    noteTurn(inTurn)
    inTurn = 0
    leave()
  }
}

function noteTurn (count: number): void {
  atOnce = 0
  if (count > 1) {
    isBusy = true
    alone = 0
  } else if (++alone === mostAlone) {
    isBusy = false
    alone = 0
  }
}

function leave (): void {
  const [written, rooms] = [due, filled]
  due = []
  filled = []
  for (const { socket, bytes, room } of written) {
    if (!socket.destroyed) socket.write(bytes)
    // A connection that has not handed over everything keeps the memory itself until it has, and not a copy.
    if (socket.writableLength > 0) room.isTaken = false
  }
  for (const room of rooms) {
    room.used = 0
    if (room.isTaken) empty.push(room)
  }
  // Not before: what they do would be between one write and the next.
  for (const { left } of written) apart(left)
}

const wordBytes = 4

function newRoom (): Room {
  const bytes = Buffer.allocUnsafeSlow(roomBytes)
  return { bytes, words: new Int32Array(bytes.buffer), used: 0, isTaken: true }
}
