/** Values by slot, in blocks: one array of a million would be copied as a whole when it grows. */
const slotsPerBlock = 4096
const blockBits = 12
const bytesPerSlot = 8

export class Slots<V> {
  readonly #blocks: Array<Array<V | null>> = []
  #length = 0

  /** Slots ever put are below this number. */
  get length (): number { return this.#length }
  get overheadBytes (): number { return this.#length * bytesPerSlot }

  /** Null where there is none. */
  at (slot: number): V | null {
    return this.#blocks[slot >>> blockBits]?.[slot & slotsPerBlock - 1] ?? null
  }

  /** @param slot one that has been put before, or the next one */
  put (slot: number, value: V | null): void {
    if (slot === this.#length && (this.#length++ & slotsPerBlock - 1) === 0) this.#blocks.push(new Array<V | null>(slotsPerBlock).fill(null))
    ;(this.#blocks[slot >>> blockBits] as Array<V | null>)[slot & slotsPerBlock - 1] = value
  }
}
