/**
 * Leads from a primary key to the responses stored under it, oldest first.
 *
 * Most keys have one response, which stands there itself; a list of one would cost 56 bytes.
 */
import { KeyTable } from './key-table.ts'
import { PackedEntry } from './packed-entry.ts'
import type { StoredEntry } from './store.ts'

/** What stands under one key. */
export type Held = StoredEntry | StoredEntry[]

export interface KeyIndex {
  readonly keys: number
  /** Not to be changed; an empty list if there are none. */
  variants (key: string): readonly StoredEntry[]
  /** @returns the oldest under this key when there are more than `most` now, else null */
  add (entry: StoredEntry, most: number): StoredEntry | null
  /** False for an entry that is not here. */
  remove (entry: StoredEntry): boolean
  /** Visits nothing; what stood under each key may be walked through afterwards. */
  clear (): Iterable<Held>
  /** What stands under each key; may be iterated while the index changes. */
  held (): Generator<Held, void>
}

const none: readonly StoredEntry[] = Object.freeze([])

export function createKeyIndex (): KeyIndex {
  const index = new KeyTable<Held>(keyOf, readAhead)

  return {
    get keys () { return index.size },

    variants (key) {
      const held = index.get(key)
      if (held === undefined) return none
      return Array.isArray(held) ? held : [held]
    },

    add (entry, most) {
      const held = index.get(entry.key)
      if (held === undefined) {
        index.set(entry)
        return null
      }
      if (Array.isArray(held)) held.push(entry)
      else index.set([held, entry])
      const entries = index.get(entry.key) as StoredEntry[]
      return entries.length > most ? entries[0] as StoredEntry : null
    },

    remove (entry) {
      const held = index.get(entry.key)
      if (held === entry) return index.delete(entry.key)
      if (!Array.isArray(held)) return false
      const place = held.indexOf(entry)
      if (place === -1) return false
      held.splice(place, 1)
      if (held.length === 1) index.set(held[0] as StoredEntry)
      return true
    },

    clear: () => index.clear(),

    held: () => index.values()
  }
}

function keyOf (held: Held): string {
  return Array.isArray(held) ? (held[0] as StoredEntry).key : held.key
}

/** Takes what was read, so that the reading is not left out as one that nobody needs. */
const last = { read: 0 }

/** A hit sends the text. */
function readAhead (held: Held): void {
  if (held instanceof PackedEntry) last.read = held.touch()
}

/** The responses under one key, as a list of its own. */
export function listOf (held: Held): readonly StoredEntry[] {
  return Array.isArray(held) ? [...held] : [held]
}
