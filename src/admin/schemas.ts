/** What the admin API takes and gives: the one place that its validation, its types and its OpenAPI description come from. */
import Type from '../config/schema/type.ts'
import type { Static } from 'typebox'
import { listOrders } from '../cache/listing.ts'
import { maxTagLength } from '../cache/tags.ts'

function choice<const V extends readonly string[]> (values: V, options: object) {
  // Type.Enum derives the literal types only from a tuple of literals; the generic V is one, which it cannot see.
  return Type.Enum(values as unknown as string[], { type: 'string', ...options }) as unknown as import('typebox').TUnsafe<V[number]>
}

const Tag = Type.String({ minLength: 1, maxLength: maxTagLength, description: 'As the origin server said it, letter case included.' })
const Prefix = Type.String({ pattern: '^/[^?#]*$', expected: 'a path such as /news/', description: 'Beginning of the path of URLs as clients ask for them, such as `/news/`.' })
const Host = Type.String({ minLength: 1, maxLength: 300, description: 'Host of URLs as clients ask for them, with its port unless that is the default one.' })
const RouteName = Type.String({ minLength: 1, maxLength: 64, description: 'Name of a route.' })
const Url = Type.String({ pattern: '^[Hh][Tt][Tt][Pp][Ss]?://[^#]+$', maxLength: 16_384, expected: 'an absolute URL such as http://example.com/page', description: 'A URL as clients ask for it. Everything stored under it is meant, whatever else is in the key.' })

/** Which stored responses are meant. */
const selectorProperties = {
  url: Type.Optional(Url),
  tags: Type.Optional(Type.Array(Tag, { minItems: 1, maxItems: 256, description: 'Responses that have one of these tags.' })),
  prefix: Type.Optional(Prefix),
  host: Type.Optional(Host),
  route: Type.Optional(RouteName),
  all: Type.Optional(Type.Boolean({ description: 'Everything. Stands alone and must be `true`.' }))
}

const Mode = choice(['hard', 'soft'], { default: 'hard', description: '`hard`: gone. `soft`: stale from now on, so that validation and the rules for stale responses apply.' })

export const PurgeRequestSchema = Type.Object({
  ...selectorProperties,
  mode: Type.Optional(Mode),
  dryRun: Type.Optional(Type.Boolean({ default: false, description: 'Change nothing and say what would be purged.' }))
}, { additionalProperties: false, description: 'Which stored responses, and what becomes of them. `url` or `all` stands alone; of `tags`, `prefix`, `host` and `route` all that are given must fit.' })

export const PurgeResultSchema = Type.Object({
  mode: choice(['hard', 'soft'], {}),
  dryRun: Type.Boolean(),
  responses: Type.Integer({ minimum: 0, description: 'Stored responses purged. A soft purge counts those that were stale already, too.' }),
  bytes: Type.Integer({ minimum: 0, description: 'Their bytes, as they count against `cache.maxBytes`.' })
})

export const EntriesQuerySchema = Type.Object({
  tag: Type.Optional(Tag),
  prefix: Type.Optional(Prefix),
  host: Type.Optional(Host),
  route: Type.Optional(RouteName),
  order: Type.Optional(choice(listOrders, { default: 'hits', description: 'Most hits first, largest first, or oldest first.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50, description: 'Responses on a page.' })),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 100, description: '`next` of the page before, or `cursor` of a response on it.' }))
}, { additionalProperties: false })

const Selecting = Type.Array(Type.Object({
  name: Type.String(),
  value: Type.Union([Type.String(), Type.Null()], { description: 'As it is compared; a fingerprint where it may be a secret; null where the request had no such field.' })
}), { description: 'Request fields named by `Vary`, by which it is selected.' })

const rowProperties = {
  url: Type.String({ description: 'A URL that leads to it.' }),
  route: Type.String(),
  status: Type.Integer(),
  bytes: Type.Integer({ description: 'What it counts against `cache.maxBytes`.' }),
  age: Type.Integer({ description: 'Seconds.' }),
  ttl: Type.Integer({ description: 'Seconds it is fresh for; negative for as long as it has been stale.' }),
  hits: Type.Integer({ description: 'Requests it answered.' }),
  selecting: Selecting,
  tags: Type.Array(Type.String()),
  worker: Type.Optional(Type.Integer({ description: 'Process that holds it, with `--workers`.' }))
}

export const EntryRowSchema = Type.Object({ ...rowProperties, cursor: Type.String() })

export const EntriesPageSchema = Type.Object({
  entries: Type.Array(EntryRowSchema),
  next: Type.Union([Type.String(), Type.Null()], { description: '`cursor` of the next page; null when this is the last one.' }),
  scanned: Type.Integer({ description: 'Responses that were looked at.' }),
  complete: Type.Boolean({ description: 'False when the cache holds more than is looked at for one page.' })
})

export const EntryQuerySchema = Type.Object({ url: Url }, { additionalProperties: false })

export const EntryViewSchema = Type.Object({
  ...rowProperties,
  key: Type.Object({
    scheme: Type.String(),
    authority: Type.String(),
    path: Type.String(),
    query: Type.String(),
    fields: Type.Array(Type.String(), { description: 'Names of request fields in the key.' }),
    cookies: Type.Array(Type.String(), { description: 'Names of cookies in the key.' }),
    fingerprint: Type.Union([Type.String(), Type.Null()], { description: 'Tells keys apart by the values of fields, cookies and device, which are not shown.' })
  }),
  freshnessLifetime: Type.Number({ description: 'Seconds.' }),
  fresh: Type.Boolean(),
  override: Type.Union([Type.String(), Type.Null()], { description: 'Rule of the route that decided on the lifetime.' }),
  mayBeServedStale: Type.Boolean({ description: 'False where the response forbids it (RFC 9111 4.2.4).' }),
  staleWhileRevalidate: Type.Number({ description: 'Seconds (RFC 5861 3), of the response or of its route.' }),
  staleIfError: Type.Number({ description: 'Seconds (RFC 5861 4), of the response or of its route.' }),
  receivedAt: Type.String({ description: 'When it was received or last confirmed.' }),
  contentBytes: Type.Integer({ description: 'Bytes of content that are here.' }),
  partial: Type.Boolean({ description: 'Only some of the content is here.' }),
  groups: Type.Integer({ description: 'Cache groups (RFC 9875) it belongs to.' }),
  fields: Type.Record(Type.String(), Type.String(), { description: 'Response fields that decide on its use.' })
})

export const EntryAnswerSchema = Type.Object({ entries: Type.Array(EntryViewSchema) })

export type PurgeRequest = Static<typeof PurgeRequestSchema>
/** Which stored responses are meant: `url` or `all` alone, or all that are given of the rest. */
export type PurgeSelector = Omit<PurgeRequest, 'mode' | 'dryRun' | 'tags'> & { readonly tags?: readonly string[] }
export type PurgeResult = Static<typeof PurgeResultSchema>
export type EntriesQuery = Static<typeof EntriesQuerySchema>
export type EntriesPage = Static<typeof EntriesPageSchema>
export type EntryRow = Static<typeof EntryRowSchema>
export type EntryQuery = Static<typeof EntryQuerySchema>
export type EntryView = Static<typeof EntryViewSchema>
export type EntryAnswer = Static<typeof EntryAnswerSchema>

const PurgeCountsSchema = Type.Record(Type.String(), Type.Record(Type.String(), Type.Object({
  purges: Type.Integer(), responses: Type.Integer(), bytes: Type.Integer()
})), { description: 'By what was chosen (`url`, `tag`, `prefix`, `host`, `route`, `all`) and by mode, since the start. Dry runs do not count.' })

const MemorySchema = Type.Object({
  evictionsBy: Type.Object({
    expired: Type.Integer({ description: 'Stale, and neither to be validated nor to be used any more.' }),
    quota: Type.Integer({ description: 'Its route was above its `cache.quota`.' }),
    variants: Type.Integer({ description: 'Its key had more than `cache.maxVariants`.' }),
    room: Type.Integer({ description: 'Chosen by the policy.' })
  }, { description: 'The evictions by cause.' }),
  policy: Type.String({ description: '`cache.eviction`.' }),
  eviction: Type.Object({
    rules: Type.Record(Type.String(), Type.Object({
      inForce: Type.Integer({ description: '1 for the rule that is followed; with `--workers` the processes that follow it.' }),
      hitRatio: Type.Optional(Type.Number({ description: 'Share of the sampled requests of late that would have been hits by this rule; with `--workers` the mean.' }))
    }), { description: 'The rules among which `adaptive` chooses, or the only one.' }),
    switches: Type.Integer({ description: 'How often the rule in force has changed.' }),
    ghosts: Type.Integer({ description: 'Keys remembered of what has left, and of sampled requests.' }),
    overheadBytes: Type.Integer({ description: 'Memory of the policy, with these keys and its estimates.' })
  }),
  routes: Type.Record(Type.String(), Type.Object({
    entries: Type.Integer({ description: 'Stored responses.' }),
    bytes: Type.Integer({ description: 'What they count against `cache.maxBytes`.' }),
    hits: Type.Integer({ description: 'Requests answered with a stored response.' }),
    quotaBytes: Type.Optional(Type.Number({ description: 'Above it they leave first (`cache.quota`).' }))
  }), { description: 'Routes that have something stored, or a quota.' })
}, { description: 'Of the memory store; absent where an application has its own.' })

export const StatsSchema = Type.Object({
  workers: Type.Optional(Type.Integer({ description: 'Processes whose numbers are added up, with `--workers`.' })),
  cache: Type.Object({
    bytes: Type.Integer({ description: 'Of stored responses, with their keys, tags and places in indexes.' }),
    maxBytes: Type.Integer(),
    entries: Type.Integer({ description: 'Stored responses.' }),
    maxEntries: Type.Integer(),
    keys: Type.Integer({ description: 'Different keys of stored responses; with several variants there are more responses.' }),
    tags: Type.Integer({ description: 'Different tags of stored responses.' }),
    evictions: Type.Integer({ description: 'Stored responses that left for lack of room.' }),
    memory: Type.Optional(MemorySchema),
    recordings: Type.Integer({ description: 'Responses on their way into the store.' }),
    recordingBytes: Type.Integer({ description: 'Their bytes so far.' }),
    searchEntries: Type.Integer({ description: 'Spellings of queries by which responses with `No-Vary-Search` are found.' }),
    searchBytes: Type.Integer({ description: 'Bytes of that index.' }),
    failures: Type.Integer({ description: 'Calls of the store that failed.' }),
    hits: Type.Integer(),
    misses: Type.Integer(),
    stale: Type.Integer({ description: 'Requests answered with a stale response.' }),
    collapsed: Type.Integer({ description: 'Requests answered with the response that another one had asked for.' }),
    purges: PurgeCountsSchema
  }),
  snapshot: Type.Optional(Type.Object({
    loaded: Type.Integer({ description: 'Stored responses that came back from the snapshot at the start.' }),
    written: Type.Integer({ description: 'Snapshots written.' }),
    failed: Type.Integer({ description: 'Snapshots that could not be written.' }),
    entries: Type.Integer({ description: 'Stored responses in the last one written.' }),
    bytes: Type.Integer({ description: 'Length of the last one written.' }),
    writeMs: Type.Integer({ description: 'Milliseconds that took; with `--workers` the longest.' }),
    loadMs: Type.Integer({ description: 'Milliseconds that loading took; with `--workers` the longest.' }),
    writtenAt: Type.Union([Type.String(), Type.Null()], { description: 'When it was in its place; with `--workers` the oldest. Null before the first.' })
  }, { description: 'With `cache.snapshot.file`.' })),
  upstreams: Type.Record(Type.String(), Type.Object({
    targets: Type.Array(Type.Object({ origin: Type.String(), healthy: Type.Boolean(), openSockets: Type.Integer(), inFlight: Type.Integer() })),
    queued: Type.Integer(),
    requests: Type.Integer(),
    retries: Type.Integer(),
    errors: Type.Record(Type.String(), Type.Integer())
  }))
})

export const ReloadResultSchema = Type.Object({
  changed: Type.Array(Type.String(), { description: 'What is in force now.' }),
  needsRestart: Type.Array(Type.String(), { description: 'What was given and is not in force.' })
})

export const HealthSchema = Type.Object({ status: Type.String(), reasons: Type.Optional(Type.Array(Type.String())) })

export const ErrorSchema = Type.Object({
  error: Type.Object({
    code: Type.String({ description: 'Stable, lower snake case.' }),
    status: Type.Integer(),
    message: Type.String(),
    problems: Type.Optional(Type.Array(Type.Object({
      path: Type.String({ description: 'JSON pointer.' }),
      rule: Type.String(),
      message: Type.String()
    }), { description: 'Each place that is wrong.' }))
  })
})
