/** Numbers that look random and are the same for the same seed. */
export interface Random {
  /** 0 up to, but not, 1. */
  next (): number
  /** A whole number below `bound`. */
  below (bound: number): number
  /** Mean 0, deviation 1. */
  normal (): number
}

/** Mulberry32: a counter and a mixer of 32 bits. */
export function createRandom (seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  return {
    next,
    below: bound => Math.floor(next() * bound),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  }
}

/** Between the two, each order of magnitude as likely as another. */
export function logUniform (random: Random, from: number, to: number): number {
  return from * (to / from) ** random.next()
}

/** Ranks from 0 with a chance of 1 / (rank + 1) ^ exponent, by the cumulated chances. */
export function createZipf (random: Random, items: number, exponent: number): () => number {
  const cumulated = new Float64Array(items)
  let sum = 0
  for (let rank = 0; rank < items; rank++) cumulated[rank] = sum += 1 / (rank + 1) ** exponent
  return () => {
    const wanted = random.next() * sum
    let low = 0
    let high = items - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if ((cumulated[middle] as number) < wanted) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Mixes 32 bits (the finaliser of MurmurHash3), so that numbered keys have hashes without pattern. */
export function mix (value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
