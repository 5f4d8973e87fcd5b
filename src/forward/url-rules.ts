/**
 * What a route makes of the path and query of a request: pure, and closed under normalisation.
 *
 * Both depend on the URL alone, so that a purge or an invalidation of a URL finds what is stored for it; but for values of
 * query parameters that are taken from the request, which are known only when there is one. Then the URL alone gives
 * what `query` says without a request, and the whole stands beside it in the key.
 */
import type { RE2JS } from 're2js'
import type { RewriteConfig } from '../config/schema.ts'
import { normaliseTarget } from '../http/target.ts'
import { loadOnce } from '../load-once.ts'
import { originalPath, rewritePath, rewrittenPrefixes } from './rewrite.ts'
import { compileTemplate, escapeText, parameterName, piecesOf, renderParameter, type Piece, type TemplateInput, type UrlInput } from './template.ts'

export interface UrlRules {
  /** Null when the result is no path that a request can have, or the path is too long to look for patterns in it. */
  path (path: string): string | null
  /** @param input null for what the URL alone says */
  query (url: UrlInput, input: TemplateInput | null): string
  /** Some values in the query are taken from more than the URL. */
  readonly queryOfRequest: boolean
  /** The beginnings that paths beginning with `prefix` have after `path`: no fewer paths. */
  prefixes (prefix: string): string[]
  /** A path that `path` makes this one of, where one is known; else the same. */
  original (path: string): string
}

const re2js = loadOnce<typeof import('re2js')>('re2js')

/**
 * Steps that each octet of a path may take in one pattern, and octets of a path that is looked at. Together they bound what a
 * request can cost: some 0.1 µs for a step.
 */
const maxPatternSize = 200
export const maxReplacedLength = 4096

export interface PathReplacement {
  readonly pattern: RE2JS
  readonly pieces: readonly Piece[]
}

/** Why a replacement cannot be used, completing "the pattern …" or "the value …"; or what it was made into. */
export function parseReplacement ({ pattern, with: value }: { readonly pattern: string, readonly with: string }): PathReplacement | { readonly option: 'pattern' | 'with', readonly reason: string } {
  let compiled: RE2JS
  try {
    compiled = re2js().RE2JS.compile(pattern)
  } catch (error) {
    return { option: 'pattern', reason: `cannot be used: ${error instanceof Error ? error.message : 'unknown error'}` }
  }
  if (compiled.programSize() > maxPatternSize) return { option: 'pattern', reason: `is too large: its repetitions come to more than ${maxPatternSize} steps` }
  const pieces = piecesOf(value)
  if (typeof pieces === 'string') return { option: 'with', reason: pieces }
  const names = new Set([...Array.from({ length: compiled.groupCount() + 1 }, (_, index) => String(index)), ...Object.keys(compiled.namedGroups())])
  const unknown = pieces.find(({ isName, text }) => isName && !names.has(text))
  if (unknown !== undefined) return { option: 'with', reason: `names {${unknown.text}}, which is no group of the pattern: there are ${[...names].join(', ')}` }
  return { pattern: compiled, pieces }
}

/** @param segments names in the route's pattern, by their place */
export function createUrlRules (rules: RewriteConfig, segments: readonly (string | null)[], mergeSlashes: boolean): UrlRules {
  const replacements = rules.replace.map(rule => {
    const parsed = parseReplacement(rule)
    if ('reason' in parsed) throw new TypeError(`the ${parsed.option} ${parsed.reason}`)
    return parsed
  })
  const { stripPrefix } = rules
  const before = stripPrefix === undefined ? {} : { stripPrefix }
  const after = rules.addPrefix === undefined ? {} : { addPrefix: rules.addPrefix }
  const query = createQueryRules(rules.query, segments)

  function path (received: string): string | null {
    if (replacements.length === 0) return rewritePath(received, rules)
    if (received.length > maxReplacedLength) return null
    const replaced = replacements.reduce(replaceFirst, rewritePath(received, before))
    return normalised(rewritePath(replaced.startsWith('/') ? replaced : `/${replaced}`, after), mergeSlashes)
  }

  return {
    path,
    query: query.apply,
    queryOfRequest: query.ofRequest,
    // What a pattern makes of a path says nothing of how the path began.
    prefixes: prefix => replacements.length === 0 ? rewrittenPrefixes(prefix, rules) : [rewritePath('/', after)],
    original (stored) {
      const candidate = originalPath(stored, rules)
      return replacements.length === 0 || path(candidate) === stored ? candidate : stored
    }
  }
}

/**
 * The first match only: to find all of them takes time that grows with the square of the length for some patterns, and one
 * is found in linear time.
 */
function replaceFirst (path: string, { pattern, pieces }: PathReplacement): string {
  const match = pattern.matcher(path)
  if (!match.find()) return path
  const value = pieces.map(({ isName, text }) => isName ? match.group(/^\d+$/.test(text) ? Number(text) : text) ?? '' : text).join('')
  return path.slice(0, match.start()) + value + path.slice(match.end())
}

/** What has become of a path is one again: without dot segments, in one spelling, and nothing of it a query. */
function normalised (path: string, mergeSlashes: boolean): string | null {
  if (/[?#]/.test(path)) return null
  const decision = normaliseTarget({ method: 'GET', target: path, hostLines: ['any'], httpVersion: '1.1', scheme: 'http', mergeSlashes })
  return decision.ok ? decision.target.path : null
}

interface QueryRules {
  readonly ofRequest: boolean
  apply (url: UrlInput, input: TemplateInput | null): string
}

const withoutRequest = { clientAddress: '', requestId: '', method: '', fields: {}, identity: null }

/** In this order: remove, rename, set, append. What no rule names stays as it is, octet for octet. */
function createQueryRules ({ remove, rename, set, append }: RewriteConfig['query'], segments: readonly (string | null)[]): QueryRules {
  const made = (values: Readonly<Record<string, string>>) => Object.entries(values).map(([name, value]) => ({ name, template: compileTemplate(value, segments) }))
  const [sets, appends] = [made(set), made(append)]
  const setNames = new Set(Object.keys(set))
  const names = new Map(Object.entries(rename))
  if (remove.length === 0 && names.size === 0 && sets.length === 0 && appends.length === 0) return { ofRequest: false, apply: ({ query }) => query }

  function apply (url: UrlInput, input: TemplateInput | null): string {
    const parameters = url.query === '' ? [] : url.query.slice(1).split('&')
    const kept: string[] = []
    for (const text of parameters) {
      const name = parameterName(text)
      if (remove.some(pattern => isNamed(pattern, name))) continue
      const renamed = names.get(name)
      if (setNames.has(renamed ?? name)) continue
      kept.push(renamed === undefined ? text : escaped(renamed) + (text.includes('=') ? text.slice(text.indexOf('=')) : ''))
    }
    for (const { name, template } of [...sets, ...appends]) {
      if (template.ofRequest && input === null) continue
      const value = renderParameter(template, input === null ? { ...withoutRequest, ...url } : { ...input, ...url })
      if (value !== null) kept.push(`${escaped(name)}=${value}`)
    }
    if (kept.length > 0) return `?${kept.join('&')}`
    // A lone question mark is the client's own.
    return parameters.length === 0 ? url.query : ''
  }

  return { ofRequest: [...sets, ...appends].some(({ template }) => template.ofRequest), apply }
}

function escaped (name: string): string {
  return escapeText(Buffer.from(name, 'utf8').toString('latin1'))
}

function isNamed (pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}
