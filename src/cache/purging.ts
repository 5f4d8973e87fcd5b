/**
 * Purges: what an operator or an application takes out of the cache, or has validated before it is used again.
 *
 * A purge wins over what is under way: it is noted before the first response goes, and what was asked for earlier is not
 * stored (see removal-log.ts). Of a tag that is known exactly, once the response's own tags are; of a place, whatever is
 * under way is taken as meant.
 */
import { dropAll, type CacheContext } from './context.ts'
import { currentAge } from './freshness.ts'
import { uriKey } from './key.ts'
import { selected, type Selection, type SelectionKind } from './selection.ts'
import type { StoredEntry } from './store.ts'
import { tagKey } from './tags.ts'

/** `hard`: gone. `soft`: stale from now on, so that validation and the rules for stale responses apply. */
export type PurgeMode = 'hard' | 'soft'

export interface PurgeOptions {
  readonly mode?: PurgeMode
  /** Only count. */
  readonly dryRun?: boolean
}

/** What was purged, or would be. */
export interface PurgeCount {
  /** Stored responses. A soft purge counts those that were stale already, too. */
  readonly responses: number
  readonly bytes: number
}

export interface PurgeStatistics extends PurgeCount { readonly purges: number }

/** Of purges that changed something or could have; dry runs do not count. */
export type PurgeCounts = Partial<Record<SelectionKind, Partial<Record<PurgeMode, PurgeStatistics>>>>

/** @param now epoch milliseconds */
export async function purge (context: CacheContext, selection: Selection, { mode = 'hard', dryRun = false }: PurgeOptions, now: number): Promise<PurgeCount> {
  const done = { responses: 0, bytes: 0 }
  const keys = keysOf(context, selection)
  const tell = (): void => { for (const key of keys) context.onRemoval(key) }
  if (!dryRun) {
    note(context, selection)
    tell()
  }
  try {
    if (isEverything(selection) && (dryRun || mode === 'hard')) purgeAll(context, dryRun, done)
    else {
      await context.turns.run(selected(context, selection), entry => {
        if (entry === null) return
        done.responses++
        done.bytes += entry.sizeBytes
        if (dryRun) return
        if (mode === 'hard') context.store.remove(entry)
        else makeStale(entry, now)
      })
    }
  } finally {
    if (!dryRun) {
      // Again: a snapshot begun meanwhile may have some of them.
      tell()
      count(context, selection.kind, mode, done)
    }
  }
  return done
}

function isEverything ({ targets, tags, places }: Selection): boolean {
  return targets === null && tags === null && places === null
}

/**
 * Everything goes in one step that visits nothing: the store knows how much it holds, and lets go of it as a whole. What was
 * let go of is memory that the engine frees by and by, as it does with each response that leaves.
 */
function purgeAll (context: CacheContext, dryRun: boolean, done: { responses: number, bytes: number }): void {
  const { entries, bytes } = context.store.statistics()
  if (!dryRun) dropAll(context)
  Object.assign(done, { responses: entries, bytes })
}

function note ({ removals, tagPurges }: CacheContext, { targets, tags }: Selection): void {
  if (targets !== null) for (const target of targets) removals.note(uriKey(target))
  else if (tags !== null) for (const tag of tags) tagPurges.note(tag)
  else removals.noteAll()
}

/** What is told of a selection. */
function keysOf ({ searches }: CacheContext, { targets, tags }: Selection): ReadonlyArray<string | null> {
  if (targets !== null) {
    return targets.flatMap(target => {
      const other = searches.find(target)
      return other === null ? [uriKey(target)] : [uriKey(target), other.key]
    })
  }
  return tags === null ? [null] : tags.map(tagKey)
}

/** Its lifetime ends now: what may be done with a stale response is counted from this moment. */
function makeStale ({ response }: StoredEntry, now: number): void {
  const age = currentAge(response, now)
  // The one thing about a stored response that changes in place: a copy would have to be stored anew, a million times.
  if (age < response.freshnessLifetime) (response as { freshnessLifetime: number }).freshnessLifetime = age
}

function count ({ purges }: CacheContext, kind: SelectionKind, mode: PurgeMode, { responses, bytes }: PurgeCount): void {
  const before = purges[kind]?.[mode] ?? { purges: 0, responses: 0, bytes: 0 }
  purges[kind] = { ...purges[kind], [mode]: { purges: before.purges + 1, responses: before.responses + responses, bytes: before.bytes + bytes } }
}
