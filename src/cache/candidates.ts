/** Which stored responses a request may be answered with, and which of them it selects (RFC 9111 sections 4 and 4.1). */
import { isInvalidated, type CacheContext } from './context.ts'
import { currentAge } from './freshness.ts'
import { uriKey } from './key.ts'
import type { CacheRequest } from './lookup.ts'
import { formatVariance, searchVariance } from './search-variance.ts'
import type { StoredEntry } from './store.ts'
import { Presented, selects, suitsByMeaning } from './vary.ts'

/** Stored responses that may be considered at all: not invalidated, and not stale for longer than the route keeps them. */
export function storedVariants (context: CacheContext, request: CacheRequest, key: string, now: number): readonly StoredEntry[] {
  const variants = context.safely<readonly StoredEntry[]>([], () => context.store.variants(key))
  const found = variants.length > 0 || !request.rules.noVarySearch ? variants : equivalentVariants(context, request)
  return found.length === 0 ? found : usableOf(context, request, found, now)
}

function usableOf (context: CacheContext, request: CacheRequest, found: readonly StoredEntry[], now: number): readonly StoredEntry[] {
  for (const entry of found) entry.lend?.()
  const { keep } = request.rules
  const isUsable = (entry: StoredEntry): boolean => !isInvalidated(context, entry) &&
    (keep === undefined || currentAge(entry.response, now) - entry.response.freshnessLifetime <= keep / 1000)
  if (found.every(isUsable)) return found
  return found.filter(entry => {
    const usable = isUsable(entry)
    if (!usable) context.safely(undefined, () => { context.store.remove(entry) })
    return usable
  })
}

/** Responses to another query of the same path that their origin server declares equivalent. */
function equivalentVariants (context: CacheContext, request: CacheRequest): readonly StoredEntry[] {
  const known = context.searches.find(request)
  if (known === null) return []
  const declared = formatVariance(known.variance)
  const uri = uriKey(request)
  return context.safely<readonly StoredEntry[]>([], () => context.store.variants(known.key)).filter(({ response, moment }) => {
    // The URI that is asked for was invalidated, although the response is stored for another one (RFC 9111 4.4).
    if (context.invalidations.happenedSince(uri, moment)) return false
    const variance = searchVariance(response.fields)
    return variance !== null && formatVariance(variance) === declared
  })
}

/** Of the responses that fit, the one with the most recent `Date` (section 4), one with `Vary` before one without (4.1). */
export function chooseVariant ({ fields, rules }: CacheRequest, variants: readonly StoredEntry[]): StoredEntry | null {
  const [only] = variants
  if (variants.length === 1 && only !== undefined && selects(fields, only.response.selecting, rules.vary)) return only
  let chosen: StoredEntry | null = null
  const presented = new Presented(fields, rules.vary)
  for (let i = variants.length - 1; i >= 0; i--) {
    const variant = variants[i] as StoredEntry
    if (presented.selects(variant.response.selecting) && (chosen === null || isPreferred(variant, chosen))) chosen = variant
  }
  if (chosen !== null || rules.vary !== 'meaning') return chosen
  for (const variant of variants) {
    if (suitsByMeaning(fields, variant.response.selecting, variant.response.fields) && (chosen === null || isPreferred(variant, chosen))) chosen = variant
  }
  return chosen
}

function isPreferred (a: StoredEntry, b: StoredEntry): boolean {
  const [varies, otherVaries] = [a.response.selecting.length > 0, b.response.selecting.length > 0]
  return varies === otherVaries ? a.response.dateAt > b.response.dateAt : varies
}
