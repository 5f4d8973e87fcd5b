/** The values of `:name` segments. */
import { parsePathPattern } from './pattern.ts'

/**
 * @param pattern `match.path` of a route
 * @param path normalised, which the route was found for
 * @returns the segments by name, percent-encoded as they are in the path; empty without such segments
 */
export function pathParameters (pattern: string, path: string): Readonly<Record<string, string>> {
  const values: Record<string, string> = Object.create(null)
  const parsed = parsePathPattern(pattern)
  if (!parsed.ok) return values
  const segments = path.slice(1).split('/')
  parsed.pattern.segments.forEach((segment, index) => {
    if (segment.kind === 'param') values[segment.name] = segments[index] ?? ''
  })
  return values
}
