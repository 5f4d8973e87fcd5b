/** Reads a snapshot, entry by entry, and says what is wrong with one that cannot be used. */
import { open, type FileHandle } from 'node:fs/promises'
import type { PackedEntry } from '../cache/packed-entry.ts'
import { decodeEnd, decodeFrame, decodePayload, endBytes, firstLine, frameBytes, mayBeSnapshot } from './format.ts'

/** `foreign`: no snapshot at all. `version`: of another version than this one. */
export type SnapshotProblem = 'foreign' | 'version' | 'truncated' | 'corrupt'

export interface ReadResult {
  readonly entries: number
  /** Why no more was read; null when all of it was, or when there is no file. */
  readonly problem: SnapshotProblem | null
}

/** Decoded without letting others have a turn. */
const turnMs = 2

/**
 * @param take gets each entry; what was read before damage is intact, each record has its own checksum
 * @param moment in the order of removals at which the entries count as asked for
 */
export async function readSnapshot (file: string, moment: number, take: (entry: PackedEntry) => void): Promise<ReadResult> {
  let handle: FileHandle
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { entries: 0, problem: null }
    throw error
  }
  try {
    return await readFrom(handle, moment, take)
  } finally {
    await handle.close()
  }
}

/** What is asked of an open file. */
export interface ReadableFile {
  stat (): Promise<{ readonly size: number }>
  read (buffer: Buffer, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
}

/** The same of a file that is open. */
export async function readFrom (handle: ReadableFile, moment: number, take: (entry: PackedEntry) => void): Promise<ReadResult> {
  const { size } = await handle.stat()
  const window = createWindow(handle, Math.min(size, windowBytes))
  const contentEnd = size - endBytes
  const start = await window.read(0, firstLine.length)
  if (!start.equals(firstLine)) return { entries: 0, problem: !mayBeSnapshot(start) ? 'foreign' : start.length < firstLine.length ? 'truncated' : 'version' }
  // Written last: a file without its end was cut off.
  const announced = decodeEnd(await window.read(Math.max(firstLine.length, contentEnd), endBytes))
  if (announced === null) return { entries: 0, problem: 'truncated' }

  let entries = 0
  let turnEndsAt = performance.now() + turnMs
  for (let at = firstLine.length; at < contentEnd;) {
    const frame = window.peek(at, frameBytes) ?? await window.read(at, frameBytes)
    const head = frame.length === frameBytes ? decodeFrame(frame) : null
    if (head === null || at + frameBytes + head.length > contentEnd) return { entries, problem: 'corrupt' }
    const payload = window.peek(at + frameBytes, head.length) ?? await window.read(at + frameBytes, head.length)
    const entry = decodePayload(payload, head.checksum, moment)
    if (entry === null) return { entries, problem: 'corrupt' }
    take(entry)
    entries++
    at += frameBytes + head.length
    if (performance.now() >= turnEndsAt) {
      await new Promise(resolve => { setImmediate(resolve) })
      turnEndsAt = performance.now() + turnMs
    }
  }
  return { entries, problem: entries === announced ? null : 'corrupt' }
}

const windowBytes = 1024 * 1024

/** Reads ahead: a call of the file system for each small record would take most of the time. */
function createWindow (handle: ReadableFile, ahead: number) {
  let held: Buffer = Buffer.alloc(0)
  let heldAt = 0

  return {
    /** What is held of the file already, as a view; null when not all of it is. */
    peek (position: number, length: number): Buffer | null {
      const start = position - heldAt
      return start >= 0 && start + length <= held.length ? held.subarray(start, start + length) : null
    },

    /** Shorter than asked for only at the end of the file. */
    async read (position: number, length: number): Promise<Buffer> {
      const buffer = Buffer.allocUnsafeSlow(Math.max(length, ahead))
      let filled = 0
      while (filled < length) {
        const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, position + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      held = buffer.subarray(0, filled)
      heldAt = position
      return held.subarray(0, Math.min(length, filled))
    }
  }
}
