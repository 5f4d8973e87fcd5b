/** Says where a listener is: the first thing that scripts and people read of a process. */
import { isIPv6, type AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

/** How this machine reaches it. */
export function urlOf (app: FastifyInstance, scheme: 'http' | 'https'): string {
  return urlAt(app.server.address() as AddressInfo, scheme)
}

/** @param address absent or the unspecified one for every interface */
export function urlAt ({ address, port }: { readonly address?: string | null, readonly port: number }, scheme: 'http' | 'https'): string {
  const host = address == null || isAny(address) ? '127.0.0.1' : isIPv6(address) ? `[${address}]` : address
  return `${scheme}://${host}:${port}`
}

/** `host` is what it listens on, which tells whether others can reach it; `url` is for this machine. */
export function announce (logger: { info (details: object, message: string): void }, role: 'proxy' | 'admin', app: FastifyInstance, scheme: 'http' | 'https'): void {
  const { address, port } = app.server.address() as AddressInfo
  logger.info({ role, host: address, port, url: urlOf(app, scheme) }, 'listening')
}

function isAny (address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}
