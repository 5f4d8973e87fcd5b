/**
 * What clients are told of their limits: by the current draft of the IETF (draft-ietf-httpapi-ratelimit-headers-11), as its
 * sixth version had it, or as most services do.
 */
import { decimal } from '../http/decimal.ts'
import type { Limit } from './limit.ts'
import type { Counter } from './store.ts'

export type FieldForm = 'draft' | 'draft-06' | 'legacy' | 'none'

/** A limit and the form in which it is told. */
export interface ToldLimit {
  readonly limit: Limit
  readonly fields: FieldForm
  /** Its item in `RateLimit-Policy`, always the same. */
  readonly policy: string
}

/** Fields of every form: those of an origin server are about somebody else, namely this proxy. */
export const rateFieldNames: ReadonlySet<string> = new Set([
  'ratelimit', 'ratelimit-policy', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset',
  'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'
])

/** One item of `RateLimit-Policy` (section 3). Seconds are whole there, and not 0. */
export function policyItem ({ name, max, windowMs, burst }: Limit): string {
  return `"${name}";q=${max};w=${Math.max(1, Math.ceil(windowMs / 1000))}${burst === null ? '' : `;holdfast-burst=${burst}`}`
}

/** One item of `RateLimit` (section 4). */
export function limitItem ({ name }: Limit, { remaining, windowMs }: Counter): string {
  return `"${name}";r=${decimal(remaining)};t=${seconds(windowMs)}`
}

/** Whole seconds, rounded up: who waits for so long does not come too early. */
export function seconds (milliseconds: number): number {
  return Math.max(1, Math.ceil(milliseconds / 1000))
}

const olderNames: Readonly<Record<'draft-06' | 'legacy', readonly [limit: string, remaining: string, reset: string]>> = {
  'draft-06': ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'],
  legacy: ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset']
}

/**
 * Sets the fields for limits and what is left of them, in the same order. The draft's fields list every limit; the older
 * ones have room for one, which is the one of which the smallest share is left.
 */
export function setRateFields (told: readonly ToldLimit[], counters: readonly Counter[], set: (name: string, value: string) => void): void {
  let policies = ''
  let limits = ''
  let tightest: Map<'draft-06' | 'legacy', number> | null = null
  for (let index = 0; index < told.length; index++) {
    const { limit, fields, policy } = told[index] as ToldLimit
    const counter = counters[index]
    if (counter === undefined || fields === 'none') continue
    if (fields === 'draft') {
      policies += `${policies === '' ? '' : ', '}${policy}`
      limits += `${limits === '' ? '' : ', '}${limitItem(limit, counter)}`
      continue
    }
    tightest ??= new Map()
    const other = tightest.get(fields)
    if (other === undefined || share(told, counters, index) < share(told, counters, other)) tightest.set(fields, index)
  }
  if (limits !== '') {
    set('ratelimit-policy', policies)
    set('ratelimit', limits)
  }
  for (const [form, index] of tightest ?? []) {
    const { limit } = told[index] as ToldLimit
    const { remaining, windowMs } = counters[index] as Counter
    const [limitName, remainingName, resetName] = olderNames[form]
    set(limitName, String(limit.max))
    set(remainingName, decimal(remaining))
    set(resetName, String(seconds(windowMs)))
  }
}

/**
 * The same fields as lines of a head, each with its CRLF. For the usual ones (the draft's form, for all of `usual`) the
 * parts that never change are put together once.
 */
export function createRateLines (usual: readonly ToldLimit[]): (told: readonly ToldLimit[], counters: readonly Counter[]) => string {
  const isUsual = usual.every(({ fields }) => fields === 'draft')
  const policies = `ratelimit-policy: ${usual.map(({ policy }) => policy).join(', ')}\r\nratelimit: `
  return (told, counters) => {
    if (told !== usual || !isUsual) {
      let lines = ''
      setRateFields(told, counters, (name, value) => { lines += `${name}: ${value}\r\n` })
      return lines
    }
    let lines = policies
    for (let index = 0; index < usual.length; index++) {
      const { limit } = usual[index] as ToldLimit
      lines += `${index === 0 ? '' : ', '}${limitItem(limit, counters[index] as Counter)}`
    }
    return `${lines}\r\n`
  }
}

function share (told: readonly ToldLimit[], counters: readonly Counter[], index: number): number {
  const { max, burst } = (told[index] as ToldLimit).limit
  return (counters[index] as Counter).remaining / (burst ?? max)
}
