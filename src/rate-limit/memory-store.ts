/**
 * Counters in the memory of this process. All is done within the call, so that looking and charging are one step without
 * any locks. Workers count each for themselves.
 */
import { ClientTable } from './client-table.ts'
import { bucketClock, capacityOf, effectiveWindow, remainingOf, usedAt, waitFor, type Limit, type Usage } from './limit.ts'
import type { Charge, Counter, RateLimitStore, Verdict } from './store.ts'

export interface MemoryRateLimitStoreOptions {
  /** Current time in epoch milliseconds. */
  readonly now: () => number
  /** A client could not be remembered, since all places belong to clients that have used up this limit; told once in a minute at most. */
  readonly onFull?: (limit: Limit) => void
}

export interface MemoryRateLimitStore extends RateLimitStore {
  /** Clients remembered for a limit. */
  sizeOf (limit: Limit): number
  retain (ids: ReadonlySet<string>): void
}

/** A flood would fill the log as well. */
const tellEveryMs = 60_000

export function createMemoryRateLimitStore ({ now: clock, onFull }: MemoryRateLimitStoreOptions): MemoryRateLimitStore {
  const tables = new Map<string, ClientTable>()
  const toldAt = new Map<string, number>()

  function tableOf (limit: Limit): ClientTable {
    let table = tables.get(limit.id)
    if (table === undefined) tables.set(limit.id, table = new ClientTable(limit))
    return table
  }

  /** The counter as it is; a client that is not remembered has used nothing. */
  function look ({ limit, key }: Charge, now: number): Usage {
    const table = tableOf(limit)
    const place = table.find(key)
    const used = place === -1 ? 0 : table.usedAt(place, now)
    if (limit.burst === null) return { at: used === 0 ? now : table.atOf(place), used }
    const at = bucketClock(limit, now)
    // The clock was put back: the bucket drains from now on, and not only when the old time has come again.
    if (place !== -1 && at < table.atOf(place)) table.set(place, at, used)
    return { at, used }
  }

  function charge ({ limit, key, units }: Charge, { at, used }: Usage, now: number): Usage {
    if (units === 0) return { at, used }
    const table = tableOf(limit)
    let place = table.find(key)
    if (place === -1) {
      place = table.add(key, now)
      if (place === -1) tellFull(limit, now)
    }
    if (place !== -1) table.set(place, at, used + units)
    return { at, used: used + units }
  }

  function tellFull (limit: Limit, now: number): void {
    const before = toldAt.get(limit.id)
    if (before !== undefined && Math.abs(now - before) < tellEveryMs) return
    toldAt.set(limit.id, now)
    onFull?.(limit)
  }

  return {
    answersAtOnce: true,

    take (charges, done) {
      const now = clock()
      const usages: Usage[] = []
      let waitMs = 0
      for (const asked of charges) {
        const usage = look(asked, now)
        usages.push(usage)
        if (!fits(asked, usage)) waitMs = Math.max(waitMs, waitFor(asked.limit, usage, asked.units, now), 1)
      }
      const passed = waitMs === 0
      const counters: Counter[] = []
      for (let index = 0; index < charges.length; index++) {
        const asked = charges[index] as Charge
        const before = usages[index] as Usage
        counters.push(counterOf(asked.limit, passed ? charge(asked, before, now) : before, now, !passed && !fits(asked, before)))
      }
      done(null, { passed, waitMs, counters } satisfies Verdict)
    },

    giveBack ({ limit, key }, counter, units) {
      const now = clock()
      const table = tableOf(limit)
      const place = table.find(key)
      const left = Math.min(units, usedAt(limit, counter.at, counter.used, now))
      if (place === -1 || left === 0) return counter
      const used = table.usedAt(place, now)
      // Another window has begun since: what is used of it has nothing to do with this charge.
      if (used === 0 || (limit.burst === null && table.atOf(place) !== counter.at)) return counter
      const usage = { at: limit.burst === null ? counter.at : bucketClock(limit, now), used: Math.max(0, used - left) }
      table.set(place, usage.at, usage.used)
      return counterOf(limit, usage, now, false)
    },

    retain (ids) {
      for (const id of tables.keys()) if (!ids.has(id)) tables.delete(id)
      for (const id of toldAt.keys()) if (!ids.has(id)) toldAt.delete(id)
    },

    sizeOf: limit => tables.get(limit.id)?.size ?? 0
  }
}

function fits ({ limit, units }: Charge, { used }: Usage): boolean {
  // What costs nothing is never too much.
  return units === 0 || used + units <= capacityOf(limit)
}

function counterOf (limit: Limit, { at, used }: Usage, now: number, exceeded: boolean): Counter {
  return { at, used, remaining: remainingOf(limit, used), windowMs: effectiveWindow(limit, { at, used }, now), exceeded }
}
