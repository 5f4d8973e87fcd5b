/** Rules about what a route changes of a request. */
import { METHODS } from 'node:http'
import { parseTemplate } from '../forward/template.ts'
import { conditionalFields, generatedFields } from '../forward/request-rules.ts'
import { parseReplacement } from '../forward/url-rules.ts'
import { parsePathPattern, segmentNames, type PathPattern } from '../routing/pattern.ts'
import { checkField, checkTemplates, checkUniqueFields, framing } from './field-checks.ts'
import { spellingFault } from './path-spelling.ts'
import { didYouMean, nearest, pointerTo, type ConfigProblem } from './problems.ts'
import type { RouteConfig } from './schema.ts'
import { checkHost } from './upstream-checks.ts'
import type { Report } from './semantic-checks.ts'

const requestFraming = new Set([...framing, 'expect', 'host'])
/** Not to be made by a rule: the cache answers them, and asks its own. */
const notMade = new Set([...requestFraming, ...conditionalFields])
/** Written when the request is sent, so that there is nothing yet to be copied or added to. */
const notMoved = new Set([...notMade, ...generatedFields])

export function checkRewrite (route: RouteConfig, place: string, mergeSlashes: boolean, report: Report): void {
  const { rewrite, match } = route
  const at = `${place}/rewrite`
  checkPrefixes(route, at, mergeSlashes, report)
  for (const [index, replacement] of rewrite.replace.entries()) {
    const parsed = parseReplacement(replacement)
    if ('reason' in parsed) report({ path: `${at}/replace/${index}/${parsed.option}`, rule: 'replace', value: replacement[parsed.option], message: parsed.reason })
  }

  if (rewrite.host !== undefined) checkHost(rewrite.host, at, report)
  const segments = segmentNames(match.path)
  const { query } = rewrite
  checkTemplates(query.set, `${at}/query/set`, segments, report)
  checkTemplates(query.append, `${at}/query/append`, segments, report)
  checkFields(route, at, segments, report)
  checkMethodOverride(route, at, report)
}

function checkPrefixes ({ rewrite: { stripPrefix, addPrefix }, match }: RouteConfig, at: string, mergeSlashes: boolean, report: Report): void {
  for (const [option, prefix] of [['stripPrefix', stripPrefix], ['addPrefix', addPrefix]] as const) {
    const fault = prefix === undefined ? null : spellingFault(prefix, mergeSlashes)
    if (fault !== null) report({ path: `${at}/${option}`, rule: 'path-prefix', value: prefix, message: fault })
  }
  const path = parsePathPattern(match.path)
  if (stripPrefix !== undefined && path.ok && !mayBeginWith(path.pattern, stripPrefix)) {
    report({ path: `${at}/stripPrefix`, rule: 'strip-prefix', value: stripPrefix, message: `no path that matches ${match.path} begins with it` })
  }
}

function mayBeginWith ({ segments, rest }: PathPattern, prefix: string): boolean {
  const parts = prefix.slice(1).split('/')
  if (parts.length > segments.length && !rest) return false
  return parts.every((part, index) => {
    const segment = segments[index]
    return segment === undefined || segment.kind === 'param' || segment.text === part
  })
}

function checkFields ({ rewrite }: RouteConfig, at: string, segments: readonly (string | null)[], report: Report): void {
  for (const option of ['setFields', 'appendFields', 'renameFields', 'copyFields'] as const) checkUniqueFields(rewrite[option], `${at}/${option}`, report)
  for (const [option, refused] of [['setFields', notMade], ['appendFields', notMoved]] as const) {
    for (const field of Object.keys(rewrite[option])) checkField(field, pointerTo(`${at}/${option}`, field), refused, report)
    checkTemplates(rewrite[option], `${at}/${option}`, segments, report)
  }
  for (const option of ['renameFields', 'copyFields'] as const) {
    for (const [from, to] of Object.entries(rewrite[option])) {
      const path = pointerTo(`${at}/${option}`, from)
      if (notMoved.has(from.toLowerCase())) checkField(from, path, notMoved, report)
      else checkField(to, path, notMoved, report)
    }
  }
  for (const [index, field] of rewrite.removeFields.entries()) checkField(field, `${at}/removeFields/${index}`, requestFraming, report)
}

/** What no client may ask for in place of POST: a response that has no content, a tunnel, an echo, or a purge. */
const neverMeant = new Set(['HEAD', 'POST', 'CONNECT', 'TRACE', 'PURGE'])

function checkMethodOverride ({ rewrite: { methodOverride }, match }: RouteConfig, at: string, report: Report): void {
  if (methodOverride === undefined) return
  checkField(methodOverride.field, `${at}/methodOverride/field`, requestFraming, report)
  if (match.methods !== undefined && !match.methods.includes('POST')) {
    report({ path: `${at}/methodOverride`, rule: 'method-override', message: 'has no effect: the route matches no POST' })
  }
  for (const [index, method] of methodOverride.methods.entries()) {
    const path = `${at}/methodOverride/methods/${index}`
    if (neverMeant.has(method)) report({ path, rule: 'method', value: method, message: `${method} cannot be asked for in place of POST` })
    else if (!METHODS.includes(method)) {
      const suggestion = nearest(method, METHODS)
      report({ path, rule: 'method', value: method, message: `is no method that this server can receive${didYouMean(suggestion)}`, ...suggestion !== undefined && { suggestion } })
    }
  }
}

/**
 * Fields sent upstream whose values tell clients apart, where the cache does not: the origin server's answer may be for one
 * of them. What is in the query is in the key, and a credential in `Authorization` keeps a response from being shared.
 */
export function rewriteWarnings (route: RouteConfig, place: string): ConfigProblem[] {
  const { rewrite, cache, match } = route
  if (!cache.enabled) return []
  const segments = segmentNames(match.path)
  const keyed = new Set(cache.key.fields.map(field => field.toLowerCase()))
  const warnings: ConfigProblem[] = []
  for (const option of ['setFields', 'appendFields'] as const) {
    for (const [field, value] of Object.entries(rewrite[option])) {
      const template = parseTemplate(value, segments)
      const telling = template.ok ? template.template.names.filter(name => tellsApart(name, route)) : []
      if (telling.length === 0 || keyed.has(field.toLowerCase()) || field.toLowerCase() === 'authorization') continue
      warnings.push({
        path: pointerTo(`${place}/rewrite/${option}`, field),
        rule: 'field-not-in-key',
        message: `the value differs by {${telling.join('}, {')}}, which is not in the cache key: a response that depends on it must say so in Vary, or name the field in cache.key.fields`
      })
    }
  }
  return warnings
}

/** Whether requests with one cache key may differ in it. An id is new for each of them and decides nothing. */
function tellsApart (name: string, { rewrite, cache: { key } }: RouteConfig): boolean {
  if (/^(?:client\.|auth\.|field\.|cookie\.)/.test(name)) return true
  if (name === 'host') return Object.keys(key.hosts).length > 0
  if (name === 'path' || name.startsWith('path.')) return rewrite.replace.length > 0 || key.ignorePathCase
  if (name === 'query' || name.startsWith('query.')) {
    const { remove, rename, set } = rewrite.query
    return remove.length > 0 || Object.keys(rename).length > 0 || Object.keys(set).length > 0 || key.query.ignore.length > 0 || key.query.keep !== undefined
  }
  return false
}
