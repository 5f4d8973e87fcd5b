/** Answers that the origin server gives: not to be stored, or of a URL that nobody has asked for before. */
import type { Asked, LoadScenario } from '../lib/scenario.ts'
import { ours, peers, rowsFor } from './hits.ts'

const passing = (bytes: number): Asked => ({ path: `/passing/${bytes}/page`, expect: { status: 200, bytes }, origin: 'all' })
const storing = (bytes: number): Asked => ({ path: `/stored/${bytes}/first`, paths: { kind: 'counter', prefix: `/stored/${bytes}/` }, expect: { status: 200, bytes }, origin: 'all' })

export const missScenarios: LoadScenario[] = [
  { name: 'miss', title: 'Miss, 1 KiB that may not be stored', rows: rowsFor(['reply-from', ...ours, ...peers], { asked: passing(1024) }), alone: true },
  { name: 'miss-1m', title: 'Miss, 1 MiB that may not be stored', rows: rowsFor(['reply-from', ...ours, ...peers], { asked: passing(2 ** 20) }) },
  { name: 'storing', title: 'Storing miss, 1 KiB, each request for another URL, room for 64 MiB', rows: rowsFor(['reply-from', ...ours, ...peers], { asked: storing(1024), settings: { cacheMiB: 64 } }) },
  { name: 'storing-100k', title: 'Storing miss, 100 KiB, each request for another URL, room for 256 MiB', rows: rowsFor(['reply-from', ...ours, ...peers], { asked: storing(100 * 1024) }) }
]
