/** Units an operator may write: durations and sizes, decoded once to milliseconds and bytes. */

const durationPattern = '^\\d+(\\.\\d+)?(ms|s|m|h|d)$'
const sizePattern = '^\\d+(\\.\\d+)?(B|kB|MB|GB|KiB|MiB|GiB)$'

const millisecondsPer: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const bytesPer: Readonly<Record<string, number>> = {
  B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3
}

/** Milliseconds of a duration that has passed validation: a number of seconds, or text such as `500ms`, `10s`, `1.5h`. */
export function parseDuration (value: number | string): number {
  return Math.round(typeof value === 'number' ? value * 1000 : parseQuantity(value, millisecondsPer))
}

/** Bytes of a size that has passed validation: a number of bytes, or text such as `64KiB`, `1.5MB`. */
export function parseSize (value: number | string): number {
  return Math.round(typeof value === 'number' ? value : parseQuantity(value, bytesPer))
}

function parseQuantity (text: string, units: Readonly<Record<string, number>>): number {
  const split = text.search(/[a-z]/i)
  return Number(text.slice(0, split)) * (units[text.slice(split)] ?? Number.NaN)
}

/** A duration as an operator would write it, in the largest unit of which it is a whole number. */
export function formatDuration (milliseconds: number): string {
  for (const [unit, size] of [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000]] as const) {
    if (milliseconds >= size && milliseconds % size === 0) return `${milliseconds / size}${unit}`
  }
  return `${milliseconds}ms`
}

export { durationPattern, sizePattern }
