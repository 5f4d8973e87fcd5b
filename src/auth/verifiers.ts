/** The verifiers of a set of kinds, made ready once. */
import { readFileSync } from 'node:fs'
import type { Dispatcher } from 'undici'
import type { AuthKindsConfig, BasicConfig, JwtConfig } from '../config/schema.ts'
import { createBasic } from './basic.ts'
import { createClientCertificate } from './client-certificate.ts'
import { createExternal } from './external.ts'
import { createFetchText } from './fetch-text.ts'
import { createFetchedKeys, createFixedKeys, type KeySource } from './jwks.ts'
import { createJwt } from './jwt.ts'
import { createApiKeys, createBearerTokens } from './secrets.ts'
import { parseUsers } from './users-file.ts'
import type { Verifier } from './verdict.ts'

export interface VerifierDependencies {
  /** For questions to other services. */
  readonly dispatcher: Dispatcher
  /** Epoch milliseconds. */
  readonly now: () => number
  /** What counts as one client address. */
  readonly addressKey: (address: string) => string
  /** Called when another service did not answer as it should. */
  readonly onFailure: (error: unknown, code: 'jwks_failed' | 'external_auth_failed') => void
}

/** Throws when a file cannot be used. Those that cost nothing come first. */
export function createVerifiers (kinds: AuthKindsConfig, dependencies: VerifierDependencies): Verifier[] {
  const { dispatcher, now, addressKey, onFailure } = dependencies
  const { apiKeys, basic, bearer, jwt, external, clientCertificate } = kinds
  const verifiers: Verifier[] = []
  if (clientCertificate !== undefined) verifiers.push(createClientCertificate(clientCertificate))
  if (apiKeys !== undefined) verifiers.push(createApiKeys(apiKeys))
  if (bearer !== undefined) verifiers.push(createBearerTokens(bearer))
  if (jwt !== undefined) verifiers.push(createJwt(jwt, { keys: keySource(jwt, dependencies), now }))
  if (basic !== undefined) verifiers.push(createBasic(basic, { users: usersOf(basic), now, addressKey }))
  if (external !== undefined) verifiers.push(createExternal(external, { dispatcher, now, onFailure: error => { onFailure(error, 'external_auth_failed') } }))
  return verifiers
}

function keySource ({ keys }: JwtConfig, { dispatcher, now, onFailure }: VerifierDependencies): KeySource {
  if (keys.url === undefined) return createFixedKeys(readFileSync(keys.file as string, 'utf8'))
  return createFetchedKeys({ url: keys.url, config: keys, fetchText: createFetchText(dispatcher), now, onFailure: error => { onFailure(error, 'jwks_failed') } })
}

function usersOf ({ users, file }: BasicConfig): ReadonlyMap<string, string> {
  const inFile = file === undefined ? [] : parseUsers(readFileSync(file, 'utf8'))
  return new Map([...inFile, ...Object.entries(users)])
}
