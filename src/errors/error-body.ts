/** Bodies of errors that the proxy answers itself: JSON, or HTML where the client prefers it. */
import { STATUS_CODES } from 'node:http'

export interface ProxyError {
  readonly statusCode: number
  /** Stable, lower snake case. */
  readonly code: string
  /** For people; the table's text by default. */
  readonly message?: string
  readonly requestId: string
}

const messages: Readonly<Record<string, string>> = {
  bad_target: 'The request target or Host cannot be understood.',
  bad_request: 'The request cannot be understood.',
  bad_method_override: 'The method asked for in place of POST is not allowed here.',
  tls_required: 'This port speaks TLS: ask it with https.',
  route_not_found: 'No route is configured for this request.',
  unauthorized: 'A valid credential is needed.',
  forbidden: 'This is not allowed.',
  method_not_allowed: 'The method is not allowed here.',
  misdirected: 'This server does not answer for this host.',
  insufficient_scope: 'The token does not have the scope that is needed here.',
  certificate_required: 'A valid client certificate is needed.',
  bad_credentials: 'The credentials cannot be understood, or are there more than once.',
  too_many_attempts: 'Too many attempts failed; try again later.',
  auth_unavailable: 'Credentials cannot be checked at this moment; try again later.',
  auth_overloaded: 'Too many credentials are being checked; try again later.',
  purge_not_allowed: 'This address may not purge here.',
  purge_failed: 'The purge could not be carried out, or not everywhere; ask again.',
  purge_off: 'Nobody may purge here with this method.',
  bad_purge: 'This purge cannot be understood.',
  request_timeout: 'The request took too long to arrive.',
  payload_too_large: 'The request content is larger than allowed here.',
  expectation_failed: 'The expectation cannot be met.',
  rate_limited: 'Too many requests; try again later.',
  too_many_fields: 'The request has too many or too large fields.',
  uri_too_long: 'The request target is longer than allowed here.',
  internal_error: 'Something went wrong here.',
  method_not_supported: 'The method is not supported.',
  overloaded: 'This server is overloaded; try again later.',
  loop_detected: 'The request has come back to this proxy.',
  not_in_cache: 'There is no stored response that fits, and the request allows no other (only-if-cached).',
  upstream_unreachable: 'The upstream cannot be reached.',
  upstream_tls: 'No secure connection to the upstream could be made.',
  transform_failed: 'The content could not be prepared.',
  transform_timeout: 'The content could not be prepared in time.',
  transform_too_large: 'The content is too large to be prepared.',
  transform_busy: 'Too much content is being prepared at this moment.',
  upstream_reset: 'The upstream closed the connection before it answered.',
  upstream_bad_response: 'The upstream sent a response that is not valid HTTP.',
  upstream_connect_timeout: 'The upstream did not accept a connection in time.',
  upstream_first_byte_timeout: 'The upstream did not answer in time.',
  upstream_between_bytes_timeout: 'The upstream stopped sending.',
  upstream_total_timeout: 'The upstream did not answer in time.',
  upstream_failed: 'The upstream reported a failure.',
  upstream_queue_full: 'Too many requests wait for the upstream; try again later.',
  upstream_queue_timeout: 'No connection to the upstream became free in time.',
  upstream_closed: 'The upstream is being taken out of service.',
  client_body_failed: 'The request content did not arrive completely.'
}

export interface ErrorBody { readonly contentType: string, readonly body: string }

/** @param accept the client's `Accept` */
export function createErrorBody (error: ProxyError, accept: string | undefined): ErrorBody {
  const { statusCode, code, requestId } = error
  const message = messageOf(error)
  if (!prefersHtml(accept)) {
    return { contentType: 'application/json; charset=utf-8', body: JSON.stringify({ error: { code, status: statusCode, message, requestId } }) }
  }
  const title = `${statusCode} ${STATUS_CODES[statusCode] ?? 'Error'}`
  return {
    contentType: 'text/html; charset=utf-8',
    body: '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">' +
      `<title>${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}code{color:#666}</style></head>` +
      `<body><h1>${title}</h1><p>${escapeHtml(message)}</p><p><code>${escapeHtml(code)} · ${escapeHtml(requestId)}</code></p></body></html>\n`
  }
}

/** For people. */
export function messageOf ({ statusCode, code, message }: Omit<ProxyError, 'requestId'>): string {
  return message ?? messages[code] ?? STATUS_CODES[statusCode] ?? 'Error'
}

/** HTML only when `text/html` is named with a higher weight than JSON (RFC 9110 12.5.1). */
function prefersHtml (accept: string | undefined): boolean {
  if (accept === undefined || !accept.includes('text/html')) return false
  return weightOf(accept, 'text/html') > weightOf(accept, 'application/json')
}

function weightOf (accept: string, type: string): number {
  for (const member of accept.toLowerCase().split(',').slice(0, 64)) {
    const [range = '', ...parameters] = member.split(';').map(part => part.trim())
    if (range !== type) continue
    const weight = parameters.find(parameter => parameter.startsWith('q='))
    return weight === undefined ? 1 : Number(weight.slice(2)) || 0
  }
  return 0
}

function escapeHtml (text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
