/**
 * S3-FIFO (Yang et al., SOSP 2023, algorithm 1): new items go through a small queue, and only those asked for meanwhile
 * come into the main one; keys that left the small one are remembered, and come into the main one if they return.
 * A hit moves nothing, it is only counted.
 */
import { entrance, main, mostSpared, type Queues, type Rule } from '../queues.ts'

/** Share of all bytes that the small queue may have before it is the one to give (section 4.1 of the paper). */
const smallShare = 0.1

/** @param hitsToStay hits in the small queue that lead into the main one: more than one in the paper */
function createRule (name: string, hitsToStay: number): Rule {
  return {
    name,
    usesSketch: false,
    usesGhost: true,

    insert (queues, slot) {
      const returns = queues.ghost.take(queues.hash[slot] as number, queues.bytes * (1 - smallShare))
      queues.push(returns ? main : entrance, slot)
    },

    touch (queues, slot) { queues.countHit(slot) },

    victim (queues) {
      const { hits } = queues
      for (let spared = 0; ; spared++) {
        const inherited = takeInherited(queues)
        const [small, old] = queues.queues
        if (inherited !== -1 || (small.tail !== -1 && (small.bytes > smallShare * queues.bytes || old.count === 0))) {
          const slot = inherited === -1 ? small.tail : inherited
          if ((hits[slot] as number) < hitsToStay || spared >= mostSpared) {
            queues.ghost.add(queues.hash[slot] as number, queues.size[slot] as number)
            return slot
          }
          hits[slot] = 0
          requeue(queues, slot)
          continue
        }
        const slot = old.tail
        if (hits[slot] === 0 || spared >= mostSpared) return slot
        hits[slot] = (hits[slot] as number) - 1
        requeue(queues, slot)
      }
    }
  }
}

/**
 * What another rule had in its main queues is looked at as if it stood at the end of the small one. Else it would stay for good: as
 * long as the small queue is above its share the main one gives nothing.
 */
function takeInherited (queues: Queues): number {
  const [, old, sheltered] = queues.queues
  if (queues.unsorted > 0 && old.tail !== -1) {
    queues.unsorted--
    return old.tail
  }
  return sheltered.tail
}

function requeue (queues: Queues, slot: number): void {
  queues.unlink(slot)
  queues.push(main, slot)
}

export const s3Fifo = createRule('s3-fifo', 2)
/** The same with one hit, as the authors' own summary has it; it learns faster where items come back soon. */
export const s3FifoEager = createRule('s3-fifo-eager', 1)
