/** Keys in memories that are bounded in number alone: what a client makes long must not make the memory large. */
import { createHash } from 'node:crypto'

/** Longer ones are told apart by their digest; most keys are shorter and cost nothing. */
const maxLength = 256

export function shortKey (key: string): string {
  return key.length <= maxLength ? key : createHash('sha256').update(key).digest().toString('latin1')
}
