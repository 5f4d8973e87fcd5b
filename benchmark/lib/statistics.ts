export function median (values: readonly number[]): number {
  return percentile(values, 50)
}

/** Nearest rank; NaN of nothing. */
export function percentile (values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * percent / 100) - 1)] ?? NaN
}
