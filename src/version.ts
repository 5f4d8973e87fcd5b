/** Which Holdfast this is. */
import { readFileSync } from 'node:fs'

/** The version in `package.json`, or `unknown`. */
export function packageVersion (): string {
  // Beside the sources, or one level further up from `dist/src`.
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { name?: string, version?: string }
      if (found.name === 'holdfast' && found.version !== undefined) return found.version
    } catch {
      // The other place.
    }
  }
  return 'unknown'
}
