/** Adds up what several processes say in Prometheus' text format. */

/**
 * Sums samples of the same name and labels. That is right for counters and histograms, and for the gauges here, which
 * are amounts (bytes, entries, sockets).
 */
export function aggregate (texts: readonly string[]): string {
  const families = new Map<string, { readonly header: string[], readonly samples: Map<string, number> }>()
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
      family?.samples.set(sample, (family.samples.get(sample) ?? 0) + Number(line.slice(split + 1)))
    }
  }
  let result = ''
  for (const { header, samples } of families.values()) {
    result += header.join('\n') + '\n'
    for (const [sample, value] of samples) result += `${sample} ${value}\n`
  }
  return result
}
