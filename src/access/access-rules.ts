/** Who may come in: by address, method and host. */
import type { AccessConfig } from '../config/schema.ts'
import { createTrust, type Trust } from '../forward/forwarded.ts'
import { parseHostPattern, type HostPattern } from '../routing/pattern.ts'

export interface AccessRules {
  /** Null where all may. */
  readonly allow: Trust | null
  readonly deny: Trust | null
  /** Null for all. */
  readonly methods: ReadonlySet<string> | null
  /** Value of `Allow`. */
  readonly allowField: string
  readonly hosts: readonly HostPattern[] | null
}

export interface AccessQuestion {
  readonly address: string
  readonly method: string
  /** Without port, in lower case; empty where the request names none. */
  readonly host: string
  /** A PURGE that follows a list of its own, or a preflight that is answered here: neither is for the lists of methods. */
  readonly isOwnMethod: boolean
  /** A PURGE follows a list of its own. */
  readonly isOwnAddress: boolean
}

export type AccessDecision = 'allowed' | 'host' | 'address' | 'method'

/** Throws where a network or host is not valid, which validation has ruled out for a `Config`. */
export function createAccessRules ({ allow, deny, methods, hosts }: AccessConfig): AccessRules {
  return {
    allow: allow.length === 0 ? null : createTrust(allow),
    deny: deny.length === 0 ? null : createTrust(deny),
    methods: methods === undefined ? null : new Set(methods),
    allowField: methods?.join(', ') ?? '',
    hosts: hosts === undefined
      ? null
      : hosts.map(host => {
        const parsed = parseHostPattern(host)
        if (!parsed.ok) throw new TypeError(`the host ${host} ${parsed.reason}`)
        return parsed.pattern
      })
  }
}

/** The first rule that forbids is the one told: what is not for this server at all, then who asks, then for what. */
export function decideAccess (rules: AccessRules, { address, method, host, isOwnMethod, isOwnAddress }: AccessQuestion): AccessDecision {
  if (rules.hosts !== null && !rules.hosts.some(pattern => isHost(pattern, host))) return 'host'
  if (!isOwnAddress) {
    if (rules.deny !== null && rules.deny.isTrusted(address)) return 'address'
    if (rules.allow !== null && !rules.allow.isTrusted(address)) return 'address'
  }
  return isOwnMethod || rules.methods === null || rules.methods.has(method) ? 'allowed' : 'method'
}

function isHost ({ name, wildcard }: HostPattern, host: string): boolean {
  return wildcard ? host.length > name.length + 1 && host.endsWith(`.${name}`) : host === name
}
