/** Whether a hit costs more where there is more of something: stored responses, routes, connections, variants. */
import type { Asked, LoadScenario, Row } from '../lib/scenario.ts'
import { storedHit } from './hits.ts'

const bytes = 1024
const hit = storedHit(bytes)
const thousands = (count: number): string => String(count).replace(/(?<=\d)(?=(?:\d{3})+$)/g, ',')

const anyOf = (count: number): Asked => ({ ...hit, path: `/stored/${bytes}/0`, paths: { kind: 'random', prefix: `/stored/${bytes}/`, count } })
/** MiB for a million, and Varnish needs some more; nginx takes a page of a file system for each. */
const roomFor = { holdfast: 2560, varnish: 4096, nginx: 8192 }
const objects = [10, 10_000, 1_000_000].flatMap(count => Object.entries(roomFor).map(([subject, cacheMiB]): Row => ({
  subject,
  title: `${thousands(count)} stored`,
  asked: anyOf(count),
  settings: { preload: count, cacheMiB: count === 1_000_000 ? cacheMiB : 64 }
})))

const routes = [1, 100, 1000].map((count): Row => ({ subject: 'holdfast', title: `${thousands(count)} route${count === 1 ? '' : 's'}`, asked: hit, settings: { routes: count } }))

/** What a platform adds for connections is in the row of its hello-world. */
const connections = [64, 1000, 10_000].flatMap(count => ['hello', 'holdfast', 'nginx'].map((subject): Row => ({ subject, title: `${thousands(count)} connections`, asked: hit, connections: count })))

/** The one that is asked for is the first that was stored, which is the last that a list would be searched for. */
const varying = (count: number): Asked => ({
  path: `/varying/${bytes}/${count}`,
  first: Array.from({ length: count }, (_, i) => ({ 'X-Variant': `variant-${i}` })),
  fields: { 'X-Variant': 'variant-0' },
  expect: { status: 200, bytes },
  origin: 'none'
})
const variants = ['holdfast', 'nginx', 'varnish'].flatMap(subject => [1, 32].map((count): Row => ({ subject, title: `${count} variant${count === 1 ? '' : 's'}`, asked: varying(count) })))

export const growthScenarios: readonly LoadScenario[] = [
  { name: 'objects', title: 'Hit, 1 KiB, any of those that are stored', rows: objects },
  { name: 'routes', title: 'Hit, 1 KiB, on the last of some routes', rows: routes },
  { name: 'connections', title: 'Hit, 1 KiB, kept connections', rows: connections, leastSeconds: 4 },
  { name: 'variants', title: 'Hit, 1 KiB, one of the variants of a URL', rows: variants, notes: ['HAProxy is left out: it stores nothing that varies by such a field'] }
]
