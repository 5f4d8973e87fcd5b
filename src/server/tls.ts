/** Certificates by server name, read again without a restart. */
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContext, type TlsOptions, type Server as TlsServer } from 'node:tls'
import type { TlsConfig } from '../config/schema.ts'

export interface TlsContexts {
  readonly http2: boolean
  readonly options: TlsOptions
  /** Tells the server whose default certificate follows a reload. */
  attach (server: TlsServer): void
  /** Reads the files again, and gives back what puts them in force; throws when one cannot be used. */
  prepare (config: TlsConfig): () => void
}

interface Loaded {
  readonly byHost: ReadonlyMap<string, SecureContext>
  readonly fallback: { readonly cert: Buffer, readonly key: Buffer }
  readonly fallbackContext: SecureContext
}

export function createTlsContexts (config: TlsConfig): TlsContexts {
  let loaded = load(config)
  const servers = new Set<TlsServer>()

  return {
    http2: config.http2,
    options: {
      ...loaded.fallback,
      minVersion: config.minVersion,
      SNICallback (name, done) { done(null, contextFor(loaded, name.toLowerCase())) }
    },
    attach (server) {
      servers.add(server)
      server.once('close', () => { servers.delete(server) })
    },
    prepare (next) {
      const prepared = load(next)
      return () => {
        loaded = prepared
        for (const server of servers) server.setSecureContext({ ...loaded.fallback, minVersion: next.minVersion })
      }
    }
  }
}

function load (config: TlsConfig): Loaded {
  const byHost = new Map<string, SecureContext>()
  let fallback: Loaded['fallback'] | null = null
  let fallbackContext: SecureContext | null = null
  for (const certificate of config.certificates) {
    const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) }
    const context = createSecureContext({ ...files, minVersion: config.minVersion })
    for (const host of certificate.hosts) byHost.set(host.toLowerCase(), context)
    if (fallback === null || certificate.hosts.length === 0) {
      fallback = files
      fallbackContext = context
    }
  }
  return { byHost, fallback: fallback as Loaded['fallback'], fallbackContext: fallbackContext as SecureContext }
}

/** The exact name, then the wildcard for its first label, then the default. */
function contextFor (loaded: Loaded, name: string): SecureContext {
  return loaded.byHost.get(name) ?? loaded.byHost.get(`*${name.slice(name.indexOf('.'))}`) ?? loaded.fallbackContext
}
