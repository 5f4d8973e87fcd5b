/** How often one client may ask. */
import { count, duration, item } from './kinds.ts'

export const RateLimitSchema = item('Requests allowed per client address.', {
  max: count('Requests in a window; above it 429 with `Retry-After`.', 100, { minimum: 1 }),
  window: duration('Length of the window.', '1m', { least: '1ms' }),
  clients: count('Client addresses remembered; the least recently seen goes first.', 10_000, { minimum: 1 })
})
