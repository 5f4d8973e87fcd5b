/**
 * The stored responses of one process: bounded in bytes, entries and variants per key.
 *
 * Which of them leaves for lack of room is the matter of `eviction/`, which tells when one has left, so that the index
 * never names what is gone. What an entry says of its size has its places here and there in it (see `packed-entry.ts`).
 */
import { createExpiredFinder, isExpiredForGood } from './eviction/expired.ts'
import { createEviction } from './eviction/eviction.ts'
import { hashOfEntry } from './eviction/hash.ts'
import type { PolicyName } from './eviction/policy.ts'
import { Garbage } from './garbage.ts'
import { createKeyIndex, listOf, type Held } from './key-index.ts'
import { PackedEntry, policyBytes } from './packed-entry.ts'
import { createRouteUsages, routeOfScope } from './route-usage.ts'
import type { CacheStore, StoredEntry, StoreStatistics } from './store.ts'
import { createTagIndex } from './tag-index.ts'
import { TextArena } from './text-arena.ts'

export interface MemoryStoreOptions {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly maxVariants: number
  /** Who leaves first when room is needed; `adaptive` if absent. */
  readonly policy?: PolicyName
  /** Epoch milliseconds; `Date.now` if absent. */
  readonly now?: () => number
  /** Of the hashes of keys; random if absent. */
  readonly seed?: number
  /** Begins a garbage collection when much has left; V8's if absent. */
  readonly collect?: () => void
}

/** What routes say of the store as a whole; may change while it runs. */
export interface RouteRules {
  /** Share of `maxBytes` above which a route's responses leave first, by route name; others have no quota. */
  readonly quotas: ReadonlyMap<string, number>
  /** Longest time for which any route uses a stale response that does not say so itself, in milliseconds. */
  readonly graceMs: number
}

export interface MemoryStore extends CacheStore {
  /**
   * In force at once. What was stored before a route had a quota is counted against it a bounded batch per turn of the event
   * loop; resolves when all is. Never rejects.
   */
  setRouteRules (rules: RouteRules): Promise<void>
}

/** Entries that leave per turn of the event loop for one that is as large as many: one or two milliseconds of work. */
const mostEvictedAtOnce = 500
/** Share of `maxBytes` that may be above it meanwhile: what recordings may hold, which counts it as theirs until there is room (`context.ts`). */
const mostExcess = 1 / 2

/** Share of `maxBytes` that texts may leave unused before what is left of them is moved together. */
const mostSlack = 1 / 8
/** Less is not worth it, but for stores of a few megabytes. */
const worthwhileBytes = 2 * 1024 * 1024
const leastSlackBytes = 512 * 1024
/** Of what they leave unused, as much counts for nothing. */
const freeSlackBytes = 256 * 1024

/** Entries looked at per turn of the event loop by `removeWhere`, for quotas, and where texts are moved: about a millisecond of work. */
const batchEntries = 2000
/** Where content is copied or freed, so many bytes of it count as one entry more. */
const bytesPerVisit = 2048

export function createMemoryStore (options: MemoryStoreOptions): MemoryStore {
  const { maxBytes, maxEntries, maxVariants, now = Date.now, seed = Math.floor(Math.random() * 2 ** 32) } = options
  const index = createKeyIndex()
  const tags = createTagIndex()
  const routes = createRouteNumbers()
  const usages = createRouteUsages()
  const garbage = new Garbage(maxBytes, options.collect)
  const mostSlackBytes = Math.max(leastSlackBytes, Math.min(worthwhileBytes, maxBytes / 4), maxBytes * mostSlack)
  const noteDropped = (bytes: number): void => { garbage.add(bytes) }
  let texts = new TextArena(noteDropped)
  let isMovingTexts = false
  const evictionsBy = { expired: 0, quota: 0, variants: 0, room: 0 }
  let quotaBytes: ReadonlyMap<string, number> = new Map()
  let graceSeconds = 0
  let isMakingRoom = false

  const { policy = 'adaptive' } = options
  const eviction = createEviction<StoredEntry>({
    policy,
    maxBytes,
    maxEntries,
    onEvict (entry, cause) {
      evictionsBy[cause]++
      unlist(entry)
    },
    findDead: createExpiredFinder(index.held, entry => isExpiredForGood(entry, now(), graceSeconds)),
    itemOverheadBytes: policyBytes,
    unusedBytes: () => Math.min(mostSlackBytes, Math.max(0, texts.slackBytes - freeSlackBytes)),
    steps: { mostItems: mostEvictedAtOnce, mostExcessBytes: maxBytes * mostExcess },
    quotas: { groupOf: entry => routes.ofScope(entry.scope), sizeOf: entry => entry.sizeBytes }
  })

  function unlist (entry: StoredEntry): void {
    if (!index.remove(entry)) return
    tags.remove(entry)
    usages.remove(entry)
    garbage.add(entry.sizeBytes - (entry instanceof PackedEntry ? entry.release() : 0))
    if (texts.slackBytes > mostSlackBytes && !isMovingTexts) moveTexts()
  }

  /** Moves texts together, some in a turn of the event loop, where many have left for what is no text: their memory would never be of use again. */
  function moveTexts (): void {
    isMovingTexts = true
    const arena = texts
    const isSome = arena.vacate()
    const moving = inBatches(entry => { if (entry instanceof PackedEntry) entry.moveIn(arena) }, true)
    moving.catch(() => {}).finally(() => {
      isMovingTexts = false
      // As many may have left meanwhile, and nobody after them.
      if (isSome && texts.slackBytes > mostSlackBytes) moveTexts()
    })
  }

  /** Frees what was dropped at once, from the next turn of the event loop on: of those that somebody still has, each would keep the memory of all. */
  function releaseAll (left: Iterable<Held>): void {
    setImmediate(() => {
      // What was stored anew meanwhile stays.
      inBatches(entry => { if (entry instanceof PackedEntry && !eviction.policy.has(entry)) entry.release() }, true, left).catch(() => {})
    })
  }

  function remove (entry: StoredEntry): void {
    if (eviction.remove(entry)) unlist(entry)
  }

  /** @param before leaves for it */
  function takeIn (entry: StoredEntry, before: StoredEntry | null, costMs: number): boolean {
    if (before !== null) unlist(before)
    const oldest = index.add(entry, maxVariants)
    usages.add(entry)
    tags.add(entry)
    if (oldest !== null) {
      evictionsBy.variants++
      remove(oldest)
    }
    if (before === null) return eviction.insert(entry, hashOfEntry(entry, seed), entry.sizeBytes, costMs)
    // A request led to it, so it counts as one.
    eviction.policy.touch(before)
    return eviction.replace(before, entry, entry.sizeBytes, costMs)
  }

  /** Where there was no memory to take an entry in: what is listed and not counted could not be removed, nor what is counted and not listed. */
  function withdraw (entry: StoredEntry, before: StoredEntry | null): void {
    if (before !== null) eviction.remove(before)
    eviction.remove(entry)
    unlist(entry)
    if (entry instanceof PackedEntry) entry.release()
  }

  function makeRoom (): void {
    eviction.makeRoom()
    makeMoreRoom()
  }

  /** In the next turns of the event loop, where more has to leave than may in one. */
  function makeMoreRoom (): void {
    if (isMakingRoom || eviction.excessBytes === 0) return
    isMakingRoom = true
    setImmediate(() => {
      isMakingRoom = false
      makeRoom()
    })
  }

  /** A Map may be changed while it is iterated; what is added behind us was stored after the call. */
  async function inBatches (visit: (entry: StoredEntry) => void, countsBytes = false, walk: Iterable<Held> = index.held()): Promise<void> {
    let seen = 0
    for (const held of walk) {
      for (const entry of listOf(held)) {
        visit(entry)
        seen += countsBytes ? 1 + entry.sizeBytes / bytesPerVisit : 1
      }
      if (seen >= batchEntries) {
        seen = 0
        await new Promise(resolve => { setImmediate(resolve) })
      }
    }
  }

  return {
    get excessBytes () { return eviction.excessBytes },

    variants: index.variants,

    * entries () {
      for (const held of index.held()) {
        // Of several variants a copy, from which none is missed when one goes.
        if (Array.isArray(held)) yield * listOf(held)
        else yield held
      }
    },

    tagged: tags.tagged,
    grouped: tags.grouped,

    * ofUri (uri) {
      yield * [...index.variants(uri)]
      yield * tags.keyed(uri)
    },

    touch (entry) {
      eviction.policy.touch(entry)
      usages.hit(entry)
    },

    put (entry, replaces, costMs = 0) {
      // What has left has nothing left to be stored.
      if (entry.sizeBytes > maxBytes || (entry instanceof PackedEntry && entry.isReleased)) {
        if (replaces !== null) remove(replaces)
        return false
      }
      if (eviction.policy.has(entry)) {
        entry.lend?.()
        remove(entry)
      }
      if (entry instanceof PackedEntry) entry.keepIn(texts)
      const before = replaces !== null && eviction.policy.has(replaces) ? replaces : null
      try {
        const isStored = takeIn(entry, before, costMs)
        makeMoreRoom()
        return isStored
      } catch (error) {
        withdraw(entry, before)
        throw error
      }
    },

    remove,

    removeKey (key) {
      const doomed = [...index.variants(key)]
      for (const entry of doomed) remove(entry)
      return doomed.length
    },

    async removeWhere (predicate) {
      let removed = 0
      await inBatches(entry => {
        if (!predicate(entry)) return
        remove(entry)
        removed++
      })
      return removed
    },

    clear () {
      garbage.add(eviction.policy.bytes)
      // First of all, for what is listed and not counted could not be removed: it throws, and changes nothing, where there is no memory.
      releaseAll(index.clear())
      texts = new TextArena(noteDropped)
      tags.clear()
      usages.clear()
      eviction.clear()
    },

    async setRouteRules ({ quotas, graceMs }) {
      graceSeconds = graceMs / 1000
      quotaBytes = new Map([...quotas].map(([route, share]) => [route, share * maxBytes]))
      const isNew = eviction.setQuotas(new Map([...quotaBytes].map(([route, bytes]) => [routes.ofName(route), bytes])))
      if (!isNew) return
      const counting = inBatches(eviction.count)
      // Counting takes memory, which is taken from the room.
      makeRoom()
      await counting
      makeRoom()
    },

    statistics (): StoreStatistics {
      const { bytes, count } = eviction.policy
      return {
        bytes: bytes - eviction.excessBytes,
        maxBytes,
        entries: count,
        maxEntries,
        evictions: Object.values(evictionsBy).reduce((sum, evictions) => sum + evictions, 0),
        keys: index.keys,
        tags: tags.tags,
        memory: { evictionsBy: { ...evictionsBy }, policy, eviction: eviction.policy.statistics(), routes: routeStatistics() }
      }
    }
  }

  function routeStatistics (): NonNullable<StoreStatistics['memory']>['routes'] {
    const used = usages.statistics()
    const names = new Set([...Object.keys(used), ...quotaBytes.keys()])
    return Object.fromEntries([...names].map(route => {
      const quota = quotaBytes.get(route)
      return [route, { ...used[route] ?? { entries: 0, bytes: 0, hits: 0 }, ...quota !== undefined && { quotaBytes: quota } }]
    }))
  }
}

/** Numbers routes by name, and finds that of a scope's route. */
function createRouteNumbers (): { ofName: (name: string) => number, ofScope: (scope: string) => number } {
  const names = new Map<string, number>()
  const scopes = new Map<string, number>()
  function ofName (name: string): number {
    const known = names.get(name)
    if (known !== undefined) return known
    names.set(name, names.size)
    return names.size - 1
  }
  return {
    ofName,
    ofScope (scope) {
      let number = scopes.get(scope)
      if (number === undefined) scopes.set(scope, number = ofName(routeOfScope(scope)))
      return number
    }
  }
}
