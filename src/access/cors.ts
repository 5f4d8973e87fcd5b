/** Cross-origin requests, as the Fetch standard has them. */
import type { FieldMap } from '../http/fields.ts'

/** Response fields that say what a page of another origin may do: only one of proxy and origin server can decide on them. */
export const corsFieldNames: ReadonlySet<string> = new Set([
  'access-control-allow-origin', 'access-control-allow-credentials', 'access-control-allow-methods', 'access-control-allow-headers',
  'access-control-expose-headers', 'access-control-max-age', 'access-control-allow-private-network'
])

/** Whether a browser asks what it may do, in place of doing it (Fetch 3.2.2). Any other OPTIONS is for the origin server. */
export function isPreflight (method: string, fields: FieldMap): boolean {
  return method === 'OPTIONS' && fields['origin'] !== undefined && fields['access-control-request-method'] !== undefined
}

export type OriginPattern = { readonly ok: true, readonly pattern: string | RegExp } | { readonly ok: false, readonly reason: string }

/** Reads `https://app.example.com`, `https://*.example.com:8443` or `null`; the reason completes "the origin …". */
export function parseOriginPattern (text: string): OriginPattern {
  if (text === 'null') return { ok: false, reason: 'null is what every sandboxed page and file says: it tells nobody apart' }
  const match = /^([a-z][a-z0-9+.-]*):\/\/(\*\.)?([^*/?#@\s]+)$/.exec(text)
  if (match === null) return { ok: false, reason: 'must be a scheme and a host in lower case, such as https://app.example.com, without a path or a slash at the end' }
  const [, scheme = '', wildcard, rest = ''] = match
  // Browsers send the one spelling of an origin: another one would never be equal to it.
  const plain = `${scheme}://${rest}`
  if (/^https?$/.test(scheme) && (!URL.canParse(plain) || new URL(plain).origin !== plain)) return { ok: false, reason: 'is not spelled as browsers do: lower case, without a default port' }
  if (wildcard === undefined) return { ok: true, pattern: plain }
  return { ok: true, pattern: new RegExp(`^${literal(scheme)}://(?:[a-z0-9_-]+\\.)+${literal(rest)}$`) }
}

function literal (text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
