/** What the process listens with, logs, and sheds. */
import Type from './type.ts'
import { choice, count, duration, flag, item, section, size, texts } from './kinds.ts'

const CertificateSchema = item('A certificate and the hosts it is for.', {
  hosts: texts('Server names (SNI) answered with this certificate, `*.example.com` for one label. Empty: the default certificate.'),
  cert: Type.String({ minLength: 1, description: 'Path of the PEM file with the certificate chain, relative to the configuration file. Read again on reload.' }),
  key: Type.String({ minLength: 1, description: 'Path of the PEM file with the private key, relative to the configuration file. Read again on reload.' })
})

const ClientCertificatesSchema = item('Certificates of clients (mTLS). Sessions are not resumed then, so that each connection is verified as the configuration of its moment says.', {
  ca: Type.String({ minLength: 1, description: 'Path of a PEM file with the authorities that clients\' certificates must come from, relative to the configuration file. Read again on reload, for new connections.' }),
  mode: choice('`request`: ask for one, and let routes decide what those may do who have none (`auth.clientCertificate`); `require`: refuse the connection without a valid one.', ['request', 'require'], 'request')
})

export const TlsSchema = item('TLS for clients.', {
  certificates: Type.Array(CertificateSchema, { minItems: 1, description: 'The first one, or the one without `hosts`, answers unknown server names.' }),
  minVersion: choice('Lowest protocol version accepted.', ['TLSv1.2', 'TLSv1.3'], 'TLSv1.2'),
  http2: flag('Offer HTTP/2 by ALPN beside HTTP/1.1.', true),
  clientCertificates: Type.Optional(ClientCertificatesSchema)
})

export const LimitsSchema = section('Bounds on what one client may cost.', {
  headerBytes: size('Request line and field section together; above it 414 or 431.', '16KiB'),
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

export const ServerSchema = section('The listener that the world sees.', {
  host: Type.String({ default: '0.0.0.0', minLength: 1, description: 'Address to listen on. Flag `--host`.' }),
  port: count('Port to listen on, 0 for a free one. Flag `--port`.', 8080, { minimum: 0, maximum: 65_535 }),
  backlog: count('Connections that the system accepts ahead of this process, which takes them as it gets to it; the next ones are left to try again. The system has a bound of its own (Linux: `net.core.somaxconn`).', 4096, { minimum: 1, maximum: 65_535 }),
  tls: Type.Optional(TlsSchema),
  limits: LimitsSchema,
  trustedProxies: texts('Addresses and networks (CIDR) whose `Forwarded` and `X-Forwarded-*` are believed. Others have theirs replaced. `loopback`, `linklocal` and `uniquelocal` are understood.'),
  mergeSlashes: flag('Take `//` in a path for `/`, as most origin servers do. Off: they stay, and are part of route match and cache key.', true),
  drainTimeout: duration('How long in-flight requests may take to finish at shutdown before they are cut.', '30s'),
  workers: count('Processes that share the listener, each with its own memory cache. Flag `--workers`.', 1, { minimum: 1, maximum: 256 })
})

export const AdminSchema = section('The listener for operators: health, metrics, reload, routes.', {
  enabled: flag('Listen at all.', true),
  host: Type.String({ default: '127.0.0.1', minLength: 1, description: 'Address to listen on. Anything but loopback needs `token`. Flag `--admin-host`.' }),
  port: count('Port to listen on, 0 for a free one. Flag `--admin-port`.', 9090, { minimum: 0, maximum: 65_535 }),
  token: Type.Optional(Type.String({ minLength: 16, writeOnly: true, description: 'Asked as `Authorization: Bearer`. Better from the environment: `HOLDFAST_ADMIN_TOKEN`. `/health/*` never asks for it.' }))
})

export const LogSchema = section('Structured log lines (JSON) on standard output.', {
  level: choice('Least severe level written. Flag `--log-level`.', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info'),
  access: flag('One line per request.', true)
})

export const LoadSheddingSchema = section('Refuse work with 503 and `Retry-After` while this process is overloaded. Hits are still answered. 0 turns one measure off.', {
  eventLoopDelay: duration('Mean delay of the event loop.', '1s'),
  eventLoopUtilization: Type.Number({ default: 0, minimum: 0, maximum: 1, description: 'Share of time the event loop is busy, 0 to 1.' }),
  heapBytes: size('V8 heap in use.', 0),
  rssBytes: size('Resident memory of the process.', 0),
  retryAfter: duration('Value of `Retry-After`.', '10s'),
  sampleInterval: duration('How often it is measured.', '1s', { least: '10ms' })
})
