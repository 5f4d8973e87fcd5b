/**
 * Memory for texts outside of V8's heap, which V8 neither copies nor looks through: blocks of chunks of one size, each with
 * the number of the next one in front. What a text takes is known exactly, and what one leaves is of use to any other.
 *
 * A block that nobody has anything in goes back to the system. Where texts have left many blocks with little in each, those that
 * have least are vacated: they take in nothing more, and their texts are moved as they are come by (`vacate`, `moved`).
 */

/** Words of 32 bits in a chunk, with the number of the next in the first: 128 bytes. A last chunk is half empty on average. */
const chunkWords = 32
const wordBits = 5
const textWords = chunkWords - 1
/** A quarter of a megabyte. */
const chunksPerBlock = 2048
const blockBits = 11
const chunkBytes = 4 * chunkWords
const blockBytes = chunksPerBlock * chunkBytes
const none = -1

/** Longest text that is kept here. */
export const mostTextBytes = 32 * 1024

/** Texts are made in it, and put together again for those who ask for them. */
export const workspace = Buffer.allocUnsafeSlow(mostTextBytes)
const workWords = new Int32Array(workspace.buffer)

/** Bytes that a text takes. */
export function arenaBytes (length: number): number {
  return Math.max(1, Math.ceil(length / (4 * textWords))) * chunkBytes
}

interface Block {
  readonly number: number
  readonly words: Int32Array<SharedArrayBuffer>
  /** Chunks below were ever in use; above, the system may not even have given the memory. */
  touched: number
  used: number
  /** The first of those that are free again, each with the next one in its first word. */
  free: number
  /** Whether it stands in line for those who need chunks. */
  isOpen: boolean
  isLeaving: boolean
}

export class TextArena {
  /** By number. */
  readonly #blocks: Array<Block | null> = []
  readonly #open: Block[] = []
  #current: Block | null = null
  #touched = 0
  #used = 0
  readonly #onDrop: (bytes: number) => void

  /** @param onDrop told of memory that is to be collected */
  constructor (onDrop: (bytes: number) => void) {
    this.#onDrop = onDrop
  }

  /** Memory that was in use, and is not. */
  get slackBytes (): number { return (this.#touched - this.#used) * chunkBytes }

  /** Copies a text from the workspace; the number of its first chunk. Throws, and has kept nothing, where the system has no more memory. */
  keep (length: number): number {
    const first = this.#take()
    try {
      this.#fill(first, length + 3 >>> 2)
    } catch (error) {
      this.free(first)
      throw error
    }
    return first
  }

  /** Copies words from the workspace, the first of them to a chunk that was taken; it is linked to the others at any time. */
  #fill (first: number, words: number): void {
    let chunk = first
    for (let at = 0; ;) {
      const block = this.#wordsOf(chunk)
      const base = baseOf(chunk)
      const end = Math.min(words, at + textWords)
      // Word by word: a call out of JavaScript takes as long as a chunk.
      for (let to = base + 1; at < end;) block[to++] = workWords[at++] as number
      block[base] = none
      if (at === words) return
      chunk = this.#take()
      block[base] = chunk
    }
  }

  /** The beginning of a text, as one-byte text. */
  read (first: number, length: number): string {
    this.copy(first, length, workWords, 0)
    return workspace.toString('latin1', 0, length)
  }

  /** A part of a text, as one-byte text. */
  slice (first: number, from: number, to: number): string {
    let chunk = first
    let passed = 0
    for (; from - passed >= 4 * textWords; passed += 4 * textWords) chunk = this.#wordsOf(chunk)[baseOf(chunk)] as number
    this.copy(chunk, to - passed, workWords, 0)
    return workspace.toString('latin1', from - passed, to - passed)
  }

  /** Copies the beginning of a text, and up to three bytes more. */
  copy (first: number, length: number, words: Int32Array, at: number): void {
    const until = at + (length + 3 >>> 2)
    for (let chunk = first, to = at; to < until;) {
      const block = this.#wordsOf(chunk)
      const base = baseOf(chunk)
      const end = Math.min(until, to + textWords)
      for (let from = base + 1; to < end;) words[to++] = block[from++] as number
      chunk = block[base] as number
    }
  }

  /** The first word, which is waited for: it tells nothing. */
  touch (first: number): number { return this.#wordsOf(first)[baseOf(first)] as number }

  free (first: number): void {
    for (let chunk = first; chunk !== none;) {
      const block = this.#blockOf(chunk)
      const { words, number } = block
      // What follows in the same block is linked already, and stays in order.
      let last = chunk
      let count = 1
      let next = words[baseOf(last)] as number
      for (; next !== none && next >>> blockBits === number; next = words[baseOf(last)] as number) {
        last = next
        count++
      }
      this.#give(block, chunk, last, count)
      chunk = next
    }
  }

  /** Chooses blocks to be vacated, those with the least in them, as many as there is room for in the others; whether there are any. */
  vacate (): boolean {
    const blocks = this.#blocks.filter(block => block !== null && block !== this.#current && !block.isLeaving) as Block[]
    blocks.sort((a, b) => a.used - b.used)
    let room = blocks.reduce((sum, { used }) => sum + chunksPerBlock - used, 0)
    let moving = 0
    let isAny = false
    for (const block of blocks) {
      room -= chunksPerBlock - block.used
      moving += block.used
      if (moving > room) break
      block.isLeaving = isAny = true
    }
    return isAny
  }

  /** Moves what a text has in blocks that are being vacated, as far as there is memory; where it begins now. */
  moved (first: number): number {
    let begin = first
    let before = none
    for (let chunk = first; chunk !== none;) {
      const next = this.#wordsOf(chunk)[baseOf(chunk)] as number
      if (this.#blockOf(chunk).isLeaving) {
        const place = this.#takeIfAny()
        // The rest is still linked to what was moved.
        if (place === none) return begin
        this.#wordsOf(place).set(this.#wordsOf(chunk).subarray(baseOf(chunk), baseOf(chunk) + chunkWords), baseOf(place))
        if (before === none) begin = place
        else this.#wordsOf(before)[baseOf(before)] = place
        this.#give(this.#blockOf(chunk), chunk, chunk, 1)
        before = place
      } else before = chunk
      chunk = next
    }
    return begin
  }

  #blockOf (chunk: number): Block { return this.#blocks[chunk >>> blockBits] as Block }
  #wordsOf (chunk: number): Int32Array<SharedArrayBuffer> { return this.#blockOf(chunk).words }

  #take (): number {
    let block = this.#current
    if (block === null || block.used === chunksPerBlock) this.#current = block = this.#nextBlock()
    block.used++
    this.#used++
    const { free } = block
    if (free === none) {
      this.#touched++
      return block.number << blockBits | block.touched++
    }
    block.free = block.words[baseOf(free)] as number
    return free
  }

  #takeIfAny (): number {
    try {
      return this.#take()
    } catch {
      return none
    }
  }

  /** Takes back chunks that are linked, from the first to the last. */
  #give (block: Block, first: number, last: number, count: number): void {
    block.words[baseOf(last)] = block.free
    block.free = first
    block.used -= count
    this.#used -= count
    if (block === this.#current) return
    if (block.used === 0) this.#drop(block)
    else if (!block.isOpen) {
      block.isOpen = true
      this.#open.push(block)
    }
  }

  #nextBlock (): Block {
    for (let block = this.#open.pop(); block !== undefined; block = this.#open.pop()) {
      block.isOpen = false
      if (!block.isLeaving) return block
    }
    const hole = this.#blocks.indexOf(null)
    const number = hole === -1 ? this.#blocks.length : hole
    // Nobody shares it. Memory of that kind V8 does not count: of any other it collects everything for each 64 MB that a store takes while it is filled.
    const block: Block = { number, words: new Int32Array(new SharedArrayBuffer(blockBytes)), touched: 0, used: 0, free: none, isOpen: false, isLeaving: false }
    this.#blocks[number] = block
    return block
  }

  /** Its memory goes back once V8 has collected it. */
  #drop (block: Block): void {
    this.#touched -= block.touched
    if (block.isOpen) this.#open.splice(this.#open.indexOf(block), 1)
    this.#blocks[block.number] = null
    this.#onDrop(blockBytes)
  }
}

/** Where a chunk begins in the words of its block. */
function baseOf (chunk: number): number {
  return (chunk & chunksPerBlock - 1) << wordBits
}
