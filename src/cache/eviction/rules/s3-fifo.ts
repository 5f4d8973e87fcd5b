/**
 * S3-FIFO (Yang et al., SOSP 2023, algorithm 1): new items go through a small queue, and only those asked for meanwhile
 * come into the main one; keys that left the small one are remembered, and come into the main one if they return.
 * A hit moves nothing, it is only counted.
 */
import { entrance, main, mostSpared, type Queues, type Rule } from '../queues.ts'

/** Share of all bytes that the small queue may have before it is the one to give (section 4.1 of the paper). */
const smallShare = 0.1
/** Two bits in the paper. */
const mostHits = 3

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

    touch ({ hits }, slot) {
      if ((hits[slot] as number) < mostHits) hits[slot] = (hits[slot] as number) + 1
    },

    victim (queues) {
      const { hits } = queues
      for (let spared = 0; ; spared++) {
        const [small, old, others] = queues.queues
        if (small.tail !== -1 && (small.bytes > smallShare * queues.bytes || old.count + others.count === 0)) {
          const slot = small.tail
          if ((hits[slot] as number) < hitsToStay || spared >= mostSpared) {
            queues.ghost.add(queues.hash[slot] as number, queues.size[slot] as number)
            return slot
          }
          hits[slot] = 0
          queues.move(main, slot)
          continue
        }
        // What another rule had sheltered counts as the oldest of the main queue.
        const slot = others.tail === -1 ? old.tail : others.tail
        if (hits[slot] === 0 || spared >= mostSpared) return slot
        hits[slot] = (hits[slot] as number) - 1
        requeue(queues, slot)
      }
    }
  }
}

function requeue (queues: Queues, slot: number): void {
  queues.unlink(slot)
  queues.push(main, slot)
}

export const s3Fifo = createRule('s3-fifo', 2)
/** The same with one hit, as the authors' own summary has it; it learns faster where items come back soon. */
export const s3FifoEager = createRule('s3-fifo-eager', 1)
