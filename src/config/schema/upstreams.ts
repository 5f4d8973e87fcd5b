/** Where requests go. */
import Type from './type.ts'
import { choice, count, duration, flag, item, origin, section, size } from './kinds.ts'

export const UpstreamSchema = section('An origin service: one or more equal targets.', {
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
