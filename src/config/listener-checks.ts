/** Rules about the two listeners, the certificates of clients' TLS, and the cache as a whole. */
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { parseHostPattern } from '../routing/pattern.ts'
import { didYouMean, nearest } from './problems.ts'
import type { AdminConfig, ServerConfig, TlsConfig } from './schema.ts'
import type { ConfigParts, Report } from './semantic-checks.ts'

const networkNames = ['loopback', 'linklocal', 'uniquelocal']

export function checkListeners ({ server, admin, cache }: ConfigParts, report: Report): void {
  if (server !== null) {
    checkTrustedProxies(server.trustedProxies, report)
    if (server.tls !== undefined) checkCertificates(server.tls, report)
  }
  if (admin !== null) checkAdmin(admin, report)
  if (server !== null && admin !== null) checkPorts(server, admin, report)
  if (cache !== null && cache.maxResponseBytes > cache.maxBytes) {
    report({ path: '/cache/maxResponseBytes', rule: 'fits-cache', message: 'must not be more than cache.maxBytes: such a response could never be stored' })
  }
}

/** Whether only this machine can reach an address. Names other than `localhost` may resolve to anything. */
export function isLoopback (host: string): boolean {
  const address = host.replace(/^\[|\]$/g, '')
  if (isIP(address) === 0) return host.toLowerCase() === 'localhost'
  return ipaddr.process(address).range() === 'loopback'
}

function checkAdmin (admin: AdminConfig, report: Report): void {
  if (!admin.enabled || admin.token !== undefined || isLoopback(admin.host)) return
  report({ path: '/admin/token', rule: 'admin-token', message: `is missing (or HOLDFAST_ADMIN_TOKEN): others than this machine can reach admin.host ${admin.host}` })
}

function checkPorts (server: ServerConfig, admin: AdminConfig, report: Report): void {
  if (!admin.enabled || server.port === 0 || server.port !== admin.port) return
  const wildcards = ['0.0.0.0', '::']
  const overlap = server.host === admin.host || wildcards.includes(server.host) || wildcards.includes(admin.host)
  if (overlap) report({ path: '/admin/port', rule: 'distinct-ports', value: admin.port, message: 'must not be the port of the proxy (server.port)' })
}

function checkTrustedProxies (trusted: readonly string[], report: Report): void {
  checkNetworks(trusted, '/server/trustedProxies', report)
}

/** Addresses and networks, as `createTrust` takes them. */
export function checkNetworks (networks: readonly string[], place: string, report: Report): void {
  for (const [index, entry] of networks.entries()) {
    if (networkNames.includes(entry) || ipaddr.isValidCIDR(entry) || isIP(entry) !== 0) continue
    const suggestion = nearest(entry, networkNames)
    report({
      path: `${place}/${index}`,
      rule: 'address',
      value: entry,
      message: `must be an address, a network such as 10.0.0.0/8, or one of ${networkNames.join(', ')}${didYouMean(suggestion)}`,
      ...suggestion !== undefined && { suggestion }
    })
  }
}

function checkCertificates (tls: TlsConfig, report: Report): void {
  const seen = new Map<string, string>()
  for (const [index, certificate] of tls.certificates.entries()) {
    const place = `/server/tls/certificates/${index}`
    if (certificate.hosts.length === 0) claim('', place, 'is a second certificate without hosts, which could never be used; the first is')
    for (const [position, host] of certificate.hosts.entries()) {
      const path = `${place}/hosts/${position}`
      const parsed = parseHostPattern(host)
      if (!parsed.ok) report({ path, rule: 'host', value: host, message: `the host ${parsed.reason}` })
      else claim(host.toLowerCase(), path, 'names a host that already has a certificate at')
    }
  }

  function claim (host: string, path: string, message: string): void {
    const first = seen.get(host)
    if (first === undefined) seen.set(host, path)
    else report({ path, rule: 'unique-certificate', message: `${message} ${first}`, ...host !== '' && { value: host } })
  }
}
