/** What went wrong with an upstream, from the many ways in which Node and undici say it. */
import { UpstreamError, type UpstreamErrorCode } from './exchange.ts'

const byCode: Readonly<Record<string, UpstreamErrorCode>> = {
  ECONNREFUSED: 'upstream_unreachable',
  ENOTFOUND: 'upstream_unreachable',
  EAI_AGAIN: 'upstream_unreachable',
  EHOSTUNREACH: 'upstream_unreachable',
  ENETUNREACH: 'upstream_unreachable',
  EADDRNOTAVAIL: 'upstream_unreachable',
  EMFILE: 'upstream_unreachable',
  UND_ERR_CONNECT_TIMEOUT: 'upstream_connect_timeout',
  ETIMEDOUT: 'upstream_connect_timeout',
  EPROTO: 'upstream_tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'upstream_tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'upstream_tls',
  HOSTNAME_MISMATCH: 'upstream_tls',
  UND_ERR_HEADERS_OVERFLOW: 'upstream_bad_response',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'upstream_reset',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'client_body_failed',
  UND_ERR_DESTROYED: 'upstream_closed',
  UND_ERR_CLOSED: 'upstream_closed'
}

export function classify (error: unknown, target: string): UpstreamError {
  if (error instanceof UpstreamError) return error
  return new UpstreamError(codeOf(error as { code?: unknown, message?: unknown }), target, error)
}

function codeOf (error: { code?: unknown, message?: unknown } | null): UpstreamErrorCode {
  const code = typeof error?.code === 'string' ? error.code : ''
  const known = byCode[code]
  if (known !== undefined) return known
  if (code.startsWith('HPE_')) return 'upstream_bad_response'
  if (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || code.startsWith('CERT_') || code.startsWith('UNABLE_TO_')) return 'upstream_tls'
  // undici gives one code to all that is wrong with a socket.
  if (code === 'UND_ERR_SOCKET' && /^bad (?:response|upgrade)/.test(String(error?.message))) return 'upstream_bad_response'
  return 'upstream_reset'
}

/** Failures at the connection: nothing of the request has reached a server. */
export function failedToConnect (code: UpstreamErrorCode): boolean {
  return code === 'upstream_unreachable' || code === 'upstream_connect_timeout' || code === 'upstream_tls'
}
