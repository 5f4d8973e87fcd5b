/** Keys in query parameters, which leave the target before anything else looks at it. */

export interface TakenKeys {
  /** Empty, or `?` and the rest. */
  readonly query: string
  /** By parameter; null where one is given twice or cannot be decoded. Null where there is none at all. */
  readonly keys: Readonly<Record<string, string | null>> | null
}

/** Takes the parameters out. Names are compared decoded: `k%65y` is `key` to whoever reads it later. */
export function takeQueryKeys (query: string, names: readonly string[]): TakenKeys {
  if (query === '') return { query, keys: null }
  const keys: Record<string, string | null> = Object.create(null)
  let found = false
  const rest = query.slice(1).split('&').filter(parameter => {
    const equals = parameter.indexOf('=')
    const name = decoded(equals === -1 ? parameter : parameter.slice(0, equals))
    if (name === null || !names.includes(name)) return true
    keys[name] = name in keys || equals === -1 ? null : decoded(parameter.slice(equals + 1))
    found = true
    return false
  })
  if (!found) return { query, keys: null }
  return { query: rest.length === 0 ? '' : `?${rest.join('&')}`, keys }
}

function decoded (text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return null
  }
}
