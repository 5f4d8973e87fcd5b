/** Who is counted. */
import { hash } from 'node:crypto'
import { fieldValue, type FieldMap } from '../http/fields.ts'
import type { LimitKey } from './from-config.ts'

/** One customer has a /64 of IPv6 addresses and would otherwise have as many counters (RFC 6177). */
export function clientKey (address: string): string {
  if (!address.includes(':')) return address
  const lower = address.toLowerCase()
  if (lower.startsWith('::ffff:') && lower.includes('.')) return lower.slice(7)
  const [head = '', tail] = lower.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = tail === undefined ? left : [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0'), ...right]
  // A forwarding field may spell a group with zeros in front; a socket does not.
  return groups.slice(0, 4).map(group => group.replace(/^0+(?=.)/, '')).join(':')
}

/** A key of fixed length for what a client sent, which may be long, and may be a secret that is not for keeping. */
export function digestKey (kind: string, value: string): string {
  return `${kind}:${hash('sha256', value, 'base64url')}`
}

/** The value of the first cookie of this name, without quotes; null when there is none or it is empty. */
export function cookieValue (field: string | undefined, name: string): string | null {
  if (field === undefined) return null
  for (const pair of field.split(';')) {
    const equals = pair.indexOf('=')
    if (equals === -1 || pair.slice(0, equals).trim() !== name) continue
    const value = pair.slice(equals + 1).trim().replace(/^"(.*)"$/, '$1')
    return value === '' ? null : value
  }
  return null
}

/** The key of a client where its address or its fields name it. */
export function clientNamed (key: LimitKey, address: string, fields: FieldMap): string {
  if (key.kind === 'field') return named(key, fieldValue(fields, key.field) ?? null, address)
  return named(key, key.kind === 'cookie' ? cookieValue(fieldValue(fields, 'cookie'), key.cookie) : null, address)
}

/** Whoever leaves out what he is counted by is still somebody. */
export function named (key: LimitKey, value: string | null, address: string): string {
  return value === null || value === '' ? clientKey(address) : digestKey(key.kind, value)
}
