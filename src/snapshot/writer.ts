/** Writes a snapshot beside the old one and puts it in its place when it is whole. */
import { open, rename, rm } from 'node:fs/promises'
import { PackedEntry } from '../cache/packed-entry.ts'
import type { StoredEntry } from '../cache/store.ts'
import { encodeEnd, encodeRecord, firstLine } from './format.ts'

/** Encoded without letting others have a turn. */
const turnMs = 2
/** Given to the file system at once. */
const chunkBytes = 1024 * 1024

/** Stored responses with what they hold: nobody else may read it. */
const mode = 0o600

export interface Written { readonly entries: number, readonly bytes: number }

/** What a process that was killed while it wrote leaves behind. */
export function unfinishedOf (file: string): string {
  return `${file}.unfinished`
}

/** @param isWorthKeeping asked for each entry; a stale one would only be validated, and one that was purged must not return */
export async function writeSnapshot (file: string, entries: Iterable<StoredEntry>, isWorthKeeping: (entry: StoredEntry) => boolean): Promise<Written> {
  const unfinished = unfinishedOf(file)
  await rm(unfinished, { force: true })
  const handle = await open(unfinished, 'wx', mode)
  let written = 0
  let count = 0
  try {
    let chunk: Buffer[] = [firstLine]
    let held = firstLine.length
    let turnEndsAt = performance.now() + turnMs
    const flush = async (): Promise<void> => {
      await handle.writev(chunk)
      written += held
      chunk = []
      held = 0
    }
    for (const entry of entries) {
      // Others had their turn meanwhile: a variant listed before may have left the store.
      if (entry instanceof PackedEntry && !entry.isReleased && isWorthKeeping(entry)) {
        for (const piece of encodeRecord(entry)) {
          chunk.push(piece)
          held += piece.length
        }
        count++
      }
      if (held >= chunkBytes) {
        await flush()
        turnEndsAt = performance.now() + turnMs
      } else if (performance.now() >= turnEndsAt) {
        await new Promise(resolve => { setImmediate(resolve) })
        turnEndsAt = performance.now() + turnMs
      }
    }
    chunk.push(encodeEnd(count))
    held += chunk.at(-1)?.length ?? 0
    await flush()
    await handle.datasync()
    await handle.close()
    await rename(unfinished, file)
  } catch (error) {
    await handle.close()
    await rm(unfinished, { force: true })
    throw error
  }
  return { entries: count, bytes: written }
}
