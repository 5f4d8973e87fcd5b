/** Which stored responses are meant: by an operator who purges them, or who looks at them. */
import { locateUriParts, uriKey, type KeyParts, type UriPlaces } from './key.ts'
import type { CacheContext } from './context.ts'
import type { StoredEntry } from './store.ts'

/** What an operator chose by; a label of metrics. */
export const selectionKinds = ['url', 'tag', 'prefix', 'host', 'route', 'all'] as const
export type SelectionKind = typeof selectionKinds[number]

/** Where responses of one route count as meant. */
export interface SelectedPlace {
  /** As in the key; null for every host. */
  readonly authority: string | null
  /** Beginnings of paths as in the key; null for every path. */
  readonly prefixes: readonly string[] | null
}

export interface Selection {
  readonly kind: SelectionKind
  /** Target URIs: everything under each of their keys. Null where it is not a matter of URIs. */
  readonly targets: readonly KeyParts[] | null
  /** One of them is enough; null where it is not a matter of tags. */
  readonly tags: readonly string[] | null
  /** By scope: responses of any other one are not meant. Null for everywhere. */
  readonly places: ReadonlyMap<string, SelectedPlace> | null
}

/**
 * The stored responses that are meant, each once, and null for each that was looked at and is not: whoever walks a million
 * of them wants to rest in between. May be iterated while the store changes.
 */
export function * selected (context: CacheContext, { targets, tags, places }: Selection): Iterable<StoredEntry | null> {
  const { store, searches, clearings } = context
  // What was dropped as a whole meanwhile still hangs together, but is not stored any more.
  const isDropped = (): boolean => context.clearings !== clearings
  if (targets !== null) {
    const seen = new Set<string>()
    for (const target of targets) {
      // What another query was answered with answers this one, too, where its origin server says so.
      const other = searches.find(target)
      for (const uri of [uriKey(target), ...other === null ? [] : [other.key]]) {
        if (seen.has(uri)) continue
        seen.add(uri)
        for (const entry of store.ofUri(uri)) {
          if (isDropped()) return
          yield entry
        }
      }
    }
  } else if (tags !== null) {
    for (const tag of new Set(tags)) {
      for (const entry of store.tagged(tag)) {
        if (isDropped()) return
        yield tags.find(one => entry.tags.includes(one)) === tag && isWithin(entry, places) ? entry : null
      }
    }
  } else {
    for (const entry of store.entries()) {
      if (isDropped()) return
      yield isWithin(entry, places) ? entry : null
    }
  }
}

function isWithin ({ scope, uri }: StoredEntry, places: Selection['places']): boolean {
  if (places === null) return true
  const place = places.get(scope)
  if (place === undefined) return false
  const { authority, prefixes } = place
  if (authority === null && prefixes === null) return true
  const at = locateUriParts(uri, found)
  if (at.path === -1 || (authority !== null && (at.path - at.authority !== authority.length || !uri.startsWith(authority, at.authority)))) return false
  return prefixes === null || prefixes.some(prefix => prefix.length <= at.query - at.path && uri.startsWith(prefix, at.path))
}

/** One for all: nothing else runs while an entry is looked at. */
const found: UriPlaces = { authority: -1, path: -1, query: -1 }
