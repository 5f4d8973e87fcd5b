/** Which request goes where, and through which filters. */
import Type from './type.ts'
import { item, name, optionalDuration, optionalSize, section, texts } from './kinds.ts'
import { AccessSchema, CorsSchema } from './access.ts'
import { AuthSchema } from './auth.ts'
import { RouteCacheSchema } from './cache.ts'
import { RouteExtensionsSchema } from './extensions.ts'
import { RateLimitsSchema } from './rate-limit.ts'
import { RewriteSchema } from './request.ts'
import { ResponseSchema } from './response.ts'

export const MatchSchema = section('Which requests the route is for. The most specific route wins: exact host before wildcard before any; then the path, segment by segment: plain text before `:name` before `/*`; then named methods before any.', {
  host: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })], { expected: 'a host such as example.com or *.example.com, or a list of them', description: 'Host without port, `*.example.com` for one or more labels. Absent: any host.' })),
  path: Type.String({ default: '/*', pattern: '^/', expected: 'a path that begins with /', description: '`/exact`; `/prefix/*` (also matches `/prefix`); or segments with `:name` for one segment, such as `/users/:id/avatar` or `/users/:id/*`.' }),
  methods: Type.Optional(Type.Array(Type.String({ pattern: '^[A-Z][A-Z-]*$', expected: 'a request method in capitals, such as GET' }), { minItems: 1, description: 'Request methods. Absent: all. `GET` does not imply `HEAD`.' }))
})

export const PurgeSchema = item('Who may purge a URL of this route with the method `PURGE`.', {
  allow: texts('Client addresses and networks (CIDR), `loopback`, `linklocal` and `uniquelocal`; others get 403. Empty: nobody, 405. Behind `server.trustedProxies` the address is the one they name.')
})

export const RouteSchema = item('A kind of request and what happens to it.', {
  name: name('Label in logs, metrics and the route table.'),
  match: MatchSchema,
  upstream: name('An entry of `upstreams`.'),
  cache: RouteCacheSchema,
  access: Type.Optional(AccessSchema('Who may come in, beside what the global `access` says. A PURGE follows `purge.allow` and no list of addresses or methods.')),
  cors: Type.Optional(CorsSchema),
  rateLimit: Type.Optional(RateLimitsSchema('Requests allowed per client on this route. One limit or a list; a request has to be within all, and is counted by none if one refuses it.')),
  auth: Type.Optional(AuthSchema),
  purge: Type.Optional(PurgeSchema),
  rewrite: RewriteSchema,
  response: ResponseSchema,
  extensions: RouteExtensionsSchema,
  transforms: texts('Own transformations of content, by the names they are registered under, in acting order.'),
  bodyBytes: optionalSize('Request content on this route; above it 413. Default is `server.limits.bodyBytes`.'),
  betweenBytes: optionalDuration('Replaces `timeouts.betweenBytes` of the upstream; 0 for streams that may be silent for long, such as server-sent events.')
})
