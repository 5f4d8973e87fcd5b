/** Who the client is, and what the upstream is told of it: `X-Forwarded-*` and `Forwarded` (RFC 7239). */
import ipaddr from 'ipaddr.js'
import { fieldValue, removeField, type FieldMap, type MutableFieldMap } from '../http/fields.ts'

export interface Trust {
  /** Whether this peer's forwarding fields are believed. */
  isTrusted (address: string): boolean
}

type Range = [ipaddr.IPv4 | ipaddr.IPv6, number]

const named: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7']
}

/** Verdicts are remembered for this many peers; the memory is dropped when it is full. */
const maxRemembered = 10_000

/** Hops of a forwarding field that are looked at, from the nearest; a longer list is an attack or a loop. */
const maxHops = 32

/** @param networks addresses, CIDR networks, or the names above; throws on anything else */
export function createTrust (networks: readonly string[]): Trust {
  const ranges: Range[] = networks.flatMap(network => named[network] ?? [network]).map(network =>
    network.includes('/') ? ipaddr.parseCIDR(network) : [ipaddr.process(network), ipaddr.process(network).kind() === 'ipv4' ? 32 : 128])
  if (ranges.length === 0) return { isTrusted: () => false }

  const remembered = new Map<string, boolean>()
  return {
    isTrusted (address) {
      const known = remembered.get(address)
      if (known !== undefined) return known
      const verdict = ipaddr.isValid(address) && ranges.some(([network, bits]) => {
        const parsed = ipaddr.process(address)
        return parsed.kind() === network.kind() && parsed.match(network as ipaddr.IPv4, bits)
      })
      if (remembered.size >= maxRemembered) remembered.clear()
      remembered.set(address, verdict)
      return verdict
    }
  }
}

export interface Client {
  readonly address: string
  /** Scheme that a trusted proxy says the client used. */
  readonly scheme: 'http' | 'https' | null
}

/** The client: the peer itself, or behind trusted proxies the nearest address in `X-Forwarded-For` that is not one of them. */
export function clientOf (peer: string, fields: FieldMap, trust: Trust): Client {
  const address = plain(peer)
  if (!trust.isTrusted(address)) return { address, scheme: null }

  const proto = fieldValue(fields, 'x-forwarded-proto')?.split(',').at(-1)?.trim().toLowerCase()
  const scheme = proto === 'http' || proto === 'https' ? proto : null
  const hops = fieldValue(fields, 'x-forwarded-for')?.split(',') ?? []
  let client = address
  for (let i = hops.length - 1, seen = 0; i >= 0 && seen < maxHops; i--, seen++) {
    const hop = plain((hops[i] as string).trim().replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1'))
    if (!ipaddr.isValid(hop)) break
    client = hop
    if (!trust.isTrusted(hop)) break
  }
  return { address: client, scheme }
}

/** IPv4 in its own spelling also where the socket is an IPv6 one. */
function plain (address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** Fields by which a client could pretend to be somebody, or to ask for something, else. */
const claims = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-forwarded-prefix', 'x-forwarded-server', 'x-real-ip', 'x-original-url', 'x-rewrite-url', 'x-original-host']

export interface ForwardedInput {
  /** Address of the socket. */
  readonly peer: string
  readonly trusted: boolean
  readonly authority: string
  readonly scheme: 'http' | 'https'
}

/** Appends this hop behind a trusted peer; replaces everything an untrusted one claims. */
export function setForwardedFields (fields: MutableFieldMap, input: ForwardedInput): void {
  const peer = plain(input.peer)
  const element = `for=${peer.includes(':') ? `"[${peer}]"` : peer}${input.authority === '' ? '' : `;host="${input.authority}"`};proto=${input.scheme}`
  if (!input.trusted) {
    for (const claim of claims) removeField(fields, claim)
    fields['x-forwarded-for'] = peer
    fields['x-forwarded-proto'] = input.scheme
    if (input.authority !== '') fields['x-forwarded-host'] = input.authority
    fields['forwarded'] = element
    return
  }
  const chain = fieldValue(fields, 'x-forwarded-for')
  fields['x-forwarded-for'] = chain === undefined ? peer : `${chain}, ${peer}`
  fields['x-forwarded-proto'] = input.scheme
  if (fields['x-forwarded-host'] === undefined && input.authority !== '') fields['x-forwarded-host'] = input.authority
  const forwarded = fieldValue(fields, 'forwarded')
  fields['forwarded'] = forwarded === undefined ? element : `${forwarded}, ${element}`
}
