/** Makes one answer of what several workers say of their caches. */
import type { EntriesPage, EntriesQuery, EntryAnswer, PurgeResult } from '../admin/schemas.ts'
import { comparePlaces } from '../cache/listing.ts'
import { parseCursor } from '../proxy/command.ts'
import { addUp } from './add-up.ts'

/** What a worker said, and which one it was. */
export interface FromWorker<T> { readonly worker: number, readonly answer: T }

const defaultLimit = 50

export function joinPurges (answers: ReadonlyArray<FromWorker<PurgeResult>>): PurgeResult {
  const results = answers.map(({ answer }) => answer)
  const sum = (read: (result: PurgeResult) => number): number => results.reduce((total, result) => total + read(result), 0)
  const { mode, dryRun } = results[0] as PurgeResult
  return { mode, dryRun, responses: sum(({ responses }) => responses), bytes: sum(({ bytes }) => bytes) }
}

/** The first of all pages, put in one order. */
export function joinPages (answers: ReadonlyArray<FromWorker<EntriesPage>>, { limit = defaultLimit }: EntriesQuery): EntriesPage {
  const all = answers.flatMap(({ worker, answer }) => answer.entries.map(row => ({ ...row, worker })))
  all.sort((a, b) => comparePlaces(parseCursor(a.cursor), parseCursor(b.cursor)))
  const entries = all.slice(0, limit)
  const isLast = all.length <= limit && answers.every(({ answer }) => answer.next === null)
  return {
    entries,
    next: isLast ? null : entries.at(-1)?.cursor ?? null,
    scanned: answers.reduce((sum, { answer }) => sum + answer.scanned, 0),
    complete: answers.every(({ answer }) => answer.complete)
  }
}

export function joinEntries (answers: ReadonlyArray<FromWorker<EntryAnswer>>): EntryAnswer {
  return { entries: answers.flatMap(({ worker, answer }) => answer.entries.map(view => ({ ...view, worker }))) }
}

export function joinStatistics (answers: readonly FromWorker<object>[]): object {
  return { workers: answers.length, ...addUp(answers.map(({ answer }) => answer)) as object }
}
