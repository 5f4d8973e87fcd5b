/** Adds up what several processes say in Prometheus' text format. */

/**
 * Sums samples of the same name and labels. That is right for counters and histograms, and for gauges that are amounts
 * (bytes, entries, sockets). Of those that are none, told by the end of their name, it is the mean, the earliest or the
 * longest.
 */
export function aggregate (texts: readonly string[]): string {
  const families = new Map<string, { readonly header: string[], readonly samples: Map<string, number[]> }>()
  for (const text of texts) {
    let family: ReturnType<typeof families.get>
    for (const line of text.split('\n')) {
      if (line === '') continue
      if (line.startsWith('#')) {
        const name = line.split(' ')[2] ?? ''
        family = families.get(name)
        if (family === undefined) families.set(name, family = { header: [], samples: new Map() })
        if (!family.header.includes(line)) family.header.push(line)
        continue
      }
      const split = line.lastIndexOf(' ')
      const sample = line.slice(0, split)
      const values = family?.samples.get(sample) ?? []
      values.push(Number(line.slice(split + 1)))
      family?.samples.set(sample, values)
    }
  }
  let result = ''
  for (const [name, { header, samples }] of families) {
    result += header.join('\n') + '\n'
    for (const [sample, values] of samples) result += `${sample} ${together(name, values)}\n`
  }
  return result
}

function together (name: string, values: readonly number[]): number {
  if (name.endsWith('_timestamp_seconds') || name === 'process_start_time_seconds') return Math.min(...values)
  if (name.endsWith('_last_duration_seconds')) return Math.max(...values)
  const sum = values.reduce((sum, value) => sum + value, 0)
  return name.endsWith('_ratio') ? sum / values.length : sum
}
