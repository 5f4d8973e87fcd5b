/** Paths in a configuration are compared with those of requests, which were normalised: they must be spelled alike. */
import { normaliseTarget } from '../http/target.ts'

/** Completes "the path …" where no request has this path once it was normalised; `null` where it may. */
export function spellingFault (path: string, mergeSlashes: boolean): string | null {
  // By way of octets, as a lone surrogate has no escape.
  const escaped = path.replace(/[^\x21-\x7e]+/g, text => Buffer.from(text).toString('hex').replace(/../g, octet => `%${octet.toUpperCase()}`))
  const decision = normaliseTarget({ method: 'GET', target: escaped, hostLines: ['localhost'], httpVersion: '1.1', scheme: 'http', mergeSlashes })
  if (!decision.ok) return `is none that a request can have (${decision.reason})`
  const normalised = decision.target.path
  return normalised === path ? null : `must be written ${normalised}, as paths of requests are after they were normalised`
}
