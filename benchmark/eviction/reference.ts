/**
 * The policies that ours are held against, written from their papers in the plainest way: Maps in order of insertion, a key
 * is moved by deleting and setting it. Slow, and independent of `src/cache/eviction` on purpose.
 */
export interface ReferenceCache {
  /** Whether the key is there; if not it is taken in and others leave. */
  request (key: number, size: number): boolean
}

const first = (map: ReadonlyMap<number, unknown>): number => map.keys().next().value as number

/** Bytes of a set of keys in order, oldest first. */
class Ordered {
  readonly keys = new Map<number, number>()
  bytes = 0

  add (key: number, size: number): void {
    this.keys.set(key, size)
    this.bytes += size
  }

  delete (key: number): number {
    const size = this.keys.get(key)
    if (size === undefined) return 0
    this.keys.delete(key)
    this.bytes -= size
    return size
  }
}

export function createLru (maxBytes: number): ReferenceCache {
  const held = new Ordered()
  return {
    request (key, size) {
      const hit = held.keys.has(key)
      if (hit) held.delete(key)
      if (size > maxBytes) return hit
      held.add(key, size)
      while (held.bytes > maxBytes) held.delete(first(held.keys))
      return hit
    }
  }
}

interface Node { readonly key: number, readonly size: number, visited: boolean, newer: Node | null, older: Node | null }

/** Zhang et al., NSDI 2024, algorithm 1. */
export function createSieve (maxBytes: number): ReferenceCache {
  const nodes = new Map<number, Node>()
  let newest: Node | null = null
  let oldest: Node | null = null
  let hand: Node | null = null
  let bytes = 0

  function evict (): void {
    let node = (hand ?? oldest) as Node
    while (node.visited) {
      node.visited = false
      node = node.newer ?? oldest as Node
    }
    hand = node.newer
    if (node.newer === null) newest = node.older
    else node.newer.older = node.older
    if (node.older === null) oldest = node.newer
    else node.older.newer = node.newer
    nodes.delete(node.key)
    bytes -= node.size
  }

  return {
    request (key, size) {
      const there = nodes.get(key)
      if (there !== undefined) {
        there.visited = true
        return true
      }
      if (size > maxBytes) return false
      while (bytes + size > maxBytes) evict()
      const node: Node = { key, size, visited: false, newer: null, older: newest }
      if (newest === null) oldest = node
      else newest.newer = node
      newest = node
      nodes.set(key, node)
      bytes += size
      return false
    }
  }
}

/** Yang et al., SOSP 2023, algorithm 1: small queue of a tenth, ghost of as many bytes as the main one. */
export function createS3Fifo (maxBytes: number, hitsToStay = 2): ReferenceCache {
  const small = new Ordered()
  const main = new Ordered()
  const ghost = new Ordered()
  const hits = new Map<number, number>()
  const smallBytes = maxBytes * 0.1

  function evictSmall (): void {
    const key = first(small.keys)
    const size = small.delete(key)
    if ((hits.get(key) as number) >= hitsToStay) {
      hits.set(key, 0)
      main.add(key, size)
      return
    }
    hits.delete(key)
    ghost.add(key, size)
    while (ghost.bytes > maxBytes - smallBytes) ghost.delete(first(ghost.keys))
  }

  function evictMain (): void {
    const key = first(main.keys)
    const size = main.delete(key)
    const times = hits.get(key) as number
    if (times > 0) {
      hits.set(key, times - 1)
      main.add(key, size)
    } else {
      hits.delete(key)
    }
  }

  return {
    request (key, size) {
      const times = hits.get(key)
      if (times !== undefined) {
        hits.set(key, Math.min(3, times + 1))
        return true
      }
      if (size > maxBytes) return false
      while (small.bytes + main.bytes + size > maxBytes) {
        if (small.keys.size > 0 && (small.bytes >= smallBytes || main.keys.size === 0)) evictSmall()
        else evictMain()
      }
      hits.set(key, 0)
      if (ghost.delete(key) > 0) main.add(key, size)
      else small.add(key, size)
      return false
    }
  }
}

/**
 * Einziger, Friedman, Manes, ACM TOS 2017: window of 1 %, main part an LRU in two segments (20 % and 80 %), admission by
 * frequency. Frequencies are counted exactly, up to 15, and halved after ten requests for each item that the cache holds: what the
 * paper's sketch approximates.
 */
export function createWTinyLfu (maxBytes: number): ReferenceCache {
  const window = new Ordered()
  const probation = new Ordered()
  const protectedPart = new Ordered()
  const windowBytes = maxBytes * 0.01
  const protectedBytes = (maxBytes - windowBytes) * 0.8
  let frequencies = new Map<number, number>()
  let counted = 0

  const bytes = (): number => window.bytes + probation.bytes + protectedPart.bytes
  const frequency = (key: number): number => frequencies.get(key) ?? 0

  function count (key: number): void {
    frequencies.set(key, Math.min(15, frequency(key) + 1))
    if (++counted < 10 * Math.max(64, window.keys.size + probation.keys.size + protectedPart.keys.size)) return
    frequencies = new Map([...frequencies].map(([key, times]) => [key, times >> 1] as const).filter(([, times]) => times > 0))
    counted >>= 1
  }

  /** What leaves the window is taken in where there is room, else it has to be asked for more often than each that it drives out. */
  function admit (candidate: number, size: number): void {
    while (bytes() + size > maxBytes) {
      const segment = probation.keys.size > 0 ? probation : protectedPart
      if (segment.keys.size === 0) return
      const victim = first(segment.keys)
      if (frequency(candidate) <= frequency(victim)) return
      segment.delete(victim)
    }
    probation.add(candidate, size)
  }

  return {
    request (key, size) {
      count(key)
      if (window.keys.has(key)) {
        window.add(key, window.delete(key))
        return true
      }
      if (protectedPart.keys.has(key)) {
        protectedPart.add(key, protectedPart.delete(key))
        return true
      }
      if (probation.keys.has(key)) {
        protectedPart.add(key, probation.delete(key))
        while (protectedPart.bytes > protectedBytes) {
          const demoted = first(protectedPart.keys)
          probation.add(demoted, protectedPart.delete(demoted))
        }
        return true
      }
      if (size > maxBytes) return false
      window.add(key, size)
      // One item may stay even if it is larger than the window, as long as the whole has room.
      while (window.bytes > windowBytes && (window.keys.size > 1 || bytes() > maxBytes)) {
        const candidate = first(window.keys)
        admit(candidate, window.delete(candidate))
      }
      return false
    }
  }
}

export const references: Readonly<Record<string, (maxBytes: number) => ReferenceCache>> = {
  LRU: createLru,
  SIEVE: createSieve,
  'S3-FIFO': createS3Fifo,
  'W-TinyLFU': createWTinyLfu
}
