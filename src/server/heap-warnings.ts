/**
 * What is known of a stored response beside its text is in V8's heap, whose bound knows nothing of ours: who goes over it ends.
 * Of usual small ones that is a sixth, but clients that ask for long URLs make it nearly all.
 */
import type { ConfigProblem } from '../config/problems.ts'
import type { Config } from '../config/schema.ts'

/** Of the heap, that stored responses may take. */
const heapShare = 0.75

/** @param heapBytes V8's bound on its heap */
export function heapWarnings ({ cache: { enabled, maxBytes } }: Config, heapBytes: number): ConfigProblem[] {
  if (!enabled || maxBytes <= heapBytes * heapShare) return []
  const needed = Math.ceil(maxBytes / heapShare / 2 ** 20)
  return [{
    path: '/cache/maxBytes',
    rule: 'fits-heap',
    value: maxBytes,
    message: `is more than ${heapShare * 100} % of V8's heap (${Math.floor(heapBytes / 2 ** 20)} MiB), where keys of stored responses are kept, which are most of them if URLs are long; start with NODE_OPTIONS=--max-old-space-size=${needed}`
  }]
}
