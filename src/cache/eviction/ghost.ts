/**
 * Keys of items that have left, as hashes: bounded in count by its table, in bytes by how much has left since.
 *
 * A table of small buckets, as the S3-FIFO paper proposes (Yang et al., SOSP 2023, section 4.2): an entry is a hash and the
 * moment it left, counted in bytes that have left; one that is too old counts as absent and is overwritten. Nothing to
 * unlink, 12 bytes a key. Two keys of one hash are taken for one, which may put a wrong guess into the main queue.
 */
const ways = 8

export class GhostKeys {
  #hashes: Int32Array
  #moments: Float64Array
  #buckets: number
  #leftBytes = 1
  #count = 0

  constructor (entries = 64) {
    this.#buckets = Math.ceil(entries / ways)
    this.#hashes = new Int32Array(this.#buckets * ways)
    this.#moments = new Float64Array(this.#buckets * ways)
  }

  get capacity (): number { return this.#hashes.length }
  /** Keys ever remembered, at most its capacity. */
  get count (): number { return Math.min(this.#count, this.capacity) }
  get overheadBytes (): number { return this.#hashes.byteLength + this.#moments.byteLength }

  add (hash: number, sizeBytes: number): void {
    this.#leftBytes += sizeBytes
    this.#count++
    const slot = this.#oldest(hash)
    this.#hashes[slot] = hash
    this.#moments[slot] = this.#leftBytes
  }

  /** Whether a key left within the last `reachBytes` that left; it is forgotten by this. */
  take (hash: number, reachBytes: number): boolean {
    const start = this.#bucketOf(hash)
    for (let slot = start; slot < start + ways; slot++) {
      const moment = this.#moments[slot] as number
      if (this.#hashes[slot] !== (hash | 0) || moment === 0) continue
      this.#moments[slot] = 0
      return this.#leftBytes - moment < reachBytes
    }
    return false
  }

  /** Makes room for as many keys, keeping those that are there. */
  reserve (entries: number): void {
    if (entries <= this.capacity) return
    const wider = new GhostKeys(entries)
    for (let slot = 0; slot < this.#hashes.length; slot++) {
      if (this.#moments[slot] === 0) continue
      const hash = this.#hashes[slot] as number
      const place = wider.#oldest(hash)
      wider.#hashes[place] = hash
      wider.#moments[place] = this.#moments[slot] as number
    }
    this.#hashes = wider.#hashes
    this.#moments = wider.#moments
    this.#buckets = wider.#buckets
  }

  /** The first place of a hash's bucket. Multiplied first: of keys in a sample the upper bits are all the same. */
  #bucketOf (hash: number): number {
    return Math.floor((Math.imul(hash, 0x9e3779b1) >>> 0) * this.#buckets / 2 ** 32) * ways
  }

  #oldest (hash: number): number {
    const start = this.#bucketOf(hash)
    let oldest = start
    for (let slot = start; slot < start + ways; slot++) {
      if (this.#hashes[slot] === (hash | 0)) return slot
      if ((this.#moments[slot] as number) < (this.#moments[oldest] as number)) oldest = slot
    }
    return oldest
  }
}
