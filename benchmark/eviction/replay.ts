/** A trace through a cache of a given size. */
import { createEviction } from '../../src/cache/eviction/eviction.ts'
import type { PolicyName } from '../../src/cache/eviction/policy.ts'
import { mix } from './random.ts'
import { references, type ReferenceCache } from './reference.ts'
import type { Trace } from './trace.ts'

export interface Ratios { readonly objects: number, readonly bytes: number }

/** @param request whether a request is a hit */
export function replay ({ keys, sizes }: Trace, request: (key: number, size: number) => boolean): Ratios {
  let hits = 0
  let hitBytes = 0
  let bytes = 0
  for (const key of keys) {
    const size = sizes[key] as number
    bytes += size
    if (!request(key, size)) continue
    hits++
    hitBytes += size
  }
  return { objects: hits / keys.length, bytes: hitBytes / bytes }
}

/** What the plain policies make of a trace, by name. */
export function replayReferences (trace: Trace, maxBytes: number): Map<string, Ratios> {
  return new Map(Object.entries(references).map(([name, create]) => {
    const cache = create(maxBytes)
    return [name, replay(trace, (key, size) => cache.request(key, size))] as const
  }))
}

/** What one of ours makes of it. */
export function replayOurs (policy: PolicyName, trace: Trace, maxBytes: number): Ratios {
  const cache = createOurs(policy, maxBytes, trace.sizes.length)
  return replay(trace, (key, size) => cache.request(key, size))
}

export const bestOf = (results: ReadonlyMap<string, Ratios>): number => Math.max(...[...results.values()].map(({ objects }) => objects))

interface Item { readonly key: number }

/** One of the store's own policies as a cache of keys; what a store does around it is left out. */
export function createOurs (policy: PolicyName, maxBytes: number, keys: number): ReferenceCache & { switches: () => number, rule: () => string } {
  const items: Array<Item | null> = new Array(keys).fill(null)
  const eviction = createEviction<Item>({ policy, maxBytes, maxEntries: Number.MAX_SAFE_INTEGER, onEvict: item => { items[item.key] = null } })
  return {
    switches: () => eviction.policy.statistics().switches,
    rule: () => Object.entries(eviction.policy.statistics().rules).find(([, { inForce }]) => inForce === 1)?.[0] ?? '',
    request (key, size) {
      const there = items[key]
      if (there !== null && there !== undefined) {
        eviction.policy.touch(there)
        return true
      }
      if (size > maxBytes) return false
      const item = { key }
      items[key] = item
      eviction.insert(item, mix(key + 1), size, 0)
      return false
    }
  }
}
