/** Tables in Markdown, for a terminal and for docs/performance.md alike. */
import { median } from './statistics.ts'

export interface Table {
  readonly columns: readonly string[]
  readonly rows: ReadonlyArray<readonly string[]>
  /** What was left out, and why. */
  readonly notes?: readonly string[]
}

export const absent = 'n/a'

export function formatTable ({ columns, rows, notes = [] }: Table): string {
  const lines = [columns, columns.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`.replaceAll('|  |', '| |'))
  return `${lines.join('\n')}${notes.length === 0 ? '' : `\n\n${notes.map(note => `- ${note}`).join('\n')}`}`
}

/** Two figures that matter: 0.053, 1.20, 12.3, 1234. */
export function figure (value: number): string {
  if (!Number.isFinite(value)) return absent
  if (value === 0) return '0'
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toPrecision(2)
}

/** Median over the median of the yardstick, and how far single rounds were from it. */
export function ratio (values: readonly number[], yardstick: readonly number[]): string {
  const one = median(yardstick)
  if (values.length === 0 || !(one > 0)) return absent
  const of = (value: number): string => (value / one).toFixed(2)
  return `${of(median(values))} (${of(Math.min(...values))}-${of(Math.max(...values))})`
}
