/**
 * What `--upstream URL` does to a configuration.
 *
 * It gives the upstream called `default` its only target; everything else that the file says of that upstream
 * stays. Without `routes` in the file one route sends everything there, with caching on and no filter. With
 * `routes`, those that lead to `default` lead to the URL. A path in the URL is put before the path of each such
 * request.
 */
import type { ConfigProblem } from './problems.ts'
import { isPlain } from './plain.ts'
import type { Plain } from './plain.ts'

const name = 'default'
/** Stands where the URL was no good, so that only this is reported; never asked, as the configuration is refused. */
const anyOrigin = 'http://upstream.invalid'

/** Changes `tree` in place; returns what is wrong with the URL, or with a file that has no use for it. */
export function applyUpstream (tree: Plain, url: string, source: string): ConfigProblem[] {
  const parsed = parseUpstreamUrl(url)
  const problems: ConfigProblem[] = []
  if (!parsed.ok) problems.push({ path: `/upstreams/${name}/targets/0`, source, rule: 'upstream-url', value: url, message: parsed.message })

  tree.upstreams ??= {}
  if (isPlain(tree.upstreams)) {
    const present = tree.upstreams[name]
    tree.upstreams[name] = { ...isPlain(present) ? present : {}, targets: [parsed.ok ? parsed.origin : anyOrigin] }
  }
  tree.routes ??= [{ name, upstream: name }]
  if (!Array.isArray(tree.routes)) return problems // Validation says so.

  const routes = tree.routes.filter(isPlain).filter(route => route.upstream === name)
  if (routes.length === 0) {
    problems.push({ path: '/routes', source, rule: 'unused-upstream', message: 'the upstream "default" was given a target, but no route of the file has `upstream: default`' })
  }
  if (parsed.ok && parsed.path !== '') for (const route of routes) addPrefix(route, parsed.path)
  return problems
}

function addPrefix (route: Plain, path: string): void {
  route.rewrite ??= {}
  if (!isPlain(route.rewrite)) return
  const own = route.rewrite.addPrefix
  route.rewrite.addPrefix = typeof own === 'string' ? path + own : path
}

type UpstreamUrl = { readonly ok: true, readonly origin: string, readonly path: string } | { readonly ok: false, readonly message: string }

/** Origin and path (without slash at its end) of the URL of an upstream. */
export function parseUpstreamUrl (text: string): UpstreamUrl {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url === null) {
    const guess = /^[a-z0-9.-]+(:\d+)?(\/.*)?$/i.test(text) ? `http://${text}` : 'http://127.0.0.1:3000'
    return { ok: false, message: `must be a URL such as ${guess}` }
  }
  if (url.username !== '' || url.password !== '') return { ok: false, message: 'must not carry a user name or password; set the field authorization in a route\'s `rewrite.setFields`' }
  if (url.search !== '' || url.hash !== '') return { ok: false, message: 'must not have a query or fragment' }
  return { ok: true, origin: url.origin, path: url.pathname.replace(/\/+$/, '') }
}
