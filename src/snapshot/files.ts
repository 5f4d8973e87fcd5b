/** Which process has which snapshot, and the end of those that no process has. */
import { readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { removeIfOurs } from './foreign.ts'
import { journalsOf } from './journal.ts'
import { unfinishedOf } from './writer.ts'

/** @param worker its number; undefined for the only process */
export function snapshotOf (file: string, worker: number | undefined): string {
  return worker === undefined ? file : `${file}.${worker}`
}

/** Removes a snapshot with what stands beside it. Does not throw. */
export function removeSnapshot (snapshot: string): void {
  // The snapshot first: without its journal it would bring back what was removed.
  removeIfOurs(snapshot)
  for (const path of [...journalsOf(snapshot), unfinishedOf(snapshot)]) {
    try {
      rmSync(path, { force: true })
    } catch {
      // What cannot be removed is no file that could be read, or not ours.
    }
  }
}

/**
 * Removes the snapshots of workers that there are none of now, or of the only process where there are workers: nobody
 * would note in their journals what is purged from now on, so they must not be read by a later process.
 * @param workers 0 for a process without workers
 */
export function removeOtherSnapshots (file: string, workers: number): void {
  const start = `${basename(file)}.`
  for (const name of namesIn(dirname(file))) {
    const number = name.startsWith(start) ? /^[1-9]\d*$/.exec(name.slice(start.length))?.[0] : undefined
    if (number !== undefined && Number(number) > workers) removeSnapshot(join(dirname(file), name))
  }
  if (workers > 0) removeSnapshot(file)
}

function namesIn (folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
