/**
 * How often keys were asked for of late, about: the frequency sketch of TinyLFU (Einziger, Friedman, Manes, ACM TOS 2017).
 *
 * A count-min sketch with counters up to 15, two in a byte. The four counters of a key are in one block of 64 bytes, so that counting
 * costs one visit to memory. After ten requests for each key it is made for, all counters are halved: old fame fades. Eight
 * bytes, sixteen counters, for each key it is made for: within those ten requests some five times as many keys are counted as are held.
 */
const most = 15
const bytesPerKey = 8
const blockBytes = 64
const rows = 4
const countersPerRow = 2 * blockBytes / rows
const requestsPerKey = 10

export class FrequencySketch {
  #counters: Uint8Array
  #mask: number
  #entries: number
  #requests = 0

  constructor (entries = 64) {
    this.#entries = 2 ** Math.ceil(Math.log2(Math.max(blockBytes / bytesPerKey, entries)))
    this.#counters = new Uint8Array(this.#entries * bytesPerKey)
    this.#mask = this.#counters.length / blockBytes - 1
  }

  get overheadBytes (): number { return this.#counters.length }

  count (hash: number): void {
    const counters = this.#counters
    const block = this.#blockOf(hash)
    const places = placesOf(hash)
    let added = false
    for (let row = 0; row < rows; row++) {
      const place = row * countersPerRow + ((places >>> (row * 5)) & (countersPerRow - 1))
      const byte = block + (place >>> 1)
      const shift = (place & 1) * 4
      const both = counters[byte] as number
      if (((both >>> shift) & most) === most) continue
      counters[byte] = both + (1 << shift)
      added = true
    }
    if (added && ++this.#requests >= this.#entries * requestsPerKey) this.#halve()
  }

  estimate (hash: number): number {
    const counters = this.#counters
    const block = this.#blockOf(hash)
    const places = placesOf(hash)
    let least = most
    for (let row = 0; row < rows; row++) {
      const place = row * countersPerRow + ((places >>> (row * 5)) & (countersPerRow - 1))
      const value = ((counters[block + (place >>> 1)] as number) >>> ((place & 1) * 4)) & most
      if (value < least) least = value
    }
    return least
  }

  /** Makes room for as many keys, or two thirds of them; the counts stay, each block once for either half. */
  reserve (entries: number): void {
    while (this.#entries * 1.5 < entries) {
      const wider = new Uint8Array(this.#counters.length * 2)
      wider.set(this.#counters)
      wider.set(this.#counters, this.#counters.length)
      this.#counters = wider
      this.#entries *= 2
      this.#mask = wider.length / blockBytes - 1
    }
  }

  #halve (): void {
    // Eight counters at a time; what falls from one into the next is cut off.
    const words = new Uint32Array(this.#counters.buffer)
    for (let i = 0; i < words.length; i++) words[i] = ((words[i] as number) >>> 1) & 0x77777777
    this.#requests >>>= 1
  }

  /** Where the block of a hash begins. Multiplied first: of keys in a sample the upper bits are all the same. */
  #blockOf (hash: number): number {
    return ((Math.imul(hash, 0x9e3779b1) >>> 7) & this.#mask) * blockBytes
  }
}

/** Which counters within the block, five bits for each row: by another factor, so that keys of a block differ there. */
function placesOf (hash: number): number {
  return Math.imul(hash, 0x85ebca6b) >>> 12
}
