/**
 * Keys of items that have left, as hashes: bounded in count by its table, in bytes by how much has left since.
 *
 * A table of small buckets, as the S3-FIFO paper proposes (Yang et al., SOSP 2023, section 4.2): an entry is a hash and the
 * moment it left, counted in bytes that have left; one that is too old counts as absent and is overwritten. Nothing to
 * unlink, 12 bytes a key. Two keys of one hash are taken for one, which may put a wrong guess into the main queue.
 */
const ways = 8
/** Places of a table that gives way to a wider one, moved with each key: all at once they took 20 ms for 600,000. */
const movedAtOnce = 64

interface Table { readonly hashes: Int32Array, readonly moments: Float64Array, readonly buckets: number }

export class GhostKeys {
  #table: Table
  /** What a wider table has taken the place of, until all is moved. */
  #before: Table | null = null
  /** Places of it below this number are. */
  #moved = 0
  #leftBytes = 1
  #count = 0

  constructor (entries = 64) {
    this.#table = createTable(entries)
  }

  get capacity (): number { return this.#table.hashes.length }
  /** Keys ever remembered, at most its capacity. */
  get count (): number { return Math.min(this.#count, this.capacity) }
  get overheadBytes (): number { return bytesOf(this.#table) + (this.#before === null ? 0 : bytesOf(this.#before)) }

  add (hash: number, sizeBytes: number): void {
    this.move()
    this.#leftBytes += sizeBytes
    this.#count++
    put(this.#table, hash, this.#leftBytes)
  }

  /** Whether a key left within the last `reachBytes` that left; it is forgotten by this. */
  take (hash: number, reachBytes: number): boolean {
    const moment = Math.max(forget(this.#table, hash), this.#before === null ? 0 : forget(this.#before, hash))
    return moment !== 0 && this.#leftBytes - moment < reachBytes
  }

  /** Makes room for as many keys, keeping those that are there. */
  reserve (entries: number): void {
    if (entries <= this.capacity) return
    const wider = createTable(entries)
    this.move(Infinity)
    if (this.#count > 0) this.#before = this.#table
    this.#table = wider
    this.#moved = 0
  }

  /** Moves some from a table that gives way to a wider one, if there is one. */
  move (places = movedAtOnce): void {
    const before = this.#before
    if (before === null) return
    const end = Math.min(this.#moved + places, before.hashes.length)
    for (let slot = this.#moved; slot < end; slot++) {
      const moment = before.moments[slot] as number
      if (moment !== 0) put(this.#table, before.hashes[slot] as number, moment)
      // It is not to be found twice.
      before.moments[slot] = 0
    }
    this.#moved = end
    if (end === before.hashes.length) this.#before = null
  }
}

function createTable (entries: number): Table {
  const buckets = Math.ceil(entries / ways)
  return { hashes: new Int32Array(buckets * ways), moments: new Float64Array(buckets * ways), buckets }
}

function bytesOf ({ hashes, moments }: Table): number {
  return hashes.byteLength + moments.byteLength
}

/** In the place of the oldest key of its bucket, unless that is younger. */
function put ({ hashes, moments, buckets }: Table, hash: number, moment: number): void {
  const start = bucketOf(hash, buckets)
  let place = start
  for (let slot = start; slot < start + ways; slot++) {
    if (hashes[slot] === (hash | 0)) {
      place = slot
      break
    }
    if ((moments[slot] as number) < (moments[place] as number)) place = slot
  }
  if ((moments[place] as number) >= moment) return
  hashes[place] = hash
  moments[place] = moment
}

/** @returns when the key left, 0 if it is not there */
function forget ({ hashes, moments, buckets }: Table, hash: number): number {
  const start = bucketOf(hash, buckets)
  for (let slot = start; slot < start + ways; slot++) {
    const moment = moments[slot] as number
    if (hashes[slot] !== (hash | 0) || moment === 0) continue
    moments[slot] = 0
    return moment
  }
  return 0
}

/** The first place of a hash's bucket. Multiplied first: of keys in a sample the upper bits are all the same. */
function bucketOf (hash: number, buckets: number): number {
  return Math.floor((Math.imul(hash, 0x9e3779b1) >>> 0) * buckets / 2 ** 32) * ways
}
