/**
 * How often keys were asked for of late, about: the frequency sketch of TinyLFU (Einziger, Friedman, Manes, ACM TOS 2017).
 *
 * A count-min sketch with counters up to 15. The four counters of a key are in one block of 64 bytes, so that counting costs one
 * visit to memory. After ten requests for each key it is made for, all counters are halved: old fame fades. Eight
 * counters of a byte each for each key it is made for.
 */
const most = 15
const countersPerKey = 8
const blockBytes = 64
const requestsPerKey = 10

export class FrequencySketch {
  #counters: Uint8Array
  #mask: number
  #entries: number
  #requests = 0

  constructor (entries = 64) {
    this.#entries = 2 ** Math.ceil(Math.log2(Math.max(blockBytes / countersPerKey, entries)))
    this.#counters = new Uint8Array(this.#entries * countersPerKey)
    this.#mask = this.#counters.length / blockBytes - 1
  }

  get overheadBytes (): number { return this.#counters.length }

  count (hash: number): void {
    const counters = this.#counters
    const block = (spread(hash) & this.#mask) * blockBytes
    let added = false
    for (let row = 0; row < 4; row++) {
      const place = block + row * 16 + ((hash >>> (row * 4 + 8)) & 15)
      const value = counters[place] as number
      if (value < most) {
        counters[place] = value + 1
        added = true
      }
    }
    if (added && ++this.#requests >= this.#entries * requestsPerKey) this.#halve()
  }

  estimate (hash: number): number {
    const counters = this.#counters
    const block = (spread(hash) & this.#mask) * blockBytes
    let least = most
    for (let row = 0; row < 4; row++) {
      const value = counters[block + row * 16 + ((hash >>> (row * 4 + 8)) & 15)] as number
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
    // Four counters at a time; what falls from one into the next is cut off.
    const words = new Uint32Array(this.#counters.buffer)
    for (let i = 0; i < words.length; i++) words[i] = ((words[i] as number) >>> 1) & 0x07070707
    this.#requests >>>= 1
  }
}

/** Which block: other bits than those that choose within it. */
function spread (hash: number): number {
  return Math.imul(hash, 0x9e3779b1) >>> 7
}
