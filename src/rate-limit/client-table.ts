/**
 * The counters of one limit: a table of bounded size that nobody can wash out with many addresses.
 *
 * When it is full, a client that is new takes the place of
 *
 * 1. one whose counter says nothing any more, because its window is over or its bucket drained;
 * 2. else the one that has used least (by powers of two; of those the one not counted for longest), which loses its count;
 * 3. but never of one that has used up its limit: with all places held by such, a new client is not remembered.
 *
 * So a million addresses that ask once each take the places of each other, while whoever asks often climbs above them and
 * stays. To fill the table for good an attacker has to use up the limit from as many addresses as it has places, and again
 * in each window; the limit then fails open for clients that are not in it, which the store reports.
 *
 * Places are indexes into arrays of numbers, linked into one list for each power of two: all steps take constant time.
 */
import { capacityOf, unitsPerRequest, usedAt, type Limit } from './limit.ts'

/** Nothing used; 1, 2-3, 4-7 … requests; used up. */
const usedUp = 33
const none = -1
const firstPlaces = 256

export class ClientTable {
  readonly limit: Limit
  private readonly capacity: number
  private readonly places = new Map<string, number>()
  private readonly newest = new Int32Array(usedUp + 1).fill(none)
  private readonly oldest = new Int32Array(usedUp + 1).fill(none)
  private keys: string[] = []
  private at: Float64Array
  private used: Float64Array
  private newer: Int32Array
  private older: Int32Array
  private level: Uint8Array

  constructor (limit: Limit) {
    this.limit = limit
    this.capacity = capacityOf(limit)
    const size = Math.min(firstPlaces, limit.clients)
    this.at = new Float64Array(size)
    this.used = new Float64Array(size)
    this.newer = new Int32Array(size)
    this.older = new Int32Array(size)
    this.level = new Uint8Array(size)
  }

  /** Clients remembered. */
  get size (): number { return this.places.size }

  /** The place of a client, or -1. */
  find (key: string): number {
    return this.places.get(key) ?? none
  }

  usedAt (place: number, now: number): number {
    return usedAt(this.limit, this.at[place] as number, this.used[place] as number, now)
  }

  /** Where the window began, or the bucket's clock when it was counted last. */
  atOf (place: number): number { return this.at[place] as number }

  /** Notes what a client has used, which also says how much its place is worth. */
  set (place: number, at: number, used: number): void {
    this.at[place] = at
    this.used[place] = used
    this.unlink(place)
    this.link(place, this.levelOf(used))
  }

  /** A place for a client that has none, or -1 where there is no room for it. */
  add (key: string, now: number): number {
    const place = this.places.size < this.limit.clients ? this.nextPlace() : this.makeRoom(now)
    if (place === none) return none
    const own = ownCopy(key)
    this.keys[place] = own
    this.places.set(own, place)
    this.link(place, 0)
    return place
  }

  private levelOf (used: number): number {
    if (used + unitsPerRequest > this.capacity) return usedUp
    return used === 0 ? 0 : Math.min(usedUp - 1, 32 - Math.clz32(used / unitsPerRequest))
  }

  private nextPlace (): number {
    const place = this.places.size
    if (place === this.at.length) this.grow(Math.min(this.limit.clients, place * 2))
    return place
  }

  /** Frees a place and gives it back; -1 when all of them belong to clients that have used up their limit. */
  private makeRoom (now: number): number {
    let least = none
    for (let level = 0; level <= usedUp; level++) {
      const place = this.oldest[level] as number
      if (place === none) continue
      if (this.usedAt(place, now) === 0) return this.free(place)
      if (least === none) least = place
    }
    // A bucket that was full may have drained in part since it was counted.
    if (this.level[least] === usedUp && this.usedAt(least, now) + unitsPerRequest > this.capacity) return none
    return this.free(least)
  }

  private free (place: number): number {
    this.places.delete(this.keys[place] as string)
    this.unlink(place)
    return place
  }

  private link (place: number, level: number): void {
    const before = this.newest[level] as number
    this.level[place] = level
    this.newer[place] = none
    this.older[place] = before
    if (before === none) this.oldest[level] = place
    else this.newer[before] = place
    this.newest[level] = place
  }

  private unlink (place: number): void {
    const level = this.level[place] as number
    const newer = this.newer[place] as number
    const older = this.older[place] as number
    if (newer === none) this.newest[level] = older
    else this.older[newer] = older
    if (older === none) this.oldest[level] = newer
    else this.newer[older] = newer
  }

  private grow (size: number): void {
    this.at = enlarged(this.at, new Float64Array(size))
    this.used = enlarged(this.used, new Float64Array(size))
    this.newer = enlarged(this.newer, new Int32Array(size))
    this.older = enlarged(this.older, new Int32Array(size))
    this.level = enlarged(this.level, new Uint8Array(size))
  }
}

function enlarged<A extends Float64Array | Int32Array | Uint8Array> (from: A, to: A): A {
  to.set(from)
  return to
}

/** A key that was cut out of a long field would keep the whole field in memory for as long as it is in the table. */
function ownCopy (key: string): string {
  return Buffer.from(key).toString()
}
