/** 32 bits of a key, for ghosts, sketch and sample. */
import type { StoredEntry } from '../store.ts'

/**
 * FNV-1a over the key and what selects the variant, then mixed so that each bit depends on all.
 * @param seed of the process: who asks for URLs must not be able to choose ones that collide
 */
export function hashOfEntry ({ key, response }: StoredEntry, seed: number): number {
  let hash = fold(seed, key)
  for (const { value } of response.selecting) hash = fold(hash, `\n${String(value)}`)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function fold (hash: number, text: string): number {
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
