/** Rules about compression that join options. */
import type { CompressionConfig } from './schema.ts'
import type { Report } from './semantic-checks.ts'

/** @param place JSON pointer of the compression options */
export function checkCompression ({ codings }: CompressionConfig, place: string, report: Report): void {
  for (const [index, coding] of codings.entries()) {
    if (codings.indexOf(coding) < index) report({ path: `${place}/codings/${index}`, rule: 'unique-coding', value: coding, message: 'is given twice; the first place counts' })
  }
}
