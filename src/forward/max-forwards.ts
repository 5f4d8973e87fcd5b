/** `Max-Forwards` of TRACE and OPTIONS (RFC 9110 section 7.6.2). */
import type { FieldMap } from '../http/fields.ts'

/** The most that is passed on: no chain is as long, and every recipient can hold it. */
const mostForwards = 2 ** 31 - 1

/** What to do: nothing special, answer here, or forward with one less. An invalid value is ignored. */
export function decideMaxForwards (method: string, fields: FieldMap): 'unlimited' | 'answer-here' | { readonly next: number } {
  if (method !== 'TRACE' && method !== 'OPTIONS') return 'unlimited'
  const value = fields['max-forwards']
  if (typeof value !== 'string' || !/^\d+$/.test(value)) return 'unlimited'
  return Number(value) === 0 ? 'answer-here' : { next: Math.min(Number(value) - 1, mostForwards) }
}
