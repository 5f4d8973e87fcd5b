/**
 * What a route's `match.host` and `match.path` may look like, and their parts. Bytes are compared as written:
 * a path is normalised before it comes here (see `src/http/target.ts`), a host is in lower case.
 */

import { isIPv6 } from 'node:net'

export type PathSegment =
  | { readonly kind: 'static', readonly text: string }
  | { readonly kind: 'param', readonly name: string }

export interface PathPattern {
  readonly segments: readonly PathSegment[]
  /** It ends with `/*`: anything may follow, and nothing may. */
  readonly rest: boolean
}

export type PatternResult<P> = { readonly ok: true, readonly pattern: P } | { readonly ok: false, readonly reason: string }

/** Reads `/exact`, `/prefix/*` or `/users/:id/avatar`; the reason completes "the path …". */
export function parsePathPattern (path: string): PatternResult<PathPattern> {
  if (!path.startsWith('/')) return refused('must begin with /')
  if (/[?#]/.test(path)) return refused('must not contain a query or fragment (? or #)')

  const parts = path.slice(1).split('/')
  const rest = parts.at(-1) === '*'
  if (rest) parts.pop()

  const segments: PathSegment[] = []
  const names = new Set<string>()
  for (const part of parts) {
    if (part.includes('*')) return refused('may have * only as its whole last segment, as in /prefix/*')
    const colon = part.indexOf(':')
    if (colon > 0 && /^:[A-Za-z_]\w*$/.test(part.slice(colon))) return refused(`has a name that is only part of a segment (${part}): a :name stands for a whole segment`)
    if (colon !== 0) {
      segments.push({ kind: 'static', text: part })
      continue
    }
    if (!/^:[A-Za-z_]\w*$/.test(part)) return refused(`has a segment ${part} that is no :name of letters, digits and underscores`)
    if (names.has(part)) return refused(`names ${part} twice`)
    names.add(part)
    segments.push({ kind: 'param', name: part.slice(1) })
  }
  return { ok: true, pattern: { segments, rest } }
}

/** The names of a path's segments by their place, null for plain text; nothing for a path that is not valid. */
export function segmentNames (path: string): readonly (string | null)[] {
  const parsed = parsePathPattern(path)
  return parsed.ok ? parsed.pattern.segments.map(segment => segment.kind === 'param' ? segment.name : null) : []
}

export interface HostPattern {
  /** In lower case; for a wildcard what follows the `*.`. */
  readonly name: string
  /** One or more labels must come before the name. */
  readonly wildcard: boolean
}

const label = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/

/** Reads `example.com`, `*.example.com`, `192.0.2.1` or `[::1]`; the reason completes "the host …". */
export function parseHostPattern (host: string): PatternResult<HostPattern> {
  const lower = host.toLowerCase()
  if (/^\[.*\]$/.test(lower)) {
    if (!isIPv6(lower.slice(1, -1)) || lower.includes('%')) return refused('is not a valid IPv6 address')
    // Requests have the one spelling of RFC 5952, which the URL parser knows.
    return { ok: true, pattern: { name: new URL(`http://${lower}`).hostname, wildcard: false } }
  }
  if (lower === '*') return refused('* is the same as no host at all: leave `host` out')
  if (/[^\x21-\x7e]/.test(lower)) return refused('must be written in ASCII (xn--… for an international name)')
  if (/:\d*$/.test(lower)) return refused('must be written without a port')

  const wildcard = lower.startsWith('*.')
  const name = wildcard ? lower.slice(2) : lower
  if (name.includes('*')) return refused('may have * only as its whole first label, as in *.example.com')
  if (name.length > 253 || !name.split('.').every(part => label.test(part))) return refused('is not a valid host name')
  return { ok: true, pattern: { name, wildcard } }
}

function refused (reason: string): { readonly ok: false, readonly reason: string } {
  return { ok: false, reason }
}
