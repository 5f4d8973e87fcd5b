/** Contents of up to 16 KiB are kept in V8's heap, whose bound knows nothing of ours: who goes over it ends. */
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
    message: `is more than ${heapShare * 100} % of V8's heap (${Math.floor(heapBytes / 2 ** 20)} MiB), where small responses are kept; start with NODE_OPTIONS=--max-old-space-size=${needed}`
  }]
}
