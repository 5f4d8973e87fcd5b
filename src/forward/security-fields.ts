/** Response fields that tell browsers to be careful, as OWASP's Secure Headers Project proposes them. */
import type { ResponseConfig } from '../config/schema.ts'

export interface SecurityFields {
  /** `[name, value]`; what only a secure connection may say is not among them. */
  readonly always: ReadonlyArray<readonly [name: string, value: string]>
  /** RFC 6797 7.2: not to be sent over http. */
  readonly overTls: ReadonlyArray<readonly [name: string, value: string]>
  /** Say what the origin server runs, which helps nobody but attackers. */
  readonly removed: readonly string[]
  /** In place of the origin server's own values. */
  readonly replace: boolean
}

/** Breaks hardly any site. */
const basic: ReadonlyArray<readonly [string, string]> = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'SAMEORIGIN'],
  ['referrer-policy', 'strict-origin-when-cross-origin'],
  ['x-permitted-cross-domain-policies', 'none']
]

/** Everything must come from the site itself. */
const strict: ReadonlyArray<readonly [string, string]> = [
  ['x-content-type-options', 'nosniff'],
  ['x-frame-options', 'DENY'],
  ['referrer-policy', 'no-referrer'],
  ['x-permitted-cross-domain-policies', 'none'],
  ['content-security-policy', "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none'; frame-ancestors 'none'; upgrade-insecure-requests"],
  ['cross-origin-opener-policy', 'same-origin'],
  ['cross-origin-embedder-policy', 'require-corp'],
  ['cross-origin-resource-policy', 'same-origin'],
  ['permissions-policy', 'accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), sync-xhr=(self), usb=(), web-share=(), xr-spatial-tracking=()'],
  ['x-dns-prefetch-control', 'off']
]

const telling = ['server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version', 'x-generator', 'x-runtime', 'x-version']

export function createSecurityFields ({ preset, replace, hstsMaxAge }: NonNullable<ResponseConfig['security']>): SecurityFields {
  const seconds = Math.floor(hstsMaxAge / 1000)
  return {
    always: preset === 'strict' ? strict : basic,
    overTls: seconds === 0 ? [] : [['strict-transport-security', `max-age=${seconds}${preset === 'strict' ? '; includeSubDomains' : ''}`]],
    removed: telling,
    replace
  }
}
