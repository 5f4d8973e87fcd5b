/** Answers from the cache: whole ones by size, not modified, parts. */
import { entityTag } from '../servers/fields.ts'
import type { Asked, LoadScenario, Row } from '../lib/scenario.ts'

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

const notModified: Asked = { ...storedHit(kibibyte), fields: { 'If-None-Match': entityTag }, expect: { status: 304, bytes: 0 } }
const part: Asked = { path: `/stored/${100 * kibibyte}/page`, first: [{}], fields: { Range: `bytes=0-${10 * kibibyte - 1}` }, expect: { status: 206, bytes: 10 * kibibyte }, origin: 'none' }

export const hitScenarios: LoadScenario[] = [
  ...bySize,
  {
    name: '304',
    title: 'Not modified: If-None-Match answered from the cache, beside a hit of 1 KiB',
    rows: [{ subject: 'holdfast', title: 'whole hit', asked: storedHit(kibibyte) }, ...rowsFor([...ours, ...peers], { title: '304', asked: notModified })],
    alone: true
  },
  {
    name: '206',
    title: 'A part of 10 KiB of a stored response of 100 KiB, beside a hit of 10 KiB',
    rows: [{ subject: 'holdfast', title: 'whole hit', asked: storedHit(10 * kibibyte) }, ...rowsFor([...ours, ...peers], { title: '206', asked: part })],
    alone: true
  }
]
