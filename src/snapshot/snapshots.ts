/**
 * The snapshot of a running cache: read in the background at the start, written now and then and at the end. Whatever goes
 * wrong with it is logged, and the cache is then as it would be without.
 */
import { rm } from 'node:fs/promises'
import type { HttpCache } from '../cache/http-cache.ts'
import type { PackedEntry } from '../cache/packed-entry.ts'
import type { ScopeRules } from '../cache/restoring.ts'
import { tagKey } from '../cache/tags.ts'
import { isForeign } from './foreign.ts'
import { createRemovalJournal, readJournal } from './journal.ts'
import { readSnapshot } from './reader.ts'
import { unfinishedOf, writeSnapshot } from './writer.ts'

export interface SnapshotsInput {
  readonly file: string
  /** Between two snapshots; 0 for none but the last. */
  readonly intervalMs: number
  readonly cache: Pick<HttpCache, 'entries' | 'mayReturn' | 'moment' | 'restore'>
  readonly log: { info (details: object, message: string): void, warn (details: object, message: string): void }
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Those in force. */
  readonly scopes: () => ScopeRules
}

export interface SnapshotStatistics {
  /** Stored responses that came back from the snapshot. */
  readonly loaded: number
  /** Snapshots written. */
  readonly written: number
  /** Snapshots that could not be written. */
  readonly failed: number
  /** Stored responses in the last one written. */
  readonly entries: number
  /** Length of the last one written. */
  readonly bytes: number
  /** How long that took, and how long loading did, in milliseconds. */
  readonly writeMs: number
  readonly loadMs: number
  /** When it was in its place, ISO 8601; null before the first. */
  readonly writtenAt: string | null
}

export interface Snapshots {
  /** Brings back what may return. Never rejects. */
  load (): Promise<void>
  /** Begins to write at every interval, once what is being loaded is there. */
  start (): void
  /** Has to hear of everything that the cache removes (`HttpCacheOptions.onRemoval`). */
  noteRemoval (key: string | null): void
  /** Writes the last one; none where nothing was loaded, since there may be more in the file than in the cache. Never rejects. */
  close (): Promise<void>
  statistics (): SnapshotStatistics
}

export function createSnapshots ({ file, intervalMs, cache, log, now, scopes }: SnapshotsInput): Snapshots {
  const counts = { loaded: 0, written: 0, failed: 0, entries: 0, bytes: 0, writeMs: 0, loadMs: 0, writtenAt: null as string | null }
  let isJournalBroken = false
  const journal = createRemovalJournal(file, error => {
    // A full disk would say so with every removal.
    if (!isJournalBroken) log.warn({ err: error, code: 'snapshot_journal_failed', file }, 'what was removed could not be noted; the snapshot was removed')
    isJournalBroken = true
  })
  /** What reads or writes the file, one after the other; null before it was read. */
  let work: Promise<void> | null = null
  let timer: NodeJS.Timeout | null = null
  let isClosing = false

  async function read (): Promise<void> {
    const startedAt = performance.now()
    // Before anything is read: what is removed from now on stays out.
    const moment = cache.moment()
    const inForce = scopes()
    await rm(unfinishedOf(file), { force: true })
    const removed = await readJournal(file)
    if (removed === null) {
      log.warn({ code: 'snapshot_void', file }, 'the snapshot is not used: too much was removed since it was written')
      return
    }
    const isRemoved = ({ key, uri, groups, tags }: PackedEntry): boolean => removed.size > 0 &&
      (removed.has(key) || removed.has(uri) || groups.some(group => removed.has(group)) || tags.some(tag => removed.has(tagKey(tag))))
    const { entries, problem } = await readSnapshot(file, moment, entry => {
      if (!isRemoved(entry) && cache.restore(entry, now(), inForce)) counts.loaded++
    })
    if (problem !== null) log.warn({ code: `snapshot_${problem}`, file, entries }, 'the snapshot, or the rest of it, is not used')
    counts.loadMs = Math.round(performance.now() - startedAt)
    log.info({ file, entries, loaded: counts.loaded, ms: counts.loadMs }, 'snapshot loaded')
  }

  async function write (): Promise<void> {
    const startedAt = performance.now()
    let isInPlace = false
    try {
      if (isForeign(file)) {
        counts.failed++
        log.warn({ code: 'snapshot_foreign', file }, 'no snapshot is written while there is another file in its place')
        return
      }
      journal.begin()
      try {
        const written = await writeSnapshot(file, cache.entries(), entry => cache.mayReturn(entry, now()))
        isInPlace = true
        Object.assign(counts, written)
        counts.written++
        counts.writeMs = Math.round(performance.now() - startedAt)
        counts.writtenAt = new Date(now()).toISOString()
      } finally {
        journal.end(isInPlace)
      }
      isJournalBroken = false
      log.info({ file, entries: counts.entries, bytes: counts.bytes, ms: counts.writeMs }, 'snapshot written')
    } catch (error) {
      counts.failed++
      log.warn({ err: error, code: 'snapshot_not_written', file }, 'the snapshot could not be written')
    }
  }

  function schedule (): void {
    if (intervalMs === 0 || isClosing) return
    timer = setTimeout(() => {
      work = write().then(schedule)
    }, intervalMs)
    timer.unref()
  }

  return {
    load () {
      work = read().catch((error: unknown) => { log.warn({ err: error, code: 'snapshot_unreadable', file }, 'the snapshot could not be read') })
      return work
    },

    start () { work = (work ?? Promise.resolve()).then(schedule) },

    noteRemoval: journal.note,

    async close () {
      isClosing = true
      if (timer !== null) clearTimeout(timer)
      if (work !== null) {
        await work
        await write()
      }
      journal.close()
    },

    statistics: () => ({ ...counts })
  }
}
