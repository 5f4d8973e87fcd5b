/** What is stored, and how long it is used. */
import Type from './type.ts'
import { choice, count, duration, fieldName, flag, item, longestLifetime, optionalDuration, optionalSize, section, size, texts } from './kinds.ts'

const TagFieldSchema = item('A response field that carries tags.', {
  name: fieldName,
  separator: choice('What stands between two tags.', ['space', 'comma'], 'space')
})

const SnapshotSchema = section('A file from which a restarted process gets its stored responses back.', {
  file: Type.Optional(Type.String({ minLength: 1, description: 'Path of the snapshot, relative to the configuration file; its folder must exist, and others must not be able to write there. Beside it stand `.removed`, what was purged or invalidated since, and files being written. With workers each has its own, with `.1`, `.2` and so on behind it. Absent: none is kept.' })),
  interval: duration('Time between two snapshots; 0 for none but the one at shutdown.', '10m')
})

export const CacheSchema = section('The stored responses of this process.', {
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
  ignorePathCase: flag('Take paths that differ in letter case for the same.', false),
  identity: flag('Store for each identity apart, as `auth` of the route found it out: what one is answered with is never used for another. A request without identity bypasses the cache.', false)
})

const CollapseSchema = section('Concurrent requests for what is not stored: the first one travels, the others wait for its response.', {
  enabled: flag('Collapse at all.', true),
  wait: duration('How long a request waits for another one\'s response to begin before it goes on by itself.', '10s', { least: '1ms' }),
  hitForMiss: duration('How long requests are not collapsed after a response proved not shareable.', '2m', { most: longestLifetime })
})

export const RouteCacheSchema = section('What the cache may do on this route.', {
  enabled: flag('Store and reuse. Off: every request is forwarded (`fwd=bypass`).', true),
  ttl: Type.Array(CacheTtlRuleSchema, { default: [], description: 'Lifetimes for responses with neither `Cache-Control` lifetime nor `Expires`; the first rule that names the status counts. Negative caching: `{ status: [404], ttl: 10s }`.' }),
  overrides: Type.Array(FreshnessOverrideSchema, { default: [], description: 'Changes of the lifetime; the first rule that is for the status counts. `Cache-Status` names it in `detail`.' }),
  heuristic: flag('Give a response without explicit lifetime 10 % of the time since `Last-Modified` (RFC 9111 4.2.2).', true),
  heuristicMax: duration('Longest lifetime given that way.', '1d', { most: longestLifetime }),
  staleWhileRevalidate: duration('How long a stale response is still used while it is validated in the background, where the response does not say itself (RFC 5861 3).', 0, { most: longestLifetime }),
  staleIfError: duration('How long a stale response may stand in for a failing upstream, where the response does not say itself (RFC 5861 4).', 0, { most: longestLifetime }),
  keep: optionalDuration('How long a stale response is kept for validation. Absent: until its room is needed.', { most: longestLifetime }),
  requestDirectives: choice('`Cache-Control` and `Pragma` of requests: `honor` (RFC 9111 5.2.1), or `ignore`, so that no client can force traffic to the origin.', ['honor', 'ignore'], 'honor'),
  setCookie: choice('Responses with `Set-Cookie`: `bypass` does not store them; `store` does, as RFC 9111 7.3 allows; `strip` stores them without the field, which the client whose request brought the response still gets; `response.cookies` takes it from all.', ['bypass', 'store', 'strip'], 'bypass'),
  vary: choice('How request fields named by `Vary` are compared: `exact`; `normalise` (letter case, white space, weights); `meaning` (also order, and by `Content-Language` and `Content-Encoding` of what is stored).', ['exact', 'normalise', 'meaning'], 'normalise'),
  targetedFields: Type.Array(fieldName, { default: ['holdfast-cache-control', 'cdn-cache-control'], description: 'Response fields that replace `Cache-Control` and `Expires` for this cache, the most applicable first (RFC 9213).' }),
  consumeTargetedFields: flag('Keep targeted fields from clients.', false),
  noVarySearch: flag('Let the origin server say by `No-Vary-Search` which query parameters do not matter.', true),
  storePrivate: flag('Store responses with `Cache-Control: private` too, for the identity that asked alone; needs `key.identity`. Wrong where one identity stands for several people, such as a key that an application uses for all its users.', false),
  partial: flag('Store parts of a content (206) and complete them.', true),
  quota: Type.Number({ default: 0, minimum: 0, maximum: 1, description: 'Share of `cache.maxBytes` above which this route\'s responses leave before those of other routes, 0 for none. A soft bound: while there is room nothing leaves.' }),
  key: KeyRulesSchema,
  collapse: CollapseSchema,
  maxResponseBytes: optionalSize('Content of one stored response on this route; default is `cache.maxResponseBytes`.')
})
