/** Tells a file that was there before from a snapshot: a mistyped path must not cost anybody a file. */
import { closeSync, openSync, readSync, rmSync } from 'node:fs'
import { mark, mayBeSnapshot } from './format.ts'

/** Whether there is a file at this path that is no snapshot of any version, nor what is left of one. Throws where it cannot be read. */
export function isForeign (path: string): boolean {
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  try {
    const start = Buffer.alloc(mark.length)
    return !mayBeSnapshot(start.subarray(0, readSync(descriptor, start)))
  } finally {
    closeSync(descriptor)
  }
}

/** Removes a snapshot, and nothing else. Does not throw: what cannot be read or removed is no file that could be used. */
export function removeIfOurs (path: string): void {
  try {
    if (!isForeign(path)) rmSync(path, { force: true })
  } catch {}
}
