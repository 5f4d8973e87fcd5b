/** Answers from the cache: whole ones by size. */
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

export const hitScenarios: readonly LoadScenario[] = bySize
