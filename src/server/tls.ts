/** Certificates by server name, read again without a restart. */
import { constants } from 'node:crypto'
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
  readonly fallback: { readonly cert: Buffer, readonly key: Buffer, readonly ca?: Buffer }
  readonly fallbackContext: SecureContext
}

export function createTlsContexts (config: TlsConfig): TlsContexts {
  let loaded = load(config)
  const servers = new Set<TlsServer>()

  return {
    http2: config.http2,
    options: {
      ...loaded.fallback,
      ...clientVerification(config),
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
        for (const server of servers) server.setSecureContext({ ...loaded.fallback, ...resumption(next), minVersion: next.minVersion })
      }
    }
  }
}

function load (config: TlsConfig): Loaded {
  const byHost = new Map<string, SecureContext>()
  let fallback: Loaded['fallback'] | null = null
  let fallbackContext: SecureContext | null = null
  // In each context: the authorities of the one chosen by server name are those that count.
  const authorities = config.clientCertificates === undefined ? {} : { ca: readFileSync(config.clientCertificates.ca) }
  for (const certificate of config.certificates) {
    const files = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key), ...authorities }
    const context = createSecureContext({ ...files, ...resumption(config), minVersion: config.minVersion })
    for (const host of certificate.hosts) byHost.set(host.toLowerCase(), context)
    if (fallback === null || certificate.hosts.length === 0) {
      fallback = files
      fallbackContext = context
    }
  }
  return { byHost, fallback: fallback as Loaded['fallback'], fallbackContext: fallbackContext as SecureContext }
}

/** Whether clients are asked for a certificate; settled at the start. */
function clientVerification (config: TlsConfig): TlsOptions {
  const { clientCertificates } = config
  return clientCertificates === undefined ? {} : { requestCert: true, rejectUnauthorized: clientCertificates.mode === 'require', ...resumption(config) }
}

/** A session that is resumed is not verified again, so that a certificate would outlive the authority it came from. */
function resumption ({ clientCertificates }: TlsConfig): { secureOptions?: number } {
  return clientCertificates === undefined ? {} : { secureOptions: constants.SSL_OP_NO_TICKET }
}

/** The exact name, then the wildcard for its first label, then the default. */
function contextFor (loaded: Loaded, name: string): SecureContext {
  return loaded.byHost.get(name) ?? loaded.byHost.get(`*${name.slice(name.indexOf('.'))}`) ?? loaded.fallbackContext
}
