/** What changes on the way to the client. */
import Type from './type.ts'
import { CompressionSchema } from './compression.ts'
import { choice, duration, fieldName, fieldValues, flag, item, optionalChoice, section } from './kinds.ts'

const statuses = (description: string, options: object = {}) => Type.Array(Type.Union([
  Type.Integer({ minimum: 200, maximum: 599 }),
  Type.String({ pattern: '^[2-5]xx$' })
], { expected: 'a status code such as 503, or 4xx for all of a hundred' }), { minItems: 1, description, ...options })

const WhenSchema = section('For which responses; all that is given must fit.', {
  status: Type.Optional(statuses('Status codes. Partial responses (206) and 304 count as the response that they are about. Absent: all.')),
  contentType: Type.Optional(Type.Array(Type.String({ pattern: '^[\\w!#$&^.+-]+/([\\w!#$&^.+-]+|\\*)$', expected: 'a media type such as text/html, or text/*' }), { minItems: 1, description: 'Media types; a response without `Content-Type` fits none. Absent: all.' })),
  cache: optionalChoice('`hit`: answered with a stored response; `miss`: with one of the upstream; `any`: both. Given, the rule acts on each response before it is sent.', ['hit', 'miss', 'any']),
  method: Type.Optional(Type.Array(Type.String({ pattern: '^[A-Z][A-Z-]*$', expected: 'a request method in capitals, such as GET' }), { minItems: 1, description: 'Methods of the request. Given, the rule acts on each response before it is sent.' }))
})

const RuleSchema = item('Changes of response fields: remove, then set, then append. Without `cache` and `method` in `when`, and without names in braces, a rule acts once, before the response is stored, and costs hits nothing; else on each response before it is sent.', {
  when: WhenSchema,
  remove: Type.Array(fieldName, { default: [], description: 'Fields not passed on.' }),
  set: fieldValues('Fields set to a value, in place of what they had.'),
  append: fieldValues('Field lines added.'),
  ownErrors: flag('Also for errors that the proxy answers itself.', false)
})

const SecuritySchema = item('Fields that tell browsers to be careful, after OWASP\'s Secure Headers Project (docs/filters-response.md), also on errors that the proxy answers itself. They are set before the response is stored.', {
  preset: choice('`basic` suits almost every site; `strict` forbids what is not of the site itself, and needs testing.', ['basic', 'strict'], 'basic'),
  replace: flag('Replace what the origin server says itself. Off: its own values are kept.', false),
  hstsMaxAge: duration('How long browsers use https alone (`Strict-Transport-Security`, sent over https only); 0 to leave it out.', '365d', { most: '24855d' })
})

const CookieRuleSchema = item('Changes of cookies that the origin server sets.', {
  name: Type.String({ minLength: 1, maxLength: 256, description: 'Name; `*` at the end stands for any rest.' }),
  remove: flag('Take the cookie away.', false),
  rename: Type.Optional(Type.String({ pattern: '^[!#$%&\'*+.^_`|~0-9A-Za-z-]+$', expected: 'a cookie name', description: 'Another name; only where `name` has no `*`. Cookies of requests keep theirs.' })),
  secure: flag('Add `Secure`.', false),
  httpOnly: flag('Add `HttpOnly`.', false),
  sameSite: optionalChoice('`SameSite`, in place of what the cookie has. `none` needs `secure`.', ['strict', 'lax', 'none'])
})

const CookiesSchema = section('Cookies that the origin server sets (`Set-Cookie`).', {
  domains: Type.Record(Type.String(), Type.String({ pattern: '^[A-Za-z0-9.-]*$', expected: 'a domain such as example.com, or nothing' }), { propertyNames: { pattern: '^(\\*|\\.?[A-Za-z0-9.-]+)$', expected: 'a domain such as app.internal, or *' }, default: {}, description: 'Values of `Domain` and what takes their place; nothing leaves the attribute out. `*` stands for all others.' }),
  paths: Type.Record(Type.String(), Type.String({ pattern: '^/[^;\\x00-\\x20\\x7f]*$', expected: 'a path that begins with /' }), { propertyNames: { pattern: '^/[^;\\x00-\\x20\\x7f]*$', expected: 'a path that begins with /' }, default: {}, description: 'Beginnings of `Path`, whole segments, and what takes their place; the longest that fits counts.' }),
  rules: Type.Array(CookieRuleSchema, { default: [], maxItems: 64, description: 'All that fit a cookie act on it, in this order.' })
})

const LocationSchema = section('`Location`, `Content-Location` and the URL in `Refresh`, from how the upstream sees URLs to how clients do.', {
  rewrite: flag('An absolute URL of one of the upstream\'s own targets, or of the `Host` it is sent, becomes a path on what the client asked for, `rewrite.addPrefix` taken away and `stripPrefix` put back. One under no such prefix stays as it is.', true),
  origins: Type.Array(Type.String({ pattern: '^https?://[^/?#@\\s]+$', expected: 'an origin such as http://app.internal:8080' }), { default: [], maxItems: 64, description: 'Further origins that are the upstream\'s.' }),
  paths: flag('Prefixes also in values that are a path alone. Leave it off where the origin server knows the prefix of clients itself.', false)
})

const errorPage = {
  status: Type.Array(Type.Union([Type.Integer({ minimum: 400, maximum: 599 }), Type.String({ pattern: '^[45]xx$' })], { expected: 'a status code from 400, or 4xx or 5xx' }), { minItems: 1, description: 'Status codes it is for.' }),
  file: Type.String({ minLength: 1, description: 'Path of the page, relative to the configuration file, of at most 256 KiB. Read at the start and on reload. `{{status}}`, `{{code}}`, `{{message}}` and `{{requestId}}` are filled in.' }),
  contentType: Type.String({ default: 'text/html; charset=utf-8', pattern: '^[\\w!#$&^.+-]+/[\\w!#$&^.+-]+(; ?[\\w-]+=[\\w-]+)*$', expected: 'a media type such as text/html', description: 'Its `Content-Type`. A client whose `Accept` does not take it gets the next page that fits, or the proxy\'s own.' })
}

const ErrorPageSchema = item('A page for errors.', {
  ...errorPage,
  onlyOwn: flag('For errors that the proxy answers itself. Off: also in place of the upstream\'s own, hits included.', true)
})

export const ErrorPagesSchema = Type.Array(item('A page for errors.', errorPage), { default: [], maxItems: 64, description: 'Pages for errors that the proxy answers itself, on all routes and where none is found, behind those of the route. The first one that fits counts.' })

export const ResponseSchema = section('What changes on the way to the client, for hits and misses alike: locations, cookies, `security`, `removeFields` and `setFields`, `rules`, in this order.', {
  setFields: fieldValues('Response fields set to a value; with names in braces on each response before it is sent, else before it is stored.'),
  removeFields: Type.Array(fieldName, { default: [], description: 'Response fields not passed on, nor stored.' }),
  rules: Type.Array(RuleSchema, { default: [], maxItems: 100, description: 'Changes of response fields under conditions.' }),
  security: Type.Optional(SecuritySchema),
  cookies: CookiesSchema,
  location: LocationSchema,
  errorPages: Type.Array(ErrorPageSchema, { default: [], maxItems: 64, description: 'Pages for errors; the first one that fits counts.' }),
  compression: CompressionSchema
})
