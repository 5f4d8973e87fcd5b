/** Policies by the names that the configuration has for them. */
import { GdsfPolicy } from './gdsf.ts'
import { LruPolicy } from './lru-policy.ts'
import type { EvictionPolicy, PolicyName } from './policy.ts'
import { QueuePolicy } from './queue-policy.ts'
import type { Bounds } from './queues.ts'
import { RuleChooser } from './rule-chooser.ts'
import { lru } from './rules/lru.ts'
import { s3Fifo, s3FifoEager } from './rules/s3-fifo.ts'
import { sieve } from './rules/sieve.ts'
import { wTinyLfu } from './rules/w-tiny-lfu.ts'

const candidates = [lru, sieve, s3Fifo, s3FifoEager, wTinyLfu]

export function createPolicy<T extends object> (name: PolicyName, bounds: Bounds): EvictionPolicy<T> {
  switch (name) {
    case 'lru': return new LruPolicy()
    case 'gdsf': return new GdsfPolicy()
    case 's3-fifo': return new QueuePolicy(s3Fifo, bounds)
    case 'adaptive': return new QueuePolicy(s3FifoEager, bounds, new RuleChooser({ candidates, bounds, initial: s3FifoEager }))
  }
}
