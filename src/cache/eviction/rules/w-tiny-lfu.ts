/**
 * W-TinyLFU (Einziger, Friedman, Manes, ACM TOS 2017): a small window for what is new; who leaves it comes into the main part only
 * if it was asked for more often than who would have to go for it. The main part is an LRU in two segments.
 */
import { entrance, main, shelter, type Queues, type Rule } from '../queues.ts'

/** Share of the window, and of the protected segment in the rest, as in the paper. */
const windowShare = 0.01
const shelterShare = 0.8 * (1 - windowShare)

const squeezedAtOnce = 8
const mostContests = 64

export const wTinyLfu: Rule = {
  name: 'w-tiny-lfu',
  usesSketch: true,
  usesGhost: false,

  insert (queues, slot) {
    queues.push(entrance, slot)
    if (queues.isOver()) return
    // There is room: who leaves the window has nobody to contest with.
    const window = queues.queues[entrance]
    while (window.count > 1 && window.bytes > windowShare * queues.bytes) queues.move(main, window.tail)
  },

  touch (queues, slot) {
    // Kept for a rule that may follow.
    queues.countHit(slot)
    const which = queues.queueOf[slot]
    queues.move(which === entrance ? entrance : shelter, slot)
    if (which !== main) return
    const protectedQueue = queues.queues[shelter]
    while (protectedQueue.bytes > shelterShare * queues.bytes) queues.move(main, protectedQueue.tail)
  },

  victim (queues) {
    const [window, probation, sheltered] = queues.queues
    if (queues.leftBehind > 0) squeeze(queues)
    const victim = probation.tail !== -1 ? probation.tail : sheltered.tail
    const newestIsLarge = isLarge(queues, window.head)
    const candidate = newestIsLarge ? window.head : window.tail
    if (victim === -1) return candidate
    if (candidate === -1 || (!newestIsLarge && window.bytes <= windowShare * queues.bytes)) return victim
    const winner = moreWanted(queues, candidate, victim)
    if (winner !== -1) {
      if (queues.unsorted > 0) sort(queues, winner)
      else if (queues.queueOf[winner] === main) queues.move(main, winner)
      return candidate
    }
    queues.move(main, candidate)
    return victim
  }
}

/**
 * Larger than the window of the store, also in a sample of its keys: such an item is contested at once (as in Caffeine). Else it would
 * first drive out of the window everything that waits there for its second request.
 */
function isLarge ({ size, bytes, bounds }: Queues, slot: number): boolean {
  return slot !== -1 && (size[slot] as number) > windowShare * bytes * (bounds.keysForOne ?? 1)
}

/**
 * Another rule's entrance may be many times our window. With one contest for each insertion it would stay as large for good: what
 * is too much goes on without contest, a few at a time.
 */
function squeeze (queues: Queues): void {
  const window = queues.queues[entrance]
  for (let i = 0; i < squeezedAtOnce && queues.leftBehind > 0; i++) {
    queues.leftBehind = window.bytes > windowShare * queues.bytes && window.count > 1 ? queues.leftBehind - 1 : 0
    if (queues.leftBehind > 0) queues.move(main, window.tail)
  }
}

/**
 * Another rule's main queue has what is popular anywhere in it, and one popular item at its tail would win every contest for what is
 * unpopular behind it. Who wins one is sheltered, until all have been looked at.
 */
function sort (queues: Queues, winner: number): void {
  queues.unsorted--
  queues.move(queues.queues[shelter].bytes < shelterShare * queues.bytes ? shelter : main, winner)
}

/**
 * The first one, from the victim on, that is asked for as often as the candidate; -1 if there is none among those that would have to
 * go for it. A large candidate drives out many, and has to win against each of them.
 */
function moreWanted ({ sketch, hash, size, prev }: Queues, candidate: number, victim: number): number {
  const frequency = sketch.estimate(hash[candidate] as number)
  let bytes = size[candidate] as number
  let slot = victim
  for (let i = 0; slot !== -1 && bytes > 0 && i < mostContests; i++) {
    if (sketch.estimate(hash[slot] as number) >= frequency) return slot
    bytes -= size[slot] as number
    slot = prev[slot] as number
  }
  return -1
}
