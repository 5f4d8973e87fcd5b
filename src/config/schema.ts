/**
 * Everything an operator may say. Each option's type, bound, unit, default and documentation stand here and
 * nowhere else: the TypeScript types, validation, `config/holdfast.schema.json` and `docs/configuration.md`
 * are derived from it.
 *
 * Durations decode to milliseconds, sizes to bytes (see `units.ts`).
 */
import Type from 'typebox'
import type { Static, StaticDecode, TProperties } from 'typebox'
import { durationPattern, parseDuration, parseSize, sizePattern } from './units.ts'

/** The farthest a Node timer reaches; one set for longer fires at once. */
const longestTimer = '24d'
/** Freshness lifetimes are instants, not timers: RFC 9111 1.2.2 asks for 2^31 seconds at most. */
const longestLifetime = '24855d'

function section<P extends TProperties> (description: string, properties: P) {
  return Type.Object(properties, { additionalProperties: false, default: {}, description })
}

/** Like `section`, for list members and optional objects, which must not spring into being from defaults. */
function item<P extends TProperties> (description: string, properties: P) {
  return Type.Object(properties, { additionalProperties: false, description })
}

/** Bounds of a duration, as text; `least` matters where 0 would mean a timer that never rests. */
interface DurationBounds { readonly least?: string, readonly most?: string }

function durationType (options: object, { least = '0s', most = longestTimer }: DurationBounds = {}) {
  return Type.Codec(Type.Union([
    Type.Number({ minimum: 0, description: 'seconds' }),
    Type.String({ pattern: durationPattern, description: 'number and unit: ms, s, m, h, d' })
  ], { ...options, unit: 'duration', least, most, expected: 'a duration such as 500ms, 10s, 5m, 2h, 1d, or a number of seconds' }))
    .Decode(parseDuration).Encode(milliseconds => `${milliseconds}ms`)
}

function duration (description: string, value: string | number, bounds?: DurationBounds) {
  return durationType({ default: value, description }, bounds)
}

function optionalDuration (description: string, bounds?: DurationBounds) {
  return Type.Optional(durationType({ description }, bounds))
}

function sizeType (options: object) {
  return Type.Codec(Type.Union([
    Type.Integer({ minimum: 0, description: 'bytes' }),
    Type.String({ pattern: sizePattern, description: 'number and unit: B, kB, MB, GB, KiB, MiB, GiB' })
  ], { ...options, unit: 'size', expected: 'a size such as 64KiB, 10MB, 1GiB, or a number of bytes' }))
    .Decode(parseSize).Encode(bytes => `${bytes}B`)
}

function size (description: string, value: string | number) {
  return sizeType({ default: value, description })
}

function optionalSize (description: string) {
  return Type.Optional(sizeType({ description }))
}

function flag (description: string, value: boolean) {
  return Type.Boolean({ default: value, description })
}

function count (description: string, value: number, bounds: { minimum: number, maximum?: number }) {
  return Type.Integer({ default: value, description, maximum: Number.MAX_SAFE_INTEGER, ...bounds })
}

function choice<const V extends readonly string[]> (description: string, values: V, value: V[number]) {
  // Type.Enum derives the literal types only from a tuple of literals; the generic V is one, which it cannot see.
  return Type.Enum(values as unknown as string[], { default: value, description }) as unknown as import('typebox').TUnsafe<V[number]>
}

function texts (description: string, value: string[] = []) {
  return Type.Array(Type.String({ minLength: 1 }), { default: value, description })
}

function prefix (description: string) {
  return Type.Optional(Type.String({ pattern: '^(/[^*?#\\s\\\\/]+)+$', expected: 'a path such as /base, without a slash at its end', description }))
}

function hashes (description: string) {
  const hash = Type.String({ pattern: '^sha256:[0-9a-f]{64}$', writeOnly: true, expected: 'sha256: and 64 hexadecimal digits in lower case' })
  return Type.Array(hash, { minItems: 1, description })
}

const name = (description: string) => Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', expected: 'a name: 1 to 64 letters, digits, dots, dashes or underscores', description
})
const fieldNamePattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
const fieldName = Type.String({ pattern: fieldNamePattern, expected: 'a field name, such as x-team', description: 'A field name (RFC 9110 5.1).' })
const fieldValue = Type.String({
  // Values may be credentials for the upstream: `writeOnly` keeps them out of problem reports.
  pattern: '^[\\t\\x20-\\x7e\\x80-\\xff]*$', writeOnly: true, expected: 'a field value without control characters'
})
const fieldValues = (description: string) => Type.Record(fieldName, fieldValue, {
  // Not `additionalProperties: false`, over which Value.Default stumbles when a name does not fit the pattern.
  propertyNames: { pattern: fieldNamePattern, expected: 'a field name, such as x-team' }, default: {}, description
})
const origin = (description: string) => Type.String({
  pattern: '^https?://[^/?#@\\s]+/?$', expected: 'an origin such as http://127.0.0.1:3000, without path, query or user name', description
})

// --- listeners -----------------------------------------------------------------------------------------------

const CertificateSchema = item('A certificate and the hosts it is for.', {
  hosts: texts('Server names (SNI) answered with this certificate, `*.example.com` for one label. Empty: the default certificate.'),
  cert: Type.String({ minLength: 1, description: 'Path of the PEM file with the certificate chain, relative to the configuration file. Read again on reload.' }),
  key: Type.String({ minLength: 1, description: 'Path of the PEM file with the private key, relative to the configuration file. Read again on reload.' })
})

const TlsSchema = item('TLS for clients.', {
  certificates: Type.Array(CertificateSchema, { minItems: 1, description: 'The first one, or the one without `hosts`, answers unknown server names.' }),
  minVersion: choice('Lowest protocol version accepted.', ['TLSv1.2', 'TLSv1.3'], 'TLSv1.2'),
  http2: flag('Offer HTTP/2 by ALPN beside HTTP/1.1.', true)
})

const LimitsSchema = section('Bounds on what one client may cost.', {
  headerBytes: size('Request line and field section together; above it 431.', '16KiB'),
  headerCount: count('Field lines in a request; above it 431.', 100, { minimum: 1, maximum: 2000 }),
  bodyBytes: size('Request content; above it 413. A route may say otherwise.', '1GiB'),
  connections: count('Open client connections; the next one is closed at once.', 10_000, { minimum: 1 }),
  requestsPerConnection: count('Requests answered on one connection before it is closed, 0 for no limit.', 10_000, { minimum: 0 }),
  headerTimeout: duration('Until the field section of a request is complete; then 408.', '10s', { least: '1ms' }),
  bodyTimeout: duration('Between two pieces of request content; then 408.', '30s', { least: '1ms' }),
  requestTimeout: duration('Until a request with its content is complete, 0 for no limit; then 408.', '10m'),
  idleTimeout: duration('An idle kept-alive connection is closed after this long.', '65s', { least: '1ms' }),
  writeTimeout: duration('A client that reads nothing of a response for this long is cut off.', '60s', { least: '1ms' })
})

const ServerSchema = section('The listener that the world sees.', {
  host: Type.String({ default: '0.0.0.0', minLength: 1, description: 'Address to listen on. Flag `--host`.' }),
  port: count('Port to listen on, 0 for a free one. Flag `--port`.', 8080, { minimum: 0, maximum: 65_535 }),
  tls: Type.Optional(TlsSchema),
  limits: LimitsSchema,
  trustedProxies: texts('Addresses and networks (CIDR) whose `Forwarded` and `X-Forwarded-*` are believed. Others have theirs replaced. `loopback`, `linklocal` and `uniquelocal` are understood.'),
  mergeSlashes: flag('Take `//` in a path for `/`, as most origin servers do. Off: they stay, and are part of route match and cache key.', true),
  drainTimeout: duration('How long in-flight requests may take to finish at shutdown before they are cut.', '30s'),
  workers: count('Processes that share the listener, each with its own memory cache. Flag `--workers`.', 1, { minimum: 1, maximum: 256 })
})

const AdminSchema = section('The listener for operators: health, metrics, reload, routes.', {
  enabled: flag('Listen at all.', true),
  host: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address to listen on. Anything but loopback needs `token`. Flag `--admin-host`.' }),
  port: count('Port to listen on, 0 for a free one. Flag `--admin-port`.', 9090, { minimum: 0, maximum: 65_535 }),
  token: Type.Optional(Type.String({ minLength: 16, writeOnly: true, description: 'Asked as `Authorization: Bearer`. Better from the environment: `HOLDFAST_ADMIN_TOKEN`. `/health/*` never asks for it.' }))
})

const LogSchema = section('Structured log lines (JSON) on standard output.', {
  level: choice('Least severe level written. Flag `--log-level`.', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
  access: flag('One line per request.', true)
})

const LoadSheddingSchema = section('Refuse work with 503 and `Retry-After` while this process is overloaded. Hits are still answered. 0 turns one measure off.', {
  eventLoopDelay: duration('Mean delay of the event loop.', '1s'),
  eventLoopUtilization: Type.Number({ default: 0, minimum: 0, maximum: 1, description: 'Share of time the event loop is busy, 0 to 1.' }),
  heapBytes: size('V8 heap in use.', 0),
  rssBytes: size('Resident memory of the process.', 0),
  retryAfter: duration('Value of `Retry-After`.', '10s'),
  sampleInterval: duration('How often it is measured.', '1s', { least: '10ms' })
})

// --- upstreams -----------------------------------------------------------------------------------------------

const UpstreamSchema = section('An origin service: one or more equal targets.', {
  targets: Type.Array(Type.Union([
    origin('Origin: scheme, host and port. A path belongs into `rewrite` of a route.'),
    item('A target with a weight.', {
      url: origin('Origin: scheme, host and port.'),
      weight: count('Share of requests relative to the others.', 1, { minimum: 1, maximum: 1000 })
    })
  ], { expected: 'an origin such as http://127.0.0.1:3000, or url and weight' }), { minItems: 1, maxItems: 256, description: 'Where requests go.' }),
  balance: choice('How a target is chosen.', ['round-robin', 'least-connections'], 'round-robin'),
  host: Type.String({ default: 'upstream', pattern: '^(upstream|client|[A-Za-z0-9._\\[\\]:-]+)$', expected: '`upstream`, `client`, or a host such as example.com', description: '`Host` sent: `upstream` (authority of the chosen target), `client` (what the client asked for), or a fixed value.' }),
  connections: count('Open connections to each target.', 128, { minimum: 1, maximum: 65_535 }),
  queue: count('Requests that may wait for a connection, over all targets; above it 503.', 1024, { minimum: 0 }),
  keepAliveTimeout: duration('An idle connection is closed after this long, or earlier if the target says so.', '30s', { least: '1ms' }),
  timeouts: section('Deadlines. Time in the queue counts.', {
    connect: duration('Until a connection is made, TLS included; then 504.', '5s', { least: '1ms' }),
    firstByte: duration('From sending the request until the response head has come; then 504.', '60s', { least: '1ms' }),
    betweenBytes: duration('Between two pieces of a response body, 0 for no limit (server-sent events); then the response is cut.', '60s'),
    total: duration('Whole exchange, from queue to last byte, 0 for no limit.', 0)
  }),
  retry: section('At most one more attempt, only for a request without content whose method is idempotent, before any of a response came.', {
    enabled: flag('Try again on a connection that the target had closed while idle, or at another target when the first one cannot be reached.', true)
  }),
  health: section('Taking a failing target out for a while. The last one standing is always tried.', {
    failures: count('Failures in a row (no connection, no valid response, timeout) that take a target out, 0 for never.', 5, { minimum: 0 }),
    cooldown: duration('How long it stays out before one request tries it again.', '10s'),
    path: Type.Optional(Type.String({ pattern: '^/[!-~]*$', expected: 'a path such as /health', description: 'Asked regularly if set; anything but 2xx or 3xx counts as a failure.' })),
    interval: duration('How often `path` is asked.', '10s', { least: '10ms' }),
    timeout: duration('How long an answer to `path` may take.', '2s', { least: '1ms' })
  }),
  maxResponseHeaderBytes: size('Field section of a response; above it 502.', '64KiB'),
  tls: section('TLS to the targets.', {
    verify: flag('Verify the certificate. Turning this off lets anyone on the path read and change traffic; a warning is logged at every start.', true),
    ca: Type.Optional(Type.String({ description: 'Path of a PEM file with the authorities to trust instead of the system\'s.' })),
    cert: Type.Optional(Type.String({ description: 'Path of a PEM file with a client certificate.' })),
    key: Type.Optional(Type.String({ description: 'Path of a PEM file with its private key.' })),
    serverName: Type.Optional(Type.String({ description: 'Name to ask for and verify instead of the host sent.' }))
  })
})

// --- cache ---------------------------------------------------------------------------------------------------

const TagFieldSchema = item('A response field that carries tags.', {
  name: fieldName,
  separator: choice('What stands between two tags.', ['space', 'comma'], 'space')
})

const SnapshotSchema = section('A file from which a restarted process gets its stored responses back.', {
  file: Type.Optional(Type.String({ minLength: 1, description: 'Path of the snapshot, relative to the configuration file; its folder must exist, and others must not be able to write there. Beside it stand `.removed`, what was purged or invalidated since, and files being written. With workers each has its own, with `.1`, `.2` and so on behind it. Absent: none is kept.' })),
  interval: duration('Time between two snapshots; 0 for none but the one at shutdown.', '10m')
})

const CacheSchema = section('The stored responses of this process.', {
  enabled: flag('Store anything at all.', true),
  name: Type.String({ default: 'holdfast', expected: 'a token: a letter, then up to 63 letters, digits, dots, dashes', pattern: '^[A-Za-z*][A-Za-z0-9!#$%&\'*+.^_`|~:/-]{0,63}$', description: 'Name of this cache in `Cache-Status` (RFC 9211) and pseudonym in `Via`.' }),
  maxBytes: size('All stored responses together: content, fields, keys and index.', '256MiB'),
  maxEntries: count('Stored responses.', 1_000_000, { minimum: 1 }),
  maxResponseBytes: size('Content of one stored response; larger ones pass through.', '16MiB'),
  eviction: choice('Which stored responses leave first when there is no room: `adaptive` follows, at any time, whichever of LRU, SIEVE, S3-FIFO and W-TinyLFU would have had the most hits of late; `s3-fifo` and `lru` always do as they are called; `gdsf` keeps what is small and was slow to get, for more hits and less waiting, at the price of more bytes from the origin. Takes effect at the start.', ['adaptive', 's3-fifo', 'lru', 'gdsf'], 'adaptive'),
  statusKey: flag('Say the cache key in `Cache-Status`.', false),
  maxVariants: count('Stored responses under one URL that differ by `Vary`; the oldest goes first.', 32, { minimum: 1, maximum: 1000 }),
  tagFields: Type.Array(TagFieldSchema, {
    default: [{ name: 'surrogate-key', separator: 'space' }, { name: 'cache-tag', separator: 'comma' }],
    maxItems: 16,
    description: 'Response fields in which the origin server tags its responses, so that they can be purged together. Tags are compared as they are, letter case included.'
  }),
  forwardTags: flag('Pass `tagFields` on to clients. Off: they are for this cache alone.', false),
  maxTags: count('Tags of one stored response, of at most 1024 characters each. A response with more or longer ones is not stored, since a purge could pass it by.', 128, { minimum: 1, maximum: 1000 }),
  snapshot: SnapshotSchema
})

const CacheTtlRuleSchema = item('A lifetime for responses that say nothing of one themselves.', {
  status: Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), { minItems: 1, description: 'Status codes it is for.' }),
  ttl: duration('Freshness lifetime.', '0s', { most: longestLifetime })
})

const FreshnessOverrideSchema = item('Another freshness lifetime than the origin server says. What forbids storing (`no-store`, `private`, `Authorization`, `Vary: *`) still does.', {
  status: Type.Optional(Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), { minItems: 1, description: 'Status codes it is for. Absent: all.' })),
  ignoreOrigin: flag('Take lifetimes, `no-cache` and `must-revalidate` of the response for unsaid, so that `ttl` and heuristics decide.', false),
  atLeast: optionalDuration('A shorter lifetime is raised to this.', { most: longestLifetime }),
  atMost: optionalDuration('A longer lifetime is cut down to this.', { most: longestLifetime })
})

const KeyRulesSchema = section('What tells requests apart beside scheme, host, path and query. Nothing here changes what is sent upstream.', {
  query: section('Query parameters in the key.', {
    ignore: texts('Parameters left out, such as `utm_*`; `*` at the end stands for any rest.'),
    keep: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description: 'If set, all other parameters are left out.' })),
    sort: flag('Order parameters by name; several of one name keep their order.', false)
  }),
  fields: Type.Array(fieldName, { default: [], description: 'Request fields whose values are part of the key although no `Vary` names them.' }),
  cookies: texts('Cookies whose values are part of the key.'),
  hosts: Type.Record(Type.String(), Type.String({ minLength: 1 }), { default: {}, description: 'Other names of a host and the name its responses are stored under, both as `host` or `host:port` in lower case.' }),
  ignorePathCase: flag('Take paths that differ in letter case for the same.', false)
})

const CollapseSchema = section('Concurrent requests for what is not stored: the first one travels, the others wait for its response.', {
  enabled: flag('Collapse at all.', true),
  wait: duration('How long a request waits for another one\'s response to begin before it goes on by itself.', '10s', { least: '1ms' }),
  hitForMiss: duration('How long requests are not collapsed after a response proved not shareable.', '2m', { most: longestLifetime })
})

const RouteCacheSchema = section('What the cache may do on this route.', {
  enabled: flag('Store and reuse. Off: every request is forwarded (`fwd=bypass`).', true),
  ttl: Type.Array(CacheTtlRuleSchema, { default: [], description: 'Lifetimes for responses with neither `Cache-Control` lifetime nor `Expires`; the first rule that names the status counts. Negative caching: `{ status: [404], ttl: 10s }`.' }),
  overrides: Type.Array(FreshnessOverrideSchema, { default: [], description: 'Changes of the lifetime; the first rule that is for the status counts. `Cache-Status` names it in `detail`.' }),
  heuristic: flag('Give a response without explicit lifetime 10 % of the time since `Last-Modified` (RFC 9111 4.2.2).', true),
  heuristicMax: duration('Longest lifetime given that way.', '1d', { most: longestLifetime }),
  staleWhileRevalidate: duration('How long a stale response is still used while it is validated in the background, where the response does not say itself (RFC 5861 3).', 0, { most: longestLifetime }),
  staleIfError: duration('How long a stale response may stand in for a failing upstream, where the response does not say itself (RFC 5861 4).', 0, { most: longestLifetime }),
  keep: optionalDuration('How long a stale response is kept for validation. Absent: until its room is needed.', { most: longestLifetime }),
  requestDirectives: choice('`Cache-Control` and `Pragma` of requests: `honor` (RFC 9111 5.2.1), or `ignore`, so that no client can force traffic to the origin.', ['honor', 'ignore'], 'honor'),
  setCookie: choice('Responses with `Set-Cookie`: `bypass` does not store them; `store` does, as RFC 9111 7.3 allows; `strip` removes the field for all and stores.', ['bypass', 'store', 'strip'], 'bypass'),
  vary: choice('How request fields named by `Vary` are compared: `exact`; `normalise` (letter case, white space, weights); `meaning` (also order, and by `Content-Language` and `Content-Encoding` of what is stored).', ['exact', 'normalise', 'meaning'], 'normalise'),
  targetedFields: Type.Array(fieldName, { default: ['holdfast-cache-control', 'cdn-cache-control'], description: 'Response fields that replace `Cache-Control` and `Expires` for this cache, the most applicable first (RFC 9213).' }),
  consumeTargetedFields: flag('Keep targeted fields from clients.', false),
  noVarySearch: flag('Let the origin server say by `No-Vary-Search` which query parameters do not matter.', true),
  partial: flag('Store parts of a content (206) and complete them.', true),
  quota: Type.Number({ default: 0, minimum: 0, maximum: 1, description: 'Share of `cache.maxBytes` above which this route\'s responses leave before those of other routes, 0 for none. A soft bound: while there is room nothing leaves.' }),
  key: KeyRulesSchema,
  collapse: CollapseSchema,
  maxResponseBytes: optionalSize('Content of one stored response on this route; default is `cache.maxResponseBytes`.')
})

// --- routes --------------------------------------------------------------------------------------------------

const MatchSchema = section('Which requests the route is for. The most specific route wins: exact host before wildcard before any; then the path, segment by segment: plain text before `:name` before `/*`; then named methods before any.', {
  host: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })], { expected: 'a host such as example.com or *.example.com, or a list of them', description: 'Host without port, `*.example.com` for one or more labels. Absent: any host.' })),
  path: Type.String({ default: '/*', pattern: '^/', expected: 'a path that begins with /', description: '`/exact`; `/prefix/*` (also matches `/prefix`); or segments with `:name` for one segment, such as `/users/:id/avatar` or `/users/:id/*`.' }),
  methods: Type.Optional(Type.Array(Type.String({ pattern: '^[A-Z][A-Z-]*$', expected: 'a request method in capitals, such as GET' }), { minItems: 1, description: 'Request methods. Absent: all. `GET` does not imply `HEAD`.' }))
})

const RateLimitSchema = item('Requests allowed per client address.', {
  max: count('Requests in a window; above it 429 with `Retry-After`.', 100, { minimum: 1 }),
  window: duration('Length of the window.', '1m', { least: '1ms' }),
  clients: count('Client addresses remembered; the least recently seen goes first.', 10_000, { minimum: 1 })
})

const AuthSchema = item('Who may use the route. One credential that fits is enough.', {
  apiKeys: Type.Optional(item('A key in a field.', {
    field: Type.String({ default: 'x-api-key', pattern: fieldNamePattern, expected: 'a field name, such as x-api-key', description: 'Field that carries the key.' }),
    keys: hashes('SHA-256 of each key, as `sha256:<hex>`.')
  })),
  bearer: Type.Optional(item('An opaque token in `Authorization: Bearer`.', {
    tokens: hashes('SHA-256 of each token, as `sha256:<hex>`.')
  }))
})

const PurgeSchema = item('Who may purge a URL of this route with the method `PURGE`.', {
  allow: texts('Client addresses and networks (CIDR), `loopback`, `linklocal` and `uniquelocal`; others get 403. Empty: nobody, 405. Behind `server.trustedProxies` the address is the one they name.')
})

const RewriteSchema = section('What changes on the way to the upstream, before the cache key is made.', {
  stripPrefix: prefix('Removed from the front of the path where it is there, whole segments only.'),
  addPrefix: prefix('Put before the path, after stripping.'),
  setFields: fieldValues('Request fields set to a value.'),
  removeFields: Type.Array(fieldName, { default: [], description: 'Request fields not forwarded.' })
})

const ResponseSchema = section('What changes on the way to the client, for hits and misses alike.', {
  setFields: fieldValues('Response fields set to a value.'),
  removeFields: Type.Array(fieldName, { default: [], description: 'Response fields not passed on.' })
})

const RouteSchema = item('A kind of request and what happens to it.', {
  name: name('Label in logs, metrics and the route table.'),
  match: MatchSchema,
  upstream: name('An entry of `upstreams`.'),
  cache: RouteCacheSchema,
  rateLimit: Type.Optional(RateLimitSchema),
  auth: Type.Optional(AuthSchema),
  purge: Type.Optional(PurgeSchema),
  rewrite: RewriteSchema,
  response: ResponseSchema,
  bodyBytes: optionalSize('Request content on this route; above it 413. Default is `server.limits.bodyBytes`.'),
  betweenBytes: optionalDuration('Replaces `timeouts.betweenBytes` of the upstream; 0 for streams that may be silent for long, such as server-sent events.')
})

export const ConfigSchema = Type.Object({
  $schema: Type.Optional(Type.String({ description: 'Where `holdfast.schema.json` is, for editors. Without effect.' })),
  server: ServerSchema,
  admin: AdminSchema,
  log: LogSchema,
  loadShedding: LoadSheddingSchema,
  cache: CacheSchema,
  upstreams: Type.Record(Type.String(), UpstreamSchema, { minProperties: 1, propertyNames: { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$', expected: 'a name: 1 to 64 letters, digits, dots, dashes or underscores' }, description: 'Origin services by name. `--upstream` sets the targets of the one named `default`.' }),
  routes: Type.Array(RouteSchema, { minItems: 1, maxItems: 10_000, description: 'What is proxied. A request that fits none is 404.' })
}, { additionalProperties: false, title: 'Holdfast configuration' })

/** What an operator writes: durations and sizes as text or number, everything with a default optional. */
export type ConfigInput = Static<typeof ConfigSchema>
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
export type RouteConfig = StaticDecode<typeof RouteSchema>
export type MatchConfig = StaticDecode<typeof MatchSchema>
export type RateLimitConfig = StaticDecode<typeof RateLimitSchema>
export type AuthConfig = StaticDecode<typeof AuthSchema>
export type PurgeConfig = StaticDecode<typeof PurgeSchema>
export type RewriteConfig = StaticDecode<typeof RewriteSchema>
export type ResponseConfig = StaticDecode<typeof ResponseSchema>
