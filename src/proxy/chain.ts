/** What the requests of each route pass, in the order in which it acts, for `holdfast routes` and the admin listener. */
import { relative } from 'node:path'
import { kindsOf } from '../auth/identity-fields.ts'
import { credentialKindsIn } from '../auth/kind-order.ts'
import { filterPhases, type LoadedExtension } from '../extensions/extension.ts'
import type { FilterRegistry } from '../extensions/registry.ts'
import type { ProxyRoute } from './proxy-route.ts'

export interface ChainLink {
  /** A phase of own filters, `handler`, `ownErrors` for answers of the proxy's own from wherever they are given, or another hook of Fastify's. */
  readonly phase: string
  readonly filter: string
  /** Of the built-in ones relative to the package. */
  readonly file: string
}

export interface RouteChain {
  readonly route: string
  readonly links: readonly ChainLink[]
}

interface BuiltIn extends ChainLink { readonly applies: (route: ProxyRoute) => boolean }
/** Hooks and filters of extensions, and the kinds of credentials that the route accepts. */
interface Several { readonly phase: string, readonly several: 'hooks' | 'filters' | 'credentials' }

const always = (): boolean => true
const compresses = ({ config }: ProxyRoute): boolean => config.response.compression.enabled
const sends = ({ filters }: ProxyRoute): boolean => filters.transforms?.sends === true

/** In the order of `src/app.ts` and `routes/proxy.ts`. */
const order: ReadonlyArray<BuiltIn | Several> = [
  { phase: 'onRequest', filter: 'message-checks', file: 'plugins/message-checks.ts', applies: always },
  { phase: 'onRequest', filter: 'request-context', file: 'plugins/request-context.ts', applies: always },
  { phase: 'onRequest', several: 'hooks' },
  { phase: 'onRequest', filter: 'method-override', file: 'plugins/rewrite.ts', applies: ({ config }) => config.rewrite.methodOverride !== undefined },
  { phase: 'onRequest', filter: 'access', file: 'plugins/access.ts', applies: ({ filters }) => filters.checkAccess !== null },
  { phase: 'onRequest', filter: 'cors', file: 'plugins/cors.ts', applies: ({ filters }) => filters.handleCors !== null },
  { phase: 'onRequest', several: 'filters' },
  { phase: 'onRequest', filter: 'rate-limit', file: 'plugins/rate-limit.ts', applies: ({ filters }) => filters.limitRate !== null },
  { phase: 'onRequest', filter: 'auth', file: 'plugins/auth.ts', applies: ({ filters }) => filters.authenticate !== null },
  { phase: 'onRequest', several: 'credentials' },
  { phase: 'onRequest', filter: 'rate-limit-identity', file: 'plugins/rate-limit.ts', applies: ({ filters }) => filters.limitIdentity !== null },
  { phase: 'preHandler', several: 'hooks' },
  { phase: 'preHandler', several: 'filters' },
  { phase: 'preHandler', filter: 'purge', file: 'plugins/purge.ts', applies: ({ mayPurge }) => mayPurge !== null },
  { phase: 'preHandler', filter: 'rewrite', file: 'plugins/rewrite.ts', applies: always },
  { phase: 'preHandler', filter: 'transforms', file: 'plugins/transforms.ts', applies: ({ filters }) => filters.transforms !== null },
  { phase: 'preHandler', filter: 'cache', file: 'plugins/cache.ts', applies: always },
  { phase: 'preHandler', filter: 'rate-limit-forwarded', file: 'plugins/rate-limit.ts', applies: ({ filters }) => filters.limitForwarded !== null },
  { phase: 'handler', filter: 'forward', file: 'plugins/forward.ts', applies: always },
  { phase: 'beforeStoring', filter: 'response-fields', file: 'src/forward/response-fields.ts', applies: ({ config: { response: { location } }, responseRules }) => responseRules.apply !== null || location.origins.length > 0 || location.paths },
  { phase: 'beforeStoring', several: 'filters' },
  { phase: 'beforeStoring', filter: 'transforms', file: 'src/proxy/fetch.ts', applies: ({ filters }) => filters.transforms?.stores === true },
  { phase: 'beforeStoring', filter: 'compression', file: 'src/transform/compression.ts', applies: route => compresses(route) && !sends(route) },
  { phase: 'beforeSending', filter: 'transforms', file: 'plugins/transforms.ts', applies: sends },
  { phase: 'beforeSending', filter: 'compression', file: 'src/transform/compression.ts', applies: route => compresses(route) && sends(route) },
  { phase: 'beforeSending', filter: 'error-pages', file: 'plugins/finish.ts', applies: ({ errorPages }) => errorPages?.replaceOthers === true },
  { phase: 'beforeSending', filter: 'response-rules', file: 'plugins/finish.ts', applies: ({ responseRules }) => responseRules.sending !== null },
  { phase: 'beforeSending', several: 'filters' },
  { phase: 'ownErrors', filter: 'error-pages', file: 'plugins/errors.ts', applies: ({ errorPages }) => errorPages !== null },
  { phase: 'ownErrors', filter: 'response-rules', file: 'plugins/errors.ts', applies: ({ responseRules }) => responseRules.own !== null },
  { phase: 'onEnd', several: 'filters' },
  { phase: 'onEnd', filter: 'metrics', file: 'plugins/metrics.ts', applies: always }
]

/** The chain of each route, with what its extensions have added. */
export function chainsOf (routes: readonly ProxyRoute[], registry: FilterRegistry): RouteChain[] {
  const placed = new Set<string>(order.flatMap(part => 'several' in part && part.several === 'hooks' ? [part.phase] : []))
  const otherHooks = registry.hooks().filter(({ hook }) => !placed.has(hook)).map(({ extension, hook }) => linkOf(extension, hook, `${extension.name} (every route)`))

  return routes.map(route => {
    const used = route.filters.own?.used ?? []
    const links = order.flatMap((part): ChainLink[] => {
      const { phase } = part
      if (!('several' in part)) return part.applies(route) ? [{ phase, filter: part.filter, file: part.file }] : []
      if (part.several === 'hooks') return registry.hooks().filter(({ hook }) => hook === phase).map(({ extension }) => linkOf(extension, phase, `${extension.name} (every route)`))
      if (part.several === 'credentials') return credentialLinks(route, phase)
      const own = filterPhases.find(known => known === phase)
      return own === undefined ? [] : used.flatMap(({ extension }) => registry.of(extension, own).map(() => linkOf(extension, phase, extension.name)))
    })
    return { route: route.name, links: [...links, ...otherHooks] }
  })
}

function credentialLinks ({ config: { auth } }: ProxyRoute, phase: string): ChainLink[] {
  const groups = auth === undefined ? [] : kindsOf(auth)
  return groups.flatMap(kinds => credentialKindsIn(kinds).map(({ name, file }) => ({ phase, filter: `auth ${name}`, file })))
}

function linkOf (extension: LoadedExtension, phase: string, filter: string): ChainLink {
  return { phase, filter, file: extension.file }
}

/** Routes with the same chain are told together. Files of extensions are relative to `folder` where they are below it. */
export function formatChains (chains: readonly RouteChain[], folder: string): string {
  const groups = new Map<string, string[]>()
  for (const { route, links } of chains) {
    const rows = links.map(({ phase, filter, file }) => [phase, filter, fileFrom(folder, file)] as const)
    const widths = [0, 1].map(column => Math.max(...rows.map(row => (row[column as 0 | 1]).length)))
    const text = rows.map(([phase, filter, file]) => `  ${phase.padEnd(widths[0] ?? 0)}  ${filter.padEnd(widths[1] ?? 0)}  ${file}\n`).join('')
    const known = groups.get(text)
    if (known === undefined) groups.set(text, [route])
    else known.push(route)
  }
  return [...groups].map(([text, routes]) => `${routes.join(', ')}:\n${text}`).join('\n')
}

function fileFrom (folder: string, file: string): string {
  if (!file.startsWith('/')) return file
  const near = relative(folder, file)
  return near.startsWith('..') ? file : `./${near}`
}
