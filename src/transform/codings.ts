/** Content codings, and which of them a client gets (RFC 9110 8.4.1, 12.5.3). */
import { weightsOf } from '../cache/preferences.ts'

export const codings = ['zstd', 'br', 'gzip'] as const
export type Coding = typeof codings[number]

/** Below every weight that a client can give: what it does not name it takes, if nothing else. */
const unnamed = 0.0001

export interface CodingChoice {
  /**
   * Of those offered the one the client likes best, the first one of equals; `identity` where it likes that better, takes
   * no other, or what it says is not well-formed; null where it refuses identity and all that is offered.
   */
  readonly coding: Coding | 'identity' | null
  readonly takesIdentity: boolean
}

/** @param offered in order of preference */
export function chooseCoding (value: string | undefined, offered: readonly Coding[]): CodingChoice {
  const weights = value === undefined ? null : weightsOf(value)
  if (weights === null) return { coding: 'identity', takesIdentity: true }
  const others = weights.get('*')
  const identity = weights.get('identity') ?? (others === 0 ? 0 : unnamed)
  let coding: CodingChoice['coding'] = identity > 0 ? 'identity' : null
  let most = identity
  for (const one of offered) {
    const weight = weights.get(one) ?? (one === 'gzip' ? weights.get('x-gzip') : undefined) ?? others ?? 0
    if (weight > most || (weight === most && coding === 'identity')) {
      coding = one
      most = weight
    }
  }
  return { coding, takesIdentity: identity > 0 }
}

/** Values in use repeat: the last ones are remembered, the whole memory is dropped when it is full. */
const maxRemembered = 1000
const maxRememberedLength = 256

/** `chooseCoding` for one offer, with a memory. */
export function createCodingChooser (offered: readonly Coding[]): (value: string | undefined) => CodingChoice {
  const remembered = new Map<string, CodingChoice>()
  return value => {
    if (value === undefined || value.length > maxRememberedLength) return chooseCoding(value, offered)
    const known = remembered.get(value)
    if (known !== undefined) return known
    const chosen = chooseCoding(value, offered)
    if (remembered.size >= maxRemembered) remembered.clear()
    remembered.set(value, chosen)
    return chosen
  }
}

export interface RangedChoice {
  readonly coding: CodingChoice['coding']
  /** `Range` and `If-Range` do not count, so that the whole is the answer (RFC 9110 14.2). */
  readonly ignoresRange: boolean
}

/**
 * What a request with `Range` is taken for: one for the original. Parts of it and of a compressed one are never mixed up,
 * whichever of them is stored. A tag that was made here is weak, and a date may be that of either, so that no range is
 * given by them (13.1.5).
 */
export function chooseForRange ({ coding, takesIdentity }: CodingChoice, ifRange: string | undefined): RangedChoice {
  if (coding === 'identity') return { coding, ignoresRange: false }
  return takesIdentity && (ifRange === undefined || isStrongTag(ifRange)) ? { coding: 'identity', ignoresRange: false } : { coding, ignoresRange: true }
}

/** Rather than a weak one, or a date. */
export function isStrongTag (ifRange: string): boolean {
  return ifRange.trimStart().startsWith('"')
}
