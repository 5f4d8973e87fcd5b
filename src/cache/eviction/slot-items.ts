/** Items by slot, in blocks: one array would be copied as a whole when it grows. */
const itemsPerBlock = 4096
const blockBits = 12
const bytesPerItem = 8

export class SlotItems<T extends object> {
  #blocks: Array<Array<T | null>> = []
  /** Slots ever put are below this number. */
  #slots = 0

  get overheadBytes (): number { return this.#slots * bytesPerItem }

  /** Null where there is none. */
  at (slot: number): T | null {
    return this.#blocks[slot >>> blockBits]?.[slot & itemsPerBlock - 1] ?? null
  }

  /** @param slot one that has been put before, or the next one */
  put (slot: number, item: T | null): void {
    if (slot === this.#slots && (this.#slots++ & itemsPerBlock - 1) === 0) this.#blocks.push([])
    ;(this.#blocks[slot >>> blockBits] as Array<T | null>)[slot & itemsPerBlock - 1] = item
  }

  clear (): void {
    this.#blocks = []
    this.#slots = 0
  }
}
