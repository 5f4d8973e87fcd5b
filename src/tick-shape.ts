/**
 * Keeps `process.nextTick` fast.
 *
 * Node makes an object for each call, of which V8 remembers the shape, weakly: where no such object is alive while it collects, it
 * forgets the shape, and takes a slow way for each call from then on, for good. After some collections of an idle process that
 * was five times the time of a call, and a tenth of what a hit costs (Node 24.21).
 */
import { executionAsyncResource } from 'node:async_hooks'

/** One of these objects, with which its shape stays. */
let kept: object | null = null

/** May be called again; calls beyond the first do nothing. */
export function keepTickShape (): void {
  if (kept !== null) return
  // With an argument it has all that any of them has.
  process.nextTick(() => { kept ??= executionAsyncResource() }, null)
}

/** For tests: the object, once there is one. */
export function keptTick (): object | null { return kept }
