/**
 * Holdfast as an operator runs it: the command of a checkout, with a configuration file; standard output goes to /dev/null.
 *
 * `holdfast` has everything on that is on as shipped, access log and metrics included, and a rate limit that nobody
 * reaches; `holdfast-bare` has no access log, no rate limit and no admin listener.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, launch, listens } from '../lib/processes.ts'
import type { Settings, StartInput, Subject } from './subject.ts'

/** As `npm start` has it. */
export const nodeFlags = ['--max-semi-space-size=16', '--no-allocation-site-pretenuring', '--no-parallel-scavenge']
const defaultMiB = 256
/** V8 keeps small responses in its heap, of which half is for the rest. */
const heapMiB = (cacheMiB: number): number => Math.max(4096, 2 * cacheMiB)

export interface Revision {
  /** Folder of the checkout. */
  readonly root: string
  /** Empty for the one that this suite belongs to. */
  readonly label: string
}

export function configurationOf ({ origin, settings, certificate }: Pick<StartInput, 'origin' | 'settings' | 'certificate'>, everything: boolean, port: number, adminPort: number): object {
  const cacheMiB = settings.cacheMiB ?? defaultMiB
  const limited = everything ? { rateLimit: { max: 1_000_000_000 } } : {}
  return {
    server: {
      host: '127.0.0.1',
      port,
      // Load generators keep their connections: none of them is to be closed in between.
      limits: { requestsPerConnection: 0, connections: 20_000 },
      ...certificate !== null && { tls: { certificates: [{ cert: certificate.cert, key: certificate.key }] } }
    },
    admin: everything ? { port: adminPort } : { enabled: false },
    log: { access: everything },
    cache: { maxBytes: cacheMiB * 2 ** 20, ...(settings.preload ?? 0) > 500_000 && { maxEntries: 2_000_000 }, ...settings.cache },
    extensions: [...preloading(settings), ...settings.extensions ?? []],
    upstreams: { origin: { targets: [origin] } },
    routes: [...otherRoutes(settings, limited), { name: 'all', upstream: 'origin', ...limited, ...settings.route }]
  }
}

function preloading ({ preload = 0 }: Settings): object[] {
  return preload === 0 ? [] : [{ file: join(import.meta.dirname, '../servers/preload.ts'), options: { count: preload } }]
}

/** By host and by path, as larger sites have them. */
function otherRoutes ({ routes = 1 }: Settings, limited: object): object[] {
  return Array.from({ length: routes - 1 }, (_, i) => ({
    name: `route-${i}`,
    match: i % 2 === 0 ? { host: `host-${i}.test` } : { path: `/section-${i}/*` },
    upstream: 'origin',
    ...limited
  }))
}

export function createHoldfasts ({ root, label }: Revision): Subject[] {
  const suffix = label === '' ? '' : ` at ${label}`
  const create = (name: string, title: string, everything: boolean): Subject => ({
    name: label === '' ? name : `${name}@${label}`,
    title: title.replace('Holdfast', `Holdfast${suffix}`),
    isOurs: true,
    missing: null,
    version: process.version,
    async start (input) {
      const [port, adminPort] = await Promise.all([freePort(), freePort()])
      const file = join(input.folder, 'holdfast.json')
      writeFileSync(file, JSON.stringify(configurationOf(input, everything, port, adminPort)))
      const flags = [...nodeFlags, `--max-old-space-size=${heapMiB(input.settings.cacheMiB ?? defaultMiB)}`]
      const spawned = launch('server', process.execPath, [...flags, join(root, 'src/server.ts'), '--config', file], { discard: true, env: input.settings.env ?? {} })
      await listens(spawned, port)
      return { spawned, port, ...everything && { adminPort } }
    }
  })
  return [create('holdfast', 'Holdfast, everything on', true), create('holdfast-bare', 'Holdfast, no log, no rate limit', false)]
}
