/**
 * Leads from a tag or a cache group to the stored responses that have it, and from a URI to those stored under other keys
 * than its own.
 *
 * It holds what the store holds and no more: the store tells it of every entry that comes and goes.
 */
import { ShardedMap } from './sharded-map.ts'
import type { StoredEntry } from './store.ts'

export interface TagIndex {
  add (entry: StoredEntry): void
  remove (entry: StoredEntry): void
  clear (): void
  /** May be iterated while the index changes. */
  tagged (tag: string): Iterable<StoredEntry>
  /** May be iterated while the index changes. */
  grouped (group: string): Iterable<StoredEntry>
  /** Entries of the URI whose key has more in it than the URI. */
  keyed (uri: string): Iterable<StoredEntry>
  /** Different tags. */
  readonly tags: number
}

/** What an entry costs here for each of its tags and groups, in bytes: its place in a set, or the tag's own place where nobody shares it; measured with `npm run bench:purge`. */
export const tagOverheadBytes = 120

/** Many tags are for one response alone, which is spared its set. */
type Members = ShardedMap<StoredEntry | Set<StoredEntry>>

export function createTagIndex (): TagIndex {
  const byTag: Members = new ShardedMap()
  const byGroup: Members = new ShardedMap()
  const byUri: Members = new ShardedMap()

  return {
    add (entry) {
      for (const tag of entry.tags) join(byTag, tag, entry)
      for (const group of entry.groups) join(byGroup, group, entry)
      if (entry.key !== entry.uri) join(byUri, entry.uri, entry)
    },
    remove (entry) {
      for (const tag of entry.tags) leave(byTag, tag, entry)
      for (const group of entry.groups) leave(byGroup, group, entry)
      if (entry.key !== entry.uri) leave(byUri, entry.uri, entry)
    },
    clear () {
      byTag.clear()
      byGroup.clear()
      byUri.clear()
    },
    tagged: tag => membersOf(byTag, tag),
    grouped: group => membersOf(byGroup, group),
    keyed: uri => membersOf(byUri, uri),
    get tags () { return byTag.size }
  }
}

function join (index: Members, name: string, entry: StoredEntry): void {
  const members = index.get(name)
  if (members === undefined) index.set(name, entry)
  else if (members instanceof Set) members.add(entry)
  else if (members !== entry) index.set(name, new Set([members, entry]))
}

function leave (index: Members, name: string, entry: StoredEntry): void {
  const members = index.get(name)
  if (members === entry) index.delete(name)
  // A set that got small stays one: what shrank may grow again.
  else if (members instanceof Set && members.delete(entry) && members.size === 0) index.delete(name)
}

function membersOf (index: Members, name: string): Iterable<StoredEntry> {
  const members = index.get(name)
  if (members === undefined) return []
  return members instanceof Set ? members : [members]
}
