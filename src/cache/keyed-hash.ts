/**
 * HalfSipHash-1-3 (Aumasson, Bernstein): 32 bits of a text under a key of this process. Whoever chooses texts without the key
 * cannot choose ones that collide, which would make a hash table a list. Linux takes it for its tables for that reason.
 */
import { randomFillSync } from 'node:crypto'

export type HashKey = readonly [number, number]

export function randomHashKey (): HashKey {
  const [first = 0, second = 0] = randomFillSync(new Int32Array(2))
  return [first, second]
}

/**
 * Four characters at a time, which for characters beyond 255 overlap: such texts are told apart less well, and hashes of two texts that
 * are the same never differ.
 */
export function keyedHash (text: string, [first, second]: HashKey): number {
  const { length } = text
  let v0 = first
  let v1 = second
  let v2 = 0x6c796765 ^ first
  let v3 = 0x74656462 ^ second
  let at = 0
  for (; at <= length; at += 4) {
    // The last word has what is left, and the length.
    const word = at + 4 <= length
      ? text.charCodeAt(at) | text.charCodeAt(at + 1) << 8 | text.charCodeAt(at + 2) << 16 | text.charCodeAt(at + 3) << 24
      : lastWord(text, at)
    v3 ^= word
    v0 = v0 + v1 | 0; v1 = v1 << 5 | v1 >>> 27; v1 ^= v0; v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0; v3 = v3 << 8 | v3 >>> 24; v3 ^= v2
    v0 = v0 + v3 | 0; v3 = v3 << 7 | v3 >>> 25; v3 ^= v0
    v2 = v2 + v1 | 0; v1 = v1 << 13 | v1 >>> 19; v1 ^= v2; v2 = v2 << 16 | v2 >>> 16
    v0 ^= word
  }
  v2 ^= 0xff
  for (let round = 0; round < 3; round++) {
    v0 = v0 + v1 | 0; v1 = v1 << 5 | v1 >>> 27; v1 ^= v0; v0 = v0 << 16 | v0 >>> 16
    v2 = v2 + v3 | 0; v3 = v3 << 8 | v3 >>> 24; v3 ^= v2
    v0 = v0 + v3 | 0; v3 = v3 << 7 | v3 >>> 25; v3 ^= v0
    v2 = v2 + v1 | 0; v1 = v1 << 13 | v1 >>> 19; v1 ^= v2; v2 = v2 << 16 | v2 >>> 16
  }
  return v1 ^ v3
}

function lastWord (text: string, at: number): number {
  const { length } = text
  let word = length << 24
  for (let i = at; i < length; i++) word |= (text.charCodeAt(i) & 0xff) << (i - at) * 8
  return word
}
