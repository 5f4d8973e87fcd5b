/** The kinds of credentials in the order in which they are looked at within a group: those that cost nothing first. */
import type { AuthKindsConfig } from '../config/schema.ts'

interface CredentialKind {
  readonly kind: keyof AuthKindsConfig
  /** As people read it. */
  readonly name: string
  /** Relative to the package. */
  readonly file: string
}

const credentialKinds: readonly CredentialKind[] = [
  { kind: 'clientCertificate', name: 'client-certificate', file: 'src/auth/client-certificate.ts' },
  { kind: 'apiKeys', name: 'api-key', file: 'src/auth/secrets.ts' },
  { kind: 'bearer', name: 'bearer', file: 'src/auth/secrets.ts' },
  { kind: 'jwt', name: 'jwt', file: 'src/auth/jwt.ts' },
  { kind: 'basic', name: 'basic', file: 'src/auth/basic.ts' },
  { kind: 'external', name: 'external-auth', file: 'src/auth/external.ts' }
]

/** Those that a group asks for, in that order. */
export function credentialKindsIn (kinds: AuthKindsConfig): readonly CredentialKind[] {
  return credentialKinds.filter(({ kind }) => kinds[kind] !== undefined)
}
