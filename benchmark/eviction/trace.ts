/** A trace: requests in order, each for a key that has a size. */
export interface Trace {
  readonly name: string
  /** Key of each request, numbered from 0 in the order of their first request. */
  readonly keys: Int32Array
  /** Bytes by key number. */
  readonly sizes: Float64Array
}

/** Numbers keys as they come. */
export class TraceWriter {
  readonly #numbers = new Map<string | number, number>()
  readonly #sizes: number[] = []
  readonly #keys: number[] = []

  get length (): number { return this.#keys.length }

  /** @param size bytes, of which the first one counts */
  add (key: string | number, size: number | (() => number)): void {
    let number = this.#numbers.get(key)
    if (number === undefined) {
      number = this.#sizes.length
      this.#numbers.set(key, number)
      this.#sizes.push(Math.max(1, typeof size === 'number' ? size : size()))
    }
    this.#keys.push(number)
  }

  finish (name: string): Trace {
    return { name, keys: Int32Array.from(this.#keys), sizes: Float64Array.from(this.#sizes) }
  }
}

/** Bytes of all keys once. */
export function workingSetBytes ({ sizes }: Trace): number {
  return sizes.reduce((sum, size) => sum + size, 0)
}
