/**
 * SIEVE (Zhang et al., NSDI 2024): one queue in order of entrance, and a hand that goes from its tail to its head, spares what
 * was asked for since it came by, and takes the first that was not. What is spared stays where it is.
 */
import { entrance, main, mostSpared, shelter, type Queues, type Rule } from '../queues.ts'

export const sieve: Rule = {
  name: 'sieve',
  usesSketch: false,
  usesGhost: false,

  insert (queues, slot) { queues.push(main, slot) },

  touch (queues, slot) { queues.countHit(slot) },

  victim (queues) {
    const left = leftBehind(queues)
    if (left !== -1) return left
    const { hits, prev } = queues
    const { head, tail } = queues.queues[main]
    // Room is made for what stands at the head: the hand turns round below it.
    let slot = queues.hand === -1 ? tail : queues.hand
    for (let spared = 0; (hits[slot] as number) > 0 && spared < mostSpared; spared++) {
      hits[slot] = 0
      slot = prev[slot] as number
      if (slot === -1 || slot === head) slot = tail
    }
    const ahead = prev[slot] as number
    queues.hand = ahead === head ? -1 : ahead
    return slot
  }
}

/** What another rule had in its other queues leaves first, or joins the one queue if it was hit. */
function leftBehind (queues: Queues): number {
  for (const which of [entrance, shelter] as const) {
    const queue = queues.queues[which]
    for (let spared = 0; queue.tail !== -1; spared++) {
      const slot = queue.tail
      if (queues.hits[slot] === 0 || spared === mostSpared) return slot
      queues.move(main, slot)
    }
  }
  return -1
}
