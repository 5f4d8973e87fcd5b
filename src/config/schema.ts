/**
 * Everything an operator may say. Each option's type, bound, unit, default and documentation stand here and in
 * `schema/`, and nowhere else: the TypeScript types, validation, `config/holdfast.schema.json` and `docs/configuration.md`
 * are derived from it.
 *
 * Durations decode to milliseconds, sizes to bytes (see `units.ts`).
 */
import Type from './schema/type.ts'
import type { Static, StaticDecode } from 'typebox'
import { AccessSchema, type CorsSchema } from './schema/access.ts'
import type { AuthKindsSchema, AuthSchema } from './schema/auth.ts'
import { CacheSchema, type RouteCacheSchema } from './schema/cache.ts'
import { ExtensionsSchema } from './schema/extensions.ts'
import { AdminSchema, LoadSheddingSchema, LogSchema, ServerSchema, type LimitsSchema, type TlsSchema } from './schema/listeners.ts'
import { RateLimitsSchema, type RateLimitSchema } from './schema/rate-limit.ts'
import type { RewriteSchema } from './schema/request.ts'
import type { CompressionSchema } from './schema/compression.ts'
import { ErrorPagesSchema, type ResponseSchema } from './schema/response.ts'
import { RouteSchema, type MatchSchema, type PurgeSchema } from './schema/routes.ts'
import { UpstreamSchema } from './schema/upstreams.ts'

export const ConfigSchema = Type.Object({
  $schema: Type.Optional(Type.String({ description: 'Where `holdfast.schema.json` is, for editors. Without effect.' })),
  server: ServerSchema,
  admin: AdminSchema,
  log: LogSchema,
  loadShedding: LoadSheddingSchema,
  cache: CacheSchema,
  extensions: ExtensionsSchema,
  access: Type.Optional(AccessSchema('Who may come in, on all routes; a route may be stricter. Requests that fit no route are 404 before.')),
  rateLimit: Type.Optional(RateLimitsSchema('Requests allowed per client over all routes together, beside the limits of each. One limit or a list; a request has to be within all.')),
  errorPages: ErrorPagesSchema,
  upstreams: Type.Record(Type.String(), UpstreamSchema, { minProperties: 1, propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', expected: 'a name: 1 to 64 letters, digits, dots, dashes or underscores' }, description: 'Origin services by name. `--upstream` sets the targets of the one named `default`.' }),
  routes: Type.Array(RouteSchema, { minItems: 1, maxItems: 10_000, description: 'What is proxied. A request that fits none is 404.' })
}, { additionalProperties: false, title: 'Holdfast configuration' })

/** What has a default may be left out. (So may what has none, as far as types tell; validation says so.) */
type Partially<T> = T extends ReadonlyArray<infer E> ? ReadonlyArray<Partially<E>> : T extends object ? { readonly [K in keyof T]?: Partially<T[K]> | undefined } : T

/** What an operator writes: durations and sizes as text or number, everything with a default optional. */
export type ConfigInput = Partially<Static<typeof ConfigSchema>>
/** What the program reads: complete, durations in milliseconds, sizes in bytes. */
export type Config = StaticDecode<typeof ConfigSchema>

export type ServerConfig = StaticDecode<typeof ServerSchema>
export type LimitsConfig = StaticDecode<typeof LimitsSchema>
export type TlsConfig = StaticDecode<typeof TlsSchema>
export type AdminConfig = StaticDecode<typeof AdminSchema>
export type LogConfig = StaticDecode<typeof LogSchema>
export type LoadSheddingConfig = StaticDecode<typeof LoadSheddingSchema>
export type UpstreamConfig = StaticDecode<typeof UpstreamSchema>
export type CacheConfig = StaticDecode<typeof CacheSchema>
export type RouteCacheConfig = StaticDecode<typeof RouteCacheSchema>
export type ExtensionsConfig = StaticDecode<typeof ExtensionsSchema>
export type RouteConfig = StaticDecode<typeof RouteSchema>
export type MatchConfig = StaticDecode<typeof MatchSchema>
export type RateLimitConfig = StaticDecode<typeof RateLimitSchema>
export type AccessConfig = StaticDecode<ReturnType<typeof AccessSchema>>
export type CorsConfig = StaticDecode<typeof CorsSchema>
export type AuthConfig = StaticDecode<typeof AuthSchema>
export type AuthKindsConfig = StaticDecode<typeof AuthKindsSchema>
export type ApiKeysConfig = NonNullable<AuthKindsConfig['apiKeys']>
export type BasicConfig = NonNullable<AuthKindsConfig['basic']>
export type BearerConfig = NonNullable<AuthKindsConfig['bearer']>
export type JwtConfig = NonNullable<AuthKindsConfig['jwt']>
export type ExternalAuthConfig = NonNullable<AuthKindsConfig['external']>
export type ClientCertificateConfig = NonNullable<AuthKindsConfig['clientCertificate']>
export type PurgeConfig = StaticDecode<typeof PurgeSchema>
export type RewriteConfig = StaticDecode<typeof RewriteSchema>
export type ResponseConfig = StaticDecode<typeof ResponseSchema>
export type CompressionConfig = StaticDecode<typeof CompressionSchema>
