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

function withoutEndSlash (prefix: string): string {
  return prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
}
