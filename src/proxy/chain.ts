/** What the requests of each route pass, in the order in which it acts, for `holdfast routes` and the admin listener. */
import { relative } from 'node:path'
import type { RouteConfig } from '../config/schema.ts'
import { filterPhases, type LoadedExtension } from '../extensions/extension.ts'
import type { FilterRegistry } from '../extensions/registry.ts'
import type { ProxyRoute } from './proxy-route.ts'

export interface ChainLink {
  /** A phase of own filters, `handler`, or another hook of Fastify's. */
  readonly phase: string
  readonly filter: string
  /** Of the built-in ones relative to the package. */
  readonly file: string
}

export interface RouteChain {
  readonly route: string
  readonly links: readonly ChainLink[]
}

interface BuiltIn extends ChainLink { readonly applies: (config: RouteConfig, route: ProxyRoute) => boolean }

const always = (): boolean => true
const changesResponses = ({ response: { setFields, removeFields, rules, security, cookies } }: RouteConfig): boolean =>
  security !== undefined || [setFields, removeFields, rules, cookies.domains, cookies.paths, cookies.rules].some(option => Object.keys(option).length > 0)
const transforms = ({ transforms, response }: RouteConfig): boolean => transforms.length > 0 || response.compression.enabled

/** In the order of `src/app.ts` and `routes/proxy.ts`. `own`: where filters of extensions come. */
const order: ReadonlyArray<BuiltIn | { readonly phase: string, readonly own: 'hooks' | 'filters' }> = [
  { phase: 'onRequest', filter: 'message-checks', file: 'plugins/message-checks.ts', applies: always },
  { phase: 'onRequest', filter: 'request-context', file: 'plugins/request-context.ts', applies: always },
  { phase: 'onRequest', own: 'hooks' },
  { phase: 'onRequest', filter: 'method-override', file: 'plugins/rewrite.ts', applies: ({ rewrite }) => rewrite.methodOverride !== undefined },
  { phase: 'onRequest', own: 'filters' },
  { phase: 'onRequest', filter: 'rate-limit', file: 'plugins/rate-limit.ts', applies: route => route.rateLimit !== undefined },
  { phase: 'onRequest', filter: 'auth', file: 'plugins/auth.ts', applies: route => route.auth !== undefined },
  { phase: 'preHandler', own: 'hooks' },
  { phase: 'preHandler', own: 'filters' },
  { phase: 'preHandler', filter: 'purge', file: 'plugins/purge.ts', applies: route => route.purge !== undefined },
  { phase: 'preHandler', filter: 'rewrite', file: 'plugins/rewrite.ts', applies: always },
  { phase: 'preHandler', filter: 'transforms', file: 'plugins/transforms.ts', applies: transforms },
  { phase: 'preHandler', filter: 'cache', file: 'plugins/cache.ts', applies: always },
  { phase: 'handler', filter: 'forward', file: 'plugins/forward.ts', applies: always },
  { phase: 'beforeStoring', filter: 'response-fields', file: 'src/forward/response-fields.ts', applies: changesResponses },
  { phase: 'beforeStoring', own: 'filters' },
  { phase: 'beforeStoring', filter: 'transforms', file: 'src/proxy/fetch.ts', applies: transforms },
  { phase: 'beforeSending', filter: 'transforms', file: 'plugins/transforms.ts', applies: ({ transforms }) => transforms.length > 0 },
  { phase: 'beforeSending', filter: 'error-pages', file: 'plugins/finish.ts', applies: ({ response }) => response.errorPages.length > 0 },
  { phase: 'beforeSending', filter: 'response-rules', file: 'plugins/finish.ts', applies: (_config, { responseRules }) => responseRules.sending !== null },
  { phase: 'beforeSending', own: 'filters' },
  { phase: 'onEnd', own: 'filters' },
  { phase: 'onEnd', filter: 'metrics', file: 'plugins/metrics.ts', applies: always }
]

/** The chain of each route, with what its extensions have added. */
export function chainsOf (routes: readonly ProxyRoute[], registry: FilterRegistry): RouteChain[] {
  const placed = new Set<string>(order.flatMap(part => 'own' in part && part.own === 'hooks' ? [part.phase] : []))
  const otherHooks = registry.hooks().filter(({ hook }) => !placed.has(hook)).map(({ extension, hook }) => linkOf(extension, hook, `${extension.name} (every route)`))

  return routes.map(route => {
    const { name, config, filters } = route
    const used = filters.own?.used ?? []
    const links = order.flatMap((part): ChainLink[] => {
      const { phase } = part
      if (!('own' in part)) return part.applies(config, route) ? [{ phase, filter: part.filter, file: part.file }] : []
      if (part.own === 'hooks') return registry.hooks().filter(({ hook }) => hook === phase).map(({ extension }) => linkOf(extension, phase, `${extension.name} (every route)`))
      const own = filterPhases.find(known => known === phase)
      return own === undefined ? [] : used.flatMap(({ extension }) => registry.of(extension, own).map(() => linkOf(extension, phase, extension.name)))
    })
    return { route: name, links: [...links, ...otherHooks] }
  })
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
