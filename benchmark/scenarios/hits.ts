/** Answers from the cache: whole ones by size, and what a client gets that has the response already, or wants a part of it. */
import type { Asked, LoadScenario, Row } from '../lib/scenario.ts'
import { entityTag } from '../servers/fields.ts'

const kibibyte = 1024
export const ours = ['holdfast', 'holdfast-bare'] as const
export const peers = ['nginx', 'varnish', 'haproxy'] as const
export const rowsFor = (subjects: readonly string[], row: Omit<Row, 'subject'>): Row[] => subjects.map(subject => ({ subject, ...row }))

export const storedHit = (bytes: number): Asked => ({ path: `/stored/${bytes}/page`, first: [{}], expect: { status: 200, bytes }, origin: 'none' })

const sizes = [['1 KiB', 'hit', kibibyte], ['10 KiB', 'hit-10k', 10 * kibibyte], ['100 KiB', 'hit-100k', 100 * kibibyte], ['1 MiB', 'hit-1m', kibibyte * kibibyte]] as const

const bySize = sizes.map(([title, name, bytes]): LoadScenario => ({
  name,
  title: `Hit, ${title}`,
  rows: rowsFor(['hello', 'raw', ...ours, ...peers], { asked: storedHit(bytes) }),
  alone: bytes <= 10 * kibibyte
}))

const whole = storedHit(10 * kibibyte)
const notModified: Asked = { ...whole, fields: { 'If-None-Match': entityTag }, expect: { status: 304, bytes: 0 } }
const range: Asked = { ...whole, fields: { Range: 'bytes=0-1023' }, expect: { status: 206, bytes: 1024 } }

/** Beside a hit of the same server, which is the yardstick where it is Holdfast's. */
const besideHit = (subjects: readonly string[], title: string, asked: Asked): Row[] =>
  subjects.flatMap(subject => [{ subject, title: 'hit', asked: whole }, { subject, title, asked }])

export const hitScenarios: readonly LoadScenario[] = [
  ...bySize,
  {
    name: 'not-modified',
    title: 'A client that has the response of 10 KiB, 304',
    rows: besideHit([...ours, 'nginx', 'varnish'], '304', notModified),
    notes: ['HAProxy is left out: its 304 has the Content-Length of the stored response (RFC 9110 section 8.6 allows it), and wrk would wait for as much content']
  },
  {
    name: 'range',
    title: 'The first KiB of a stored response of 10 KiB, 206',
    rows: besideHit([...ours, 'nginx', 'varnish'], '206', range),
    notes: ['HAProxy is left out: its cache answers such a request with all of the response']
  }
]
