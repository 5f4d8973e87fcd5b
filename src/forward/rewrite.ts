/** Path rewriting as data: pure, and closed under normalisation. */
import type { RewriteConfig } from '../config/schema.ts'

/** Strips a prefix at a segment boundary, then adds one. What does not begin with the prefix keeps its path. */
export function rewritePath (path: string, rules: Pick<RewriteConfig, 'stripPrefix' | 'addPrefix'>): string {
  let rewritten = path
  const strip = rules.stripPrefix === undefined ? '' : withoutEndSlash(rules.stripPrefix)
  if (strip !== '' && rewritten.startsWith(strip)) {
    if (rewritten.length === strip.length) rewritten = '/'
    else if (rewritten[strip.length] === '/') rewritten = rewritten.slice(strip.length)
  }
  const add = rules.addPrefix === undefined ? '' : withoutEndSlash(rules.addPrefix)
  return add + rewritten
}

/** The beginnings that paths beginning with `prefix` have after `rewritePath`: no fewer paths, and as few others as can be. */
export function rewrittenPrefixes (prefix: string, rules: Pick<RewriteConfig, 'stripPrefix' | 'addPrefix'>): string[] {
  const strip = withoutEndSlash(rules.stripPrefix ?? '')
  const add = withoutEndSlash(rules.addPrefix ?? '')
  if (strip === '') return [add + prefix]
  if (prefix.startsWith(`${strip}/`)) return [add + prefix.slice(strip.length)]
  // It may end before the part that is stripped does, which then says nothing of what comes after.
  return strip.startsWith(prefix) ? [`${add}/`, add + prefix] : [add + prefix]
}

/** A path that `rewritePath` makes this one of: the one with the prefix that is stripped. */
export function originalPath (path: string, rules: Pick<RewriteConfig, 'stripPrefix' | 'addPrefix'>): string {
  const add = withoutEndSlash(rules.addPrefix ?? '')
  return withoutEndSlash(rules.stripPrefix ?? '') + (path.startsWith(add) ? path.slice(add.length) : path)
}

function withoutEndSlash (prefix: string): string {
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
}
