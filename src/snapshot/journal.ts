/**
 * What was invalidated or purged since the snapshot was written, so that it does not return with it: one line a key in a
 * file beside the snapshot, appended at once, so that it is there even if the process is killed the moment after.
 *
 * Each snapshot has a journal of its own, begun before the first of its entries is read. While one is being written there
 * are two: the old one still goes with the old snapshot.
 */
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { removeIfOurs } from './foreign.ts'

/** Beyond it the snapshot is void as a whole: it would cost more to sort out than to fetch again. */
const maxBytes = 4 * 1024 * 1024

/** Everything was removed. A key never looks like this. */
const everything = '*'

export interface RemovalJournal {
  /** @param key of a URI, group or tag; null for everything */
  note (key: string | null): void
  /** A snapshot is about to be written. */
  begin (): void
  /** It is in its place, or it is not. */
  end (replaced: boolean): void
  close (): void
}

interface OpenFile { readonly descriptor: number, bytes: number, isVoid: boolean }

/** @param onFailure called when a removal could not be noted; the snapshot is removed then */
export function createRemovalJournal (snapshot: string, onFailure: (error: unknown) => void): RemovalJournal {
  const [file, coming] = journalsOf(snapshot)
  let current: OpenFile | null = null
  let next: OpenFile | null = null

  /** Opened by the first line that is appended: where nothing is removed there is no file. */
  function append (path: string): OpenFile {
    return { descriptor: openSync(path, 'a', 0o600), bytes: 0, isVoid: false }
  }

  function write (to: OpenFile, key: string | null): void {
    if (to.isVoid) return
    to.isVoid = key === null || to.bytes > maxBytes
    to.bytes += writeSync(to.descriptor, `${to.isVoid ? everything : JSON.stringify(key)}\n`)
  }

  function close (open: OpenFile | null): null {
    if (open !== null) closeSync(open.descriptor)
    return null
  }

  const forget = (): void => { removeIfOurs(snapshot) }

  let writing = false
  /** A removal since the snapshot was begun could not be noted. */
  let isIncomplete = false
  return {
    note (key) {
      try {
        current ??= append(file)
        write(current, key)
        if (!writing) return
        next ??= append(coming)
        write(next, key)
      } catch (error) {
        // What cannot be noted must not return: neither with the snapshot that there is nor with the one being written.
        isIncomplete = true
        forget()
        onFailure(error)
      }
    },

    begin () {
      rmSync(coming, { force: true })
      isIncomplete = false
      writing = true
    },

    end (replaced) {
      writing = false
      next = close(next)
      if (!replaced) return
      if (isIncomplete) forget()
      current = close(current)
      rmSync(file, { force: true })
      try {
        renameSync(coming, file)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    },

    close () {
      current = close(current)
      next = close(next)
    }
  }
}

/** The journal of a snapshot, and that of one which is being written. */
export function journalsOf (snapshot: string): readonly [string, string] {
  return [`${snapshot}.removed`, `${snapshot}.removed.coming`]
}

/** The keys noted for a snapshot; null when everything was removed, or the journal cannot be trusted. */
export async function readJournal (snapshot: string): Promise<ReadonlySet<string> | null> {
  const removed = new Set<string>()
  // A process that was killed between putting snapshot and journal in their places leaves both journals.
  for (const file of journalsOf(snapshot)) {
    try {
      if ((await stat(file)).size > maxBytes * 2) return null
      for (const line of (await readFile(file, 'utf8')).split('\n')) {
        if (line === everything) return null
        if (line !== '') removed.add(JSON.parse(line) as string)
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT') return null
    }
  }
  return removed
}
