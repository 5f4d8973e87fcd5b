/** Invalidation by unsafe requests (RFC 9111 section 4.4). */
import { fieldValue, type FieldMap } from '../http/fields.ts'

const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

/** Safe by RFC 9110 9.2.1 or by the method's registration; one that is not registered, such as M-SEARCH, counts as unsafe (4.4). */
export function isSafe (method: string): boolean {
  return safe.has(method)
}

/**
 * Targets (`path?query`) to invalidate besides the request's own: `Location` and `Content-Location` on the same origin.
 * @param authority of the request, as in the cache key
 */
export function relatedTargets (fields: FieldMap, scheme: string, authority: string, target: string): string[] {
  const targets: string[] = []
  for (const name of ['location', 'content-location']) {
    const value = fieldValue(fields, name)
    if (value === undefined) continue
    const base = `${scheme}://${authority === '' ? 'localhost' : authority}`
    if (!URL.canParse(value, base + target)) continue
    const url = new URL(value, base + target)
    if (url.origin === new URL(base).origin) targets.push(url.pathname + url.search)
  }
  return targets
}
