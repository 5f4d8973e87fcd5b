/** Least recently used first. After another rule it begins with the oldest of its queues, by when each was last asked for. */
import { main, type Queues, type Rule } from '../queues.ts'

export const lru: Rule = {
  name: 'lru',
  usesSketch: false,
  usesGhost: false,

  insert (queues, slot) { queues.push(main, slot) },

  touch (queues, slot) {
    // Of no use here; a rule that may follow asks for it.
    queues.countHit(slot)
    queues.move(main, slot)
  },

  victim (queues) {
    let oldest = -1
    for (const { tail } of queues.queues) {
      if (tail !== -1 && (oldest === -1 || isOlder(queues, tail, oldest))) oldest = tail
    }
    return oldest
  }
}

function isOlder ({ accessed }: Queues, a: number, b: number): boolean {
  // The count of requests wraps at 32 bits; the difference does not mind.
  return ((accessed[a] as number) - (accessed[b] as number) | 0) < 0
}
