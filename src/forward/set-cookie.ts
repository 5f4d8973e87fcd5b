/** Cookies as the origin server sets them, and as clients get them (RFC 6265 section 4.1). */
import type { ResponseConfig } from '../config/schema.ts'

/** What becomes of one `Set-Cookie` line; null for none. */
export type CookieRules = (line: string) => string | null

type Rule = ResponseConfig['cookies']['rules'][number]

/** Null where there is nothing to do. */
export function createCookieRules ({ domains, paths, rules }: ResponseConfig['cookies']): CookieRules | null {
  const byDomain = new Map(Object.entries(domains).map(([from, to]) => [withoutDot(from), to]))
  const byPath = Object.entries(paths).map(([from, to]) => [withoutEndSlash(from), withoutEndSlash(to)] as const).sort(([a], [b]) => b.length - a.length)
  if (byDomain.size === 0 && byPath.length === 0 && rules.length === 0) return null

  return line => {
    const [pair = '', ...rest] = line.split(';')
    const equals = pair.indexOf('=')
    const name = pair.slice(0, Math.max(0, equals)).trim()
    const fitting = rules.filter(rule => isNamed(rule.name, name))
    if (fitting.some(({ remove }) => remove)) return null

    // A browser takes a cookie of this name only without domain and with the path `/` (RFC 6265bis 4.1.3.2).
    const isHostOnly = name.startsWith('__Host-')
    let attributes = rest.map(text => text.trim()).filter(text => text !== '')
    attributes = attributes.flatMap(attribute => {
      const value = attribute.slice(attribute.indexOf('=') + 1)
      if (isAttribute(attribute, 'domain')) {
        const to = byDomain.get(withoutDot(value)) ?? byDomain.get('*')
        return to === undefined ? [attribute] : to === '' || isHostOnly ? [] : [`Domain=${to}`]
      }
      return isAttribute(attribute, 'path') && !isHostOnly ? [`Path=${mappedPath(value, byPath)}`] : [attribute]
    })
    let renamed: string | undefined
    for (const rule of fitting) {
      renamed = rule.rename ?? renamed
      attributes = withFlags(attributes, rule)
    }
    return [renamed === undefined ? pair.trim() : `${renamed}${pair.slice(equals).trimEnd()}`, ...attributes].join('; ')
  }
}

function withFlags (attributes: readonly string[], { secure, httpOnly, sameSite }: Rule): string[] {
  const kept = sameSite === undefined ? [...attributes] : attributes.filter(attribute => !isAttribute(attribute, 'samesite'))
  if (secure && !kept.some(attribute => isAttribute(attribute, 'secure'))) kept.push('Secure')
  if (httpOnly && !kept.some(attribute => isAttribute(attribute, 'httponly'))) kept.push('HttpOnly')
  if (sameSite !== undefined) kept.push(`SameSite=${(sameSite[0] as string).toUpperCase()}${sameSite.slice(1)}`)
  return kept
}

function isAttribute (text: string, name: string): boolean {
  const equals = text.indexOf('=')
  return (equals === -1 ? text : text.slice(0, equals)).trim().toLowerCase() === name
}

function isNamed (pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function mappedPath (path: string, byPath: ReadonlyArray<readonly [from: string, to: string]>): string {
  const trimmed = path.trim()
  for (const [from, to] of byPath) {
    if (trimmed === from || trimmed === `${from}/` || trimmed.startsWith(`${from}/`)) return `${to}${trimmed.slice(from.length)}` || '/'
  }
  return trimmed
}

function withoutDot (domain: string): string {
  return domain.trim().replace(/^\./, '').toLowerCase()
}

function withoutEndSlash (path: string): string {
  return path.replace(/\/$/, '')
}
