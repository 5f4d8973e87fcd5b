/** Rules about fields that are changed on the way, and about values with names in braces. */
import { parseTemplate } from '../forward/template.ts'
import { didYouMean, nearest, pointerTo } from './problems.ts'
import type { Report } from './semantic-checks.ts'

/** Fields that say where a message ends or belong to one connection (RFC 9110 7.6.1): only the proxy sets them. */
export const framing = ['connection', 'content-length', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']

/** Reports a field of `refused`. */
export function checkField (field: string, path: string, refused: ReadonlySet<string>, report: Report): void {
  if (!refused.has(field.toLowerCase())) return
  const hint = field.toLowerCase() === 'host' ? '; see `host` of the upstream and of `rewrite`' : ''
  report({ path, rule: 'framing-field', message: `the field ${field} is the proxy's own to set${hint}` })
}

/** Reports fields given twice in what is a map by name. */
export function checkUniqueFields (fields: Readonly<Record<string, unknown>>, place: string, report: Report): void {
  const seen = new Set<string>()
  for (const field of Object.keys(fields)) {
    if (seen.has(field.toLowerCase())) report({ path: pointerTo(place, field), rule: 'unique-field', message: 'is given twice; letter case does not tell fields apart' })
    seen.add(field.toLowerCase())
  }
}

/** Reports a value that cannot be made. It is not shown: it may hold a credential. @param segments names in the route's path */
export function checkTemplate (value: string, path: string, segments: readonly (string | null)[], report: Report): void {
  const result = parseTemplate(value, segments)
  if (result.ok) return
  const { reason, unknown } = result
  if (unknown === undefined) return report({ path, rule: 'template', message: reason })
  const suggestion = nearest(unknown.name, unknown.known)
  report({
    path,
    rule: 'template',
    message: `${reason}${suggestion === undefined ? `; there are ${unknown.known.join(', ')}` : didYouMean(suggestion)}`,
    ...suggestion !== undefined && { suggestion }
  })
}

/** All values of a map by name. */
export function checkTemplates (values: Readonly<Record<string, string>>, place: string, segments: readonly (string | null)[], report: Report): void {
  for (const [name, value] of Object.entries(values)) checkTemplate(value, pointerTo(place, name), segments, report)
}
