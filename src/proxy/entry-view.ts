/** What is shown of a stored response: everything that decides on its use, never its content, and nothing that may be a secret. */
import { createHash } from 'node:crypto'
import type { EntryRow, EntryView } from '../admin/schemas.ts'
import { currentAge } from '../cache/freshness.ts'
import { parseUriKey } from '../cache/key.ts'
import { heldBytes } from '../cache/parts.ts'
import { decideReuse, mayBeServedStale } from '../cache/reuse.ts'
import type { StoredEntry } from '../cache/store.ts'
import type { SelectingField } from '../cache/vary.ts'
import { fieldValue } from '../http/fields.ts'
import type { ProxyRoute } from './proxy-route.ts'

type Row = Omit<EntryRow, 'cursor'>

/** Request fields whose values say nothing of who asks. Of all others only a fingerprint is shown. */
const harmless = /^(?:accept(?:-.*)?|origin|save-data|sec-ch-.*|sec-fetch-.*|user-agent|x-requested-with|x-forwarded-(?:host|proto)|range)$/

/** Response fields by which a cache decides. */
const deciding = [
  'age', 'cache-control', 'cache-groups', 'content-encoding', 'content-language', 'content-length', 'content-location', 'content-type', 'date', 'etag', 'expires', 'last-modified',
  'no-vary-search', 'pragma', 'vary'
]

/** Short enough to read, long enough to tell a handful of values apart. */
function fingerprint (text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex').slice(0, 12)}`
}

/**
 * @param route the one it was stored on; undefined when it is gone
 * @param mount path prefix the proxy is registered under
 */
export function entryRow (entry: StoredEntry, route: ProxyRoute | undefined, mount: string, now: number): Row {
  const { response, scope } = entry
  const parts = parseUriKey(entry.uri)
  const path = parts === null ? '' : mount + (route === undefined ? parts.path : route.urlRules.original(parts.path))
  return {
    url: parts === null ? '' : `${parts.scheme}://${parts.authority}${path}${parts.query}`,
    route: route?.name ?? scope.slice(0, scope.lastIndexOf('.')),
    status: response.statusCode,
    bytes: entry.sizeBytes,
    age: Math.floor(currentAge(response, now)),
    ttl: Math.floor(response.freshnessLifetime - currentAge(response, now)),
    hits: entry.hits,
    selecting: response.selecting.map(selectingView),
    tags: [...entry.tags]
  }
}

function selectingView ({ name, value }: SelectingField): { name: string, value: string | null } {
  if (value === undefined) return { name, value: null }
  return { name, value: harmless.test(name) ? value : fingerprint(value) }
}

export function entryView (entry: StoredEntry, route: ProxyRoute | undefined, mount: string, now: number): EntryView {
  const { response, parts } = entry
  const { control } = response
  const rules = route?.config.cache
  const stale = { staleWhileRevalidate: rules?.staleWhileRevalidate ?? 0, staleIfError: rules?.staleIfError ?? 0 }
  const uri = parseUriKey(entry.uri)
  const fields: Record<string, string> = {}
  for (const name of [...deciding, ...rules?.targetedFields ?? []]) {
    const value = fieldValue(response.fields, name.toLowerCase())
    if (value !== undefined) fields[name.toLowerCase()] = value
  }
  const { ttl } = decideReuse(response, null, stale, now)
  return {
    ...entryRow(entry, route, mount, now),
    key: {
      scheme: uri?.scheme ?? '',
      authority: uri?.authority ?? '',
      path: uri?.path ?? '',
      query: uri?.query ?? '',
      fields: [...rules?.key.fields ?? []],
      cookies: [...rules?.key.cookies ?? []],
      fingerprint: entry.key === entry.uri ? null : fingerprint(entry.key.slice(entry.uri.length + 1))
    },
    freshnessLifetime: response.freshnessLifetime,
    fresh: ttl >= 0 && response.freshnessLifetime > currentAge(response, now),
    override: response.override,
    mayBeServedStale: mayBeServedStale(response),
    staleWhileRevalidate: control.staleWhileRevalidate ?? stale.staleWhileRevalidate / 1000,
    staleIfError: control.staleIfError ?? stale.staleIfError / 1000,
    receivedAt: new Date(response.receivedAt).toISOString(),
    contentBytes: parts === null ? entry.bodyBytes : heldBytes(parts),
    partial: parts !== null,
    groups: entry.groups.length,
    fields
  }
}
