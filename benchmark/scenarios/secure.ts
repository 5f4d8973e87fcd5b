/** Hits over TLS: what encryption and HTTP/2 add, beside the caches that speak them. */
import type { LoadScenario } from '../lib/scenario.ts'
import { ours, rowsFor, storedHit } from './hits.ts'

const asked = storedHit(1024)
const settings = { tls: true }
const notes = ['Varnish is left out: it speaks no TLS']
const subjects = [...ours, 'nginx', 'haproxy']

export const secureScenarios: readonly LoadScenario[] = [
  {
    name: 'https',
    title: 'Hit, 1 KiB, HTTP/1.1 over TLS',
    rows: [{ subject: 'holdfast', title: 'without TLS', asked }, ...rowsFor(subjects, { title: 'TLS', asked, settings })],
    notes
  },
  {
    name: 'http2',
    title: 'Hit, 1 KiB, HTTP/2 over TLS, 8 requests at a time on each connection',
    rows: rowsFor(subjects, { asked: { ...asked, http2: true }, settings }),
    notes: [...notes, 'the load generator is the bottleneck: look at the processor time']
  }
]
