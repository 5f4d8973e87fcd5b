/** How often one client may ask. */
import Type from './type.ts'
import { choice, count, duration, fieldNamePattern, item, name, texts } from './kinds.ts'

const KeySchema = Type.Union([
  Type.String({ pattern: '^(address|identity|custom)$', expected: 'address, identity or custom' }),
  item('What a client says of itself.', {
    field: Type.Optional(Type.String({ pattern: fieldNamePattern, expected: 'a field name, such as x-team', description: 'A request field. Who leaves it out is counted by address.' })),
    cookie: Type.Optional(Type.String({ pattern: fieldNamePattern, expected: 'the name of a cookie', description: 'A cookie. Who leaves it out is counted by address.' }))
  })
], {
  default: 'address',
  expected: 'address, identity, custom, or a section with field or cookie',
  description: '`address`: the client\'s address, for IPv6 its /64, behind `server.trustedProxies` the one they name; `identity`: who authentication found out, counted after it; `custom`: what the library option `rateLimitKey` returns; or a field or cookie. Fields and cookies are what the client says: beside them there should be a limit by address.'
})

export const RateLimitSchema = item('Requests allowed per client.', {
  name: Type.Optional(name('What clients see it called; default says max and window, such as `100-per-1m`.')),
  max: count('Requests in a window; above it 429 with `Retry-After`.', 100, { minimum: 1, maximum: 1_000_000_000 }),
  window: duration('Length of the window. It begins with a client\'s first request.', '1m', { least: '1ms' }),
  burst: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'Requests that may come at once, while room for `max` more comes back evenly in each `window` (a token bucket). Absent: `max` may come at any time within the window.' })),
  key: KeySchema,
  clients: count('Clients remembered. A new one takes the place of the one that has used least, never of one that has used up its limit.', 10_000, { minimum: 1, maximum: 10_000_000 }),
  allow: texts('Client addresses and networks (CIDR), `loopback`, `linklocal` and `uniquelocal` that are not counted.'),
  hits: Type.Number({ default: 1, minimum: 0, maximum: 1, description: 'What a request costs that the cache answers, to three decimal places; 0: nothing.' }),
  fields: choice('How clients are told what is left: `draft` by `RateLimit` and `RateLimit-Policy`, `draft-06` by `RateLimit-Limit`, `-Remaining` and `-Reset`, `legacy` by the same with `X-` in front; `none` not at all.', ['draft', 'draft-06', 'legacy', 'none'], 'draft')
})

/** One limit or several: a request has to be within all of them. */
export const RateLimitsSchema = (description: string) => Type.Union([
  RateLimitSchema,
  Type.Array(RateLimitSchema, { minItems: 1, maxItems: 16 })
], { expected: 'a section with options, or a list of them', description })
