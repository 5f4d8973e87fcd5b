/** Host and port (RFC 3986 section 3.2, RFC 9110 section 7.2), in one canonical spelling. */
import { isIPv6 } from 'node:net'

export interface Authority {
  /** `host` or `host:port`, lower case, without the default port of the scheme. */
  readonly authority: string
  readonly host: string
}

/** Names in use repeat: the last ones seen are remembered, the whole memory is dropped when it is full. */
const remembered = new Map<string, Authority | null>()
const maxRemembered = 1000

/** Null for what is no host with an optional port. An empty text is an empty authority. */
export function parseAuthority (text: string, scheme: 'http' | 'https'): Authority | null {
  const known = remembered.get(scheme + text)
  if (known !== undefined) return known
  const parsed = parse(text, scheme)
  if (text.length <= 255) {
    if (remembered.size >= maxRemembered) remembered.clear()
    remembered.set(scheme + text, parsed)
  }
  return parsed
}

function parse (text: string, scheme: 'http' | 'https'): Authority | null {
  if (text === '') return { authority: '', host: '' }
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=-]+)(?::(\d{0,5}))?$/i.exec(text.trim())
  if (match === null) return null
  let host = (match[1] as string).toLowerCase()
  if (host.startsWith('[')) {
    if (!isIPv6(host.slice(1, -1))) return null
    // The URL parser knows the one spelling of an IPv6 address (RFC 5952).
    host = new URL(`http://${host}`).hostname
  } else {
    // `example.com.` is the same name, spelled absolutely. A comma would be a list, which Host is not.
    if (host.endsWith('.')) host = host.slice(0, -1)
    if (host === '' || host.includes(',') || host.startsWith('.')) return null
  }
  const port = match[2] === undefined || match[2] === '' ? null : Number(match[2])
  if (port !== null && port > 65_535) return null
  const isDefault = port === null || port === (scheme === 'https' ? 443 : 80)
  return { host, authority: isDefault ? host : `${host}:${port}` }
}
