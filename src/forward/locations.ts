/** URLs of the origin server in response fields, as clients can ask for them. */
import type { ResponseConfig, RewriteConfig } from '../config/schema.ts'
import type { MutableFieldMap } from '../http/fields.ts'

export interface LocationInput {
  /** Origins that are the upstream's own, such as `http://127.0.0.1:3000`. */
  readonly origins: readonly string[]
  readonly rules: ResponseConfig['location']
  readonly rewrite: Pick<RewriteConfig, 'stripPrefix' | 'addPrefix'>
}

/** Changes the fields. @param mount path prefix the proxy is registered under; empty at the root */
export type LocationRules = (fields: MutableFieldMap, mount: string) => void

/** Null where there is nothing to do. */
export function createLocationRules ({ origins, rules, rewrite }: LocationInput): LocationRules | null {
  const own = new Set([...rules.rewrite ? origins : [], ...rules.origins].map(originOf))
  if (own.size === 0 && !rules.paths) return null
  const add = rewrite.addPrefix ?? ''
  const strip = rewrite.stripPrefix ?? ''

  /** Null for what stays as it is. */
  function mapped (value: string, mount: string): string | null {
    const [, origin, rest] = /^(https?:\/\/[^/?#\\\s]+)(.*)$/is.exec(value) ?? []
    if (origin === undefined || rest === undefined) return rules.paths && value.startsWith('/') ? pathOf(value, mount) : null
    if (!own.has(originOf(origin))) return null
    return pathOf(rest.startsWith('/') ? rest : `/${rest}`, mount)
  }

  function pathOf (path: string, mount: string): string | null {
    // Without its origin this would be a reference to another host, or be read as one by a browser that repairs it.
    if (!/^\/(?![/\\])[\x21-\x7e\x80-\xff]*$/.test(path)) return null
    if (add !== '' && !/^[/?#]?$/.test(path.charAt(add.length)) && path.startsWith(add)) return null
    if (add !== '' && !path.startsWith(add)) return null
    const below = path.slice(add.length)
    const inside = below === '' || /^[?#]/.test(below) ? `/${below}` : below
    const outside = mount + strip + inside
    return /^\/[/\\]/.test(outside) ? null : outside
  }

  return (fields, mount) => {
    for (const name of ['location', 'content-location']) {
      const value = fields[name]
      if (typeof value === 'string') fields[name] = mapped(value, mount) ?? value
    }
    const refresh = fields['refresh']
    if (typeof refresh !== 'string') return
    // No two repetitions beside each other take the same octets, so that one look at each of them is enough.
    const [before, quote = ''] = /^\d[\d.]*\s*[;,]\s*url\s*=\s*(["']?)/i.exec(refresh) ?? []
    if (before === undefined) return
    const rest = refresh.slice(before.length).trimEnd()
    if (quote !== '' && !rest.endsWith(quote)) return
    const url = rest.slice(0, rest.length - quote.length)
    const made = /["']/.test(url) ? null : mapped(url.trim(), mount)
    if (made !== null) fields['refresh'] = `${before}${made}${quote}`
  }
}

/** In one spelling: lower case, without the default port. */
function originOf (origin: string): string {
  return URL.canParse(origin) ? new URL(origin).origin : origin.toLowerCase()
}
