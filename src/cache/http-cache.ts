/**
 * Joins the decisions of RFC 9111 with a store: look up, record, freshen, invalidate.
 *
 * The decisions are pure functions; the actions beside this file read and change the store. A store that throws makes a
 * miss, a counted failure and a warning, never an error to a client.
 */
import { fieldValue, type FieldMap } from '../http/fields.ts'
import { createContext, dropAll, isStored, isSuperseded } from './context.ts'
import { discardInvalidated } from './discarding.ts'
import { freshen, staleOnError, updateFromHead } from './freshening.ts'
import { primaryKey, uriKey, type KeyParts } from './key.ts'
import { listEntries, type ListOptions, type Listing } from './listing.ts'
import { findHit, isAnsweredByNotModified, lookUp, noteHit, type CacheForward, type CacheHit, type CacheLookup, type CacheRequest } from './lookup.ts'
import { purge, type PurgeCount, type PurgeCounts, type PurgeOptions } from './purging.ts'
import { record, type ReceivedResponse, type Recording, type SharedHead } from './recording.ts'
import { mayReturn, restore, type ScopeRules } from './restoring.ts'
import { decideReuse } from './reuse.ts'
import { selected, type Selection } from './selection.ts'
import type { CacheOutcome } from './status.ts'
import type { CacheStore, StoredEntry, StoreStatistics } from './store.ts'
import { hiddenTagFields, takeTags, type TagRules } from './tags.ts'
import { selects } from './vary.ts'

export type { CacheForward, CacheHit, CacheLookup, CacheRequest } from './lookup.ts'
export type { ReceivedResponse, Recording } from './recording.ts'

export interface HttpCacheOptions {
  readonly store: CacheStore
  /** Called when the store throws. */
  readonly onFailure: (error: unknown) => void
  /** Fields that carry tags; `Surrogate-Key` and `Cache-Tag` by default. */
  readonly tagRules?: TagRules
  /** Called for all that is purged or invalidated, with the key of a URI, group or tag; with null when it is not a matter of keys. */
  readonly onRemoval?: (key: string | null) => void
}

export interface CacheStatistics extends StoreStatistics {
  /** Responses on their way into the store, and their bytes so far. */
  readonly recordings: number
  readonly recordingBytes: number
  /** Spellings of queries by which responses with `No-Vary-Search` are found, and bytes of that index. */
  readonly searchEntries: number
  readonly searchBytes: number
  /** Calls of the store that threw. */
  readonly failures: number
  /** Requests answered without asking the upstream. */
  readonly hits: number
  /** Requests that no stored response could answer. */
  readonly misses: number
  /** Requests answered with a stale response. */
  readonly stale: number
  /** Requests answered with the response that another one had asked for. */
  readonly collapsed: number
  readonly purges: PurgeCounts
}

/** A response that another request asked for, as it answers one that waited; its content streams. */
export interface SharedAnswer {
  readonly statusCode: number
  readonly lines: readonly string[]
  readonly notModified: boolean
  /** `Cache-Status` of caches nearer to the origin server, which is not among the lines. */
  readonly cacheStatus: FieldMap[string]
  /** Whole seconds. */
  readonly age: number
  readonly outcome: CacheOutcome
}

export interface HttpCache {
  /** @param key the primary key of the request, where it is known */
  lookup (request: CacheRequest, now: number, key?: string): CacheLookup
  /** A hit that one fresh stored response makes, without leaving a trace; null for all else. Once it is used, `noteHit` has to hear of it. */
  findHit (key: string, request: CacheRequest, now: number): CacheHit | null
  noteHit (hit: CacheHit): void
  record (lookup: CacheForward, response: ReceivedResponse, maxBytes: number): { recording: Recording | null, outcome: CacheOutcome }
  freshen (lookup: CacheForward, response: ReceivedResponse): CacheHit | null
  updateFromHead (lookup: CacheForward, response: ReceivedResponse): void
  onUpstreamFailure (lookup: CacheForward, now: number, fwdStatus: number | null): CacheHit | null
  /** False once what it asks for was invalidated since: the answer must not be given to who asks now. */
  isCurrent (lookup: CacheForward): boolean
  /** The answer that another request's response makes for one that waited for it; null when it may not use it. */
  share (lookup: CacheForward, head: SharedHead, now: number): SharedAnswer | null
  /** Whether a response that has come was purged, or its URI or group invalidated, after it was asked for. */
  isOutdated (head: SharedHead): boolean
  /** Removes all under the keys of target URIs that changed (RFC 9111 4.4), and the groups that they belonged to (RFC 9875 2.2.1); returns the keys of these. */
  invalidate (targets: readonly KeyParts[]): readonly string[]
  /** What an unsafe request's answer says of groups (RFC 9875 3), by their keys. */
  invalidateGroups (keys: readonly string[]): void
  /** Removes what was stored under rules that are no longer in force. */
  retainScopes (scopes: Pick<ScopeRules, 'has'>): Promise<number>
  /** Takes out, or makes stale, what is selected, some milliseconds in a turn of the event loop. Rejects when the store throws. */
  purge (selection: Selection, options: PurgeOptions, now: number): Promise<PurgeCount>
  /** A page of what is stored. */
  list (selection: Selection, options: ListOptions): Promise<Listing>
  /** Everything under some target URIs. */
  find (targets: readonly KeyParts[]): Promise<readonly StoredEntry[]>
  /** Names, in lower case, of response fields that are for this cache alone. */
  readonly hiddenFields: ReadonlySet<string>
  /** All that is stored; may be iterated while that changes. */
  entries (): Iterable<StoredEntry>
  /** Whether it is worth keeping over a restart: fresh, and not invalidated. */
  mayReturn (entry: StoredEntry, now: number): boolean
  /** This moment in the order of removals. */
  moment (): number
  /**
   * Stores again what was stored before a restart; false when it may not return: it is stale, was stored under rules no longer
   * in force, removed since its moment, or what is stored meanwhile is for the same requests.
   */
  restore (entry: StoredEntry, now: number, scopes: ScopeRules): boolean
  statistics (): CacheStatistics
  clear (): void
}

export function createHttpCache (options: HttpCacheOptions): HttpCache {
  const { store } = options
  const context = createContext(store, options.onFailure, options.tagRules, options.onRemoval)
  const { removals, invalidations, searches, counts, safely } = context

  function tagged (response: ReceivedResponse): ReceivedResponse {
    const { tags, fields } = takeTags(response.fields, context.tagRules)
    return tags === null ? response : { ...response, tags, fields }
  }

  function noteGroup (group: string): void {
    invalidations.note(group)
    context.onRemoval(group)
    discardInvalidated(context, () => store.grouped(group))
  }

  return {
    lookup: (request, now, key) => lookUp(context, request, now, key),
    findHit: (key, request, now) => findHit(context, key, request, now),
    noteHit: hit => { noteHit(context, hit) },
    record: (lookup, response, maxBytes) => record(context, lookup, tagged(response), maxBytes),
    freshen: (lookup, response) => freshen(context, lookup, tagged(response)),
    updateFromHead: (lookup, response) => updateFromHead(context, lookup, tagged(response)),
    onUpstreamFailure: (lookup, now, fwdStatus) => staleOnError(context, lookup, now, fwdStatus),

    isCurrent: ({ request, moment }) => !removals.happenedSince(uriKey(request), moment),

    share (lookup, head, now) {
      const { request, control } = lookup
      if (!selects(request.fields, head.response.selecting, request.rules.vary)) return null
      // It was asked for before a purge, and this request came after it.
      if (isSuperseded(context, head.place) && !isSuperseded(context, { ...head.place, moment: lookup.moment })) return null
      const decision = decideReuse(head.response, control, request.rules, now)
      // A stale one would have to be validated first, which is what this request waited for.
      if (!decision.reuse || decision.ttl < 0) return null
      counts.collapsed++
      const { response, commonLines } = head
      const notModified = isAnsweredByNotModified(request, response, now)
      return {
        statusCode: notModified ? 304 : response.statusCode,
        lines: notModified ? commonLines : [...commonLines, ...head.contentLines, ...lengthLine(response.fields)],
        notModified,
        cacheStatus: response.fields['cache-status'],
        age: decision.age,
        outcome: { ...lookup.outcome, fwdStatus: response.statusCode, collapsed: true, ttl: decision.ttl, detail: decision.detail ?? lookup.outcome.detail }
      }
    },

    isOutdated: head => isSuperseded(context, head.place),

    invalidate (targets) {
      const groups = new Set<string>()
      safely(undefined, () => {
        for (const target of targets) {
          const uri = uriKey(target)
          removals.note(uri)
          context.onRemoval(uri)
          // Responses under other keys of the same URI are recognised when they are looked up, until they are removed.
          if (context.severalKeys || !searches.isEmpty()) invalidations.note(uri)
          if (context.severalKeys) discardInvalidated(context, () => store.ofUri(uri))
          for (const entry of store.variants(primaryKey(target))) for (const group of entry.groups) groups.add(group)
          store.removeKey(uri)
        }
      })
      for (const group of groups) noteGroup(group)
      return [...groups]
    },

    invalidateGroups (keys) { for (const key of keys) noteGroup(key) },

    retainScopes (scopes) {
      removals.noteAll()
      return store.removeWhere(entry => !scopes.has(entry.scope))
    },

    purge: (selection, options, now) => purge(context, selection, options, now),
    list: (selection, options) => listEntries(context, selection, options),

    async find (targets) {
      const found: StoredEntry[] = []
      await context.turns.run(selected(context, { kind: 'url', targets, tags: null, places: null }), entry => {
        // What is walked through may be a copy, and some of it have left meanwhile.
        if (entry === null || !isStored(context, entry)) return true
        entry.lend?.()
        return found.push(entry) < maxFound
      })
      return found
    },

    hiddenFields: hiddenTagFields(context.tagRules),

    entries: () => store.entries(),
    mayReturn: (entry, now) => mayReturn(context, entry, now),
    moment: removals.moment,
    restore: (entry, now, scopes) => context.safely(false, () => restore(context, entry, now, scopes)),

    statistics () {
      const { entries: searchEntries, bytes: searchBytes } = searches.statistics()
      const { running: recordings, usedBytes, waitingBytes } = context.budget
      return { ...store.statistics(), recordings, recordingBytes: usedBytes + waitingBytes, searchEntries, searchBytes, ...counts, purges: context.purges }
    },

    clear () {
      removals.noteAll()
      safely(undefined, () => { dropAll(context) })
    }
  }
}

/** Entries of one URI that are looked at: keyed by cookies, there may be any number. */
const maxFound = 1000

/** Of a response that still streams the origin server's own length is the only one known. */
function lengthLine (fields: FieldMap): readonly string[] {
  const length = fieldValue(fields, 'content-length')
  return length === undefined ? [] : ['content-length', length]
}
