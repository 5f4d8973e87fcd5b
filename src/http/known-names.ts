/** Names of field lines in what a parser hands over as octets: those that most responses have are recognised, and not decoded. */

interface KnownName {
  readonly name: string
  readonly octets: Buffer
}

const names = [
  'accept-ranges', 'access-control-allow-credentials', 'access-control-allow-headers', 'access-control-allow-methods', 'access-control-allow-origin',
  'access-control-expose-headers', 'age', 'alt-svc', 'cache-control', 'cache-status', 'connection', 'content-disposition', 'content-encoding', 'content-language',
  'content-length', 'content-location', 'content-range', 'content-security-policy', 'content-type', 'cross-origin-opener-policy', 'cross-origin-resource-policy',
  'date', 'etag', 'expires', 'keep-alive', 'last-modified', 'link', 'location', 'origin-agent-cluster', 'permissions-policy', 'pragma', 'referrer-policy', 'server',
  'server-timing', 'set-cookie', 'strict-transport-security', 'surrogate-key', 'transfer-encoding', 'vary', 'via', 'x-content-type-options', 'x-dns-prefetch-control',
  'x-frame-options', 'x-powered-by', 'x-request-id', 'x-xss-protection'
]

const byLength: KnownName[][] = []
for (const name of names) (byLength[name.length] ??= []).push({ name, octets: Buffer.from(name) })

/** Names that need no look whether they are valid. */
export const knownNames: ReadonlySet<string> = new Set(names)

/** The name in lower case, or null where it is none of the known ones. */
export function knownNameOf (octets: Buffer): string | null {
  const candidates = byLength[octets.length]
  if (candidates === undefined) return null
  for (const { name, octets: expected } of candidates) if (isSame(octets, expected)) return name
  return null
}

function isSame (octets: Buffer, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i++) {
    const octet = octets[i] as number
    if (octet === expected[i]) continue
    const isUpperCase = octet >= 0x41 && octet <= 0x5a
    if (!isUpperCase || (octet | 0x20) !== expected[i]) return false
  }
  return true
}
