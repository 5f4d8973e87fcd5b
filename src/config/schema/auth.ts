/** Who may ask. */
import Type from './type.ts'
import { choice, count, duration, fieldName, fieldNamePattern, flag, item, section, size, texts } from './kinds.ts'

const hashPattern = '^sha256:[0-9a-f]{64}$'
const hashExpected = 'sha256: and 64 hexadecimal digits in lower case'

/** Secrets at rest: the hash alone, or with the name of its owner. */
function secrets (description: string) {
  const hash = Type.String({ pattern: hashPattern, writeOnly: true, expected: hashExpected })
  return Type.Array(Type.Union([
    hash,
    item('A secret and whose it is.', {
      name: Type.String({ minLength: 1, maxLength: 128, description: 'Who uses it, as the upstream, the log and limits by identity know them. Several secrets may have one name.' }),
      hash: Type.String({ pattern: hashPattern, writeOnly: true, expected: hashExpected, description: 'SHA-256, as `sha256:<hex>`.' })
    })
  ], { writeOnly: true, expected: `${hashExpected}, or name and hash` }), { minItems: 1, description: `${description} SHA-256 as \`sha256:<hex>\`, alone or with the \`name\` of who uses it; without a name the subject is \`key-\` and the first digits of the hash.` })
}

const oneOrMore = (description: string) => Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })], { expected: 'a text or a list of texts', description })

const ApiKeysSchema = item('A key in a field, or in a query parameter.', {
  field: Type.String({ default: 'x-api-key', pattern: fieldNamePattern, expected: 'a field name, such as x-api-key', description: 'Field that carries the key.' }),
  query: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Query parameter that may carry it instead. It is taken out of the target before anything else sees it: cache key, log and upstream never do.' })),
  keys: secrets('The keys.')
})

const passwordHash = Type.String({ pattern: '^\\$argon2(?:id|i|d)\\$v=19\\$m=\\d{1,7},t=\\d{1,3},p=\\d{1,2}\\$[A-Za-z0-9+/]{11,86}\\$[A-Za-z0-9+/]{16,172}$', writeOnly: true, expected: 'an Argon2 hash as `holdfast hash-password` makes it' })

const BasicSchema = item('User name and password (RFC 7617). Offer it over TLS only.', {
  realm: Type.String({ default: 'Restricted', pattern: '^[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]{1,128}$', expected: 'printable ASCII without quotes and backslashes', description: 'What a browser shows when it asks for the password.' }),
  users: Type.Record(Type.String(), passwordHash, { default: {}, propertyNames: { pattern: '^[^:\\x00-\\x1f\\x7f]{1,128}$', expected: 'a user name: no colon and no control characters' }, description: 'Argon2 hashes of the passwords by user name. `holdfast hash-password` makes one.' }),
  file: Type.Optional(Type.String({ minLength: 1, description: 'Path of a file with more users, one `name:hash` per line, relative to the configuration file. Read again on reload.' })),
  remember: duration('How long a password that was right is known as such, by a keyed digest in memory, so that not every request costs an Argon2 verification; 0 for not at all.', '5m', { most: '1d' }),
  concurrency: count('Verifications at the same time; more wait.', 2, { minimum: 1, maximum: 64 }),
  queue: count('Verifications that may wait; above it 503.', 64, { minimum: 0, maximum: 10_000 }),
  attempts: section('Brute force is slowed: wrong passwords in a window, above which 429 with `Retry-After` answers without looking at the password.', {
    perUser: count('For one user name, whether there is such a user or not. A client from whose address the user has been let in lately is not held up by others.', 10, { minimum: 1 }),
    perAddress: count('From one client address (of IPv6 the /64), for all user names together.', 30, { minimum: 1 }),
    window: duration('Length of the window.', '1m', { least: '1s', most: '1d' })
  })
})

const BearerSchema = item('An opaque token in `Authorization: Bearer` (RFC 6750).', {
  tokens: secrets('The tokens.')
})

export const signatureAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const

const JwtKeysSchema = item('Public keys of the issuer: `file` or `url`.', {
  file: Type.Optional(Type.String({ minLength: 1, description: 'Path of a JWK Set (RFC 7517), or of a PEM file with one public key or certificate, relative to the configuration file. Read again on reload.' })),
  url: Type.Optional(Type.String({ pattern: '^https?://[^/?#@\\s]+(?:/[^\\s#]*)?$', expected: 'a URL such as https://login.example.com/jwks.json', description: 'Where the issuer publishes its JWK Set. Redirects are not followed.' })),
  refresh: duration('Age at which the keys are fetched again, while the old ones are still used.', '1h', { least: '1s' }),
  cooldown: duration('Shortest time between two fetches, also where tokens name keys that are not known.', '30s', { least: '1s', most: '1h' }),
  timeout: duration('Until the whole answer has come.', '5s', { least: '1ms', most: '1m' }),
  keep: duration('How long after `refresh` keys are used that cannot be fetched again; then 503.', '1d')
})

const JwtSchema = item('A signed token (JWT, RFC 7519) in `Authorization: Bearer`, checked here. It must have an expiry (`exp`).', {
  algorithms: Type.Array(choice('A signature algorithm.', signatureAlgorithms, 'RS256'), { minItems: 1, description: 'Signature algorithms accepted; nothing else is, whatever the token says. Those with a shared secret (HS256) and `none` do not exist here.' }),
  issuer: oneOrMore('`iss` accepted.'),
  audience: oneOrMore('`aud` must have one of these.'),
  clockSkew: duration('How far the issuer\'s clock may be from ours, for `exp` and `nbf`.', '30s', { most: '10m' }),
  keys: JwtKeysSchema,
  subject: Type.String({ default: 'sub', minLength: 1, description: 'Claim that names who asks.' }),
  scopes: texts('Scopes that the token must have, all of them, in `scope` or `scp`; else 403.'),
  claims: Type.Record(Type.String({ minLength: 1 }), oneOrMore('Value, or several of which one must be there.'), { default: {}, description: 'Claims that must have a value, or one of several; a claim that is a list must contain it. Else 403.' }),
  type: Type.Optional(Type.String({ minLength: 1, description: '`typ` that the token must have, such as `at+jwt` (RFC 9068).' })),
  cookie: Type.Optional(Type.String({ pattern: fieldNamePattern, expected: 'a cookie name', description: 'Cookie that may carry the token where there is no `Authorization`.' })),
  maxBytes: size('A longer token is refused unread.', '8KiB'),
  remember: duration('How long a token that was right is known as such, by a keyed digest in memory, never beyond its expiry or a change of the keys; 0 for not at all.', '1m', { most: '1h' })
})

const ExternalSchema = item('Another service decides, asked by a GET: 2xx lets in, 401 and 403 are passed on with `WWW-Authenticate`.', {
  url: Type.String({ pattern: '^https?://[^/?#@\\s]+(?:/[^\\s#]*)?$', expected: 'a URL such as http://127.0.0.1:4000/check', description: 'Asked with `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For` of the request. Redirects are not followed.' }),
  forwardFields: Type.Array(fieldName, { default: ['authorization', 'cookie'], maxItems: 32, description: 'Request fields it gets.' }),
  copyFields: Type.Array(fieldName, { default: [], maxItems: 32, description: 'Fields of its answer that go upstream; a client\'s own are always removed.' }),
  subject: Type.Optional(Type.String({ pattern: fieldNamePattern, expected: 'a field name, such as x-user', description: 'Field of its answer that names who asks; an answer without it is a failure. Absent: a digest of the fields it got, new with every start.' })),
  timeout: duration('Until the head of its answer has come, waiting for a connection included.', '2s', { least: '1ms', most: '1m' }),
  concurrency: count('Requests to it at the same time; above it 503.', 128, { minimum: 1, maximum: 10_000 }),
  remember: duration('How long it is not asked again after it let somebody in; 0 for not at all.', 0, { most: '1d' }),
  rememberBy: choice('What has to be the same for that: `request`, that is credentials, method, host, path and query; or the `credentials` alone, for a service that looks at nothing else.', ['request', 'credentials'], 'request'),
  failureStatus: count('Answered when it fails: no answer in time, or neither 2xx nor 401 nor 403.', 503, { minimum: 500, maximum: 599 })
})

const ClientCertificateSchema = item('A certificate of the client (mTLS), verified as `server.tls.clientCertificates` says. Without rules any that is valid will do; else one that fits a rule.', {
  commonNames: texts('Common names of the subject.'),
  names: Type.Array(Type.String({ pattern: '^(?:dns|uri|email):\\S+$', expected: '`dns:`, `uri:` or `email:` and a name' }), { default: [], description: 'Alternative names, such as `dns:shop.example.com` or `uri:spiffe://example.com/shop`.' }),
  fingerprints: Type.Array(Type.String({ pattern: hashPattern, expected: hashExpected }), { default: [], description: 'SHA-256 of certificates, as `sha256:<hex>`.' }),
  subject: choice('What names who asks: the common name, the first alternative name, or the fingerprint.', ['common-name', 'alternative-name', 'fingerprint'], 'common-name')
})

const kinds = {
  apiKeys: Type.Optional(ApiKeysSchema),
  basic: Type.Optional(BasicSchema),
  bearer: Type.Optional(BearerSchema),
  jwt: Type.Optional(JwtSchema),
  external: Type.Optional(ExternalSchema),
  clientCertificate: Type.Optional(ClientCertificateSchema)
}

export const AuthKindsSchema = item('Kinds of credentials.', kinds)

export const AuthSchema = item('Who may use the route. One credential that fits is enough, unless `any` or `all` say otherwise.', {
  ...kinds,
  all: Type.Optional(Type.Array(AuthKindsSchema, { minItems: 1, maxItems: 8, description: 'Groups, of each of which one credential must fit. In place of kinds beside it.' })),
  any: Type.Optional(Type.Array(AuthKindsSchema, { minItems: 1, maxItems: 8, description: 'Groups, of one of which every credential must fit. In place of kinds beside it.' })),
  strip: flag('Do not forward the credentials: the field of a key, `Authorization` where the route reads it, the cookie of a token. They are removed before the cache looks at the request.', false),
  identityField: Type.Optional(Type.String({ pattern: fieldNamePattern, expected: 'a field name, such as x-user', description: 'Request field that tells the upstream who asks. A client\'s own is removed, in any spelling, on every route to the same upstream.' })),
  claimFields: Type.Record(fieldName, Type.String({ minLength: 1 }), { default: {}, propertyNames: { pattern: fieldNamePattern, expected: 'a field name, such as x-tenant' }, description: 'Request fields that tell the upstream a claim of the token, by field; as `identityField`.' }),
  shared: flag('What is behind the route is the same for all who are let in: stored and shared as if nobody had to say who they are. Wrong where the upstream makes a difference: then one gets what another may see.', false)
})
