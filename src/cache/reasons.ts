/** The words in which the cache gives its reasons: the same in tests, logs, metrics and `Cache-Status`. */

export interface ReasonText {
  /** What happened, for people. */
  readonly sentence: string
  /** Where the rule stands. */
  readonly source: string
}

export const reasons = {
  method: { sentence: 'The method is not one whose responses are stored.', source: 'RFC 9111 section 3' },
  'request-content': { sentence: 'The request has content, which is no part of the cache key.', source: 'RFC 9110 section 9.3.1' },
  'cache-off': { sentence: 'The configuration turns the cache off here.', source: 'routes[].cache.enabled' },
  'device-class': { sentence: 'The function that tells classes of devices apart had no answer.', source: 'docs/library.md' },
  'own-filter': { sentence: 'A filter of an extension keeps the request out of the cache.', source: 'docs/extending.md' },
  'no-identity': { sentence: 'The route stores for each identity apart, and nobody has said whose request this is.', source: 'routes[].cache.key.identity' },
  'request-no-store': { sentence: 'The request asks not to store anything of it.', source: 'RFC 9111 section 5.2.1.5' },
  'request-no-cache': { sentence: 'The request asks for validation.', source: 'RFC 9111 section 5.2.1.4' },
  'request-max-age': { sentence: 'The stored response is older than the request accepts.', source: 'RFC 9111 section 5.2.1.1' },
  'request-min-fresh': { sentence: 'The stored response is not fresh for as long as the request wants.', source: 'RFC 9111 section 5.2.1.3' },
  'request-max-stale': { sentence: 'The request accepts a response that is this stale.', source: 'RFC 9111 section 5.2.1.2' },
  'only-if-cached': { sentence: 'The request wants a stored response and there is none that fits.', source: 'RFC 9111 section 5.2.1.7' },
  partial: { sentence: 'The response is a part that cannot be stored: its place or the length of the whole is unknown, or the route does not store parts.', source: 'RFC 9111 section 3.3' },
  'range-missing': { sentence: 'Only a part of the content is stored, and not all of what is asked for.', source: 'RFC 9111 section 3.3' },
  precondition: { sentence: 'The precondition can only be evaluated by the origin server.', source: 'RFC 9110 section 13.1' },
  status: { sentence: 'A response with this status is not stored.', source: 'RFC 9111 section 3' },
  'must-understand': { sentence: 'The response may only be stored by a cache that knows its status code.', source: 'RFC 9111 section 5.2.2.3' },
  'no-store': { sentence: 'The response forbids storing.', source: 'RFC 9111 section 5.2.2.5' },
  malformed: { sentence: 'Cache-Control cannot be understood, so nothing is inferred from it.', source: 'RFC 9111 section 4.2.1' },
  private: { sentence: 'The response is for one user.', source: 'RFC 9111 section 5.2.2.7' },
  authorization: { sentence: 'The request was authenticated and the response does not allow sharing.', source: 'RFC 9111 section 3.5' },
  'vary-star': { sentence: 'The response depends on more than fields of the request.', source: 'RFC 9111 section 4.1' },
  'vary-generated': { sentence: 'The response depends on a field that the proxy itself sets for each request.', source: 'RFC 9111 section 4.1' },
  'set-cookie': { sentence: 'The response sets a cookie, and the route does not store such responses.', source: 'routes[].cache.setCookie; RFC 9111 section 7.3' },
  'no-lifetime': { sentence: 'The response has neither a lifetime nor a validator.', source: 'RFC 9111 section 3' },
  'too-many-tags': { sentence: 'The response has more or longer tags than are kept, so a purge could pass it by.', source: 'cache.maxTags' },
  'too-large': { sentence: 'The content is larger than the cache stores.', source: 'cache.maxResponseBytes' },
  'no-room': { sentence: 'Too much is being recorded at this moment.', source: 'cache.maxBytes' },
  incomplete: { sentence: 'The content was cut short.', source: 'RFC 9111 section 3.3' },
  superseded: { sentence: 'The stored responses were invalidated while this one was under way.', source: 'RFC 9111 section 4.4' },
  'store-failed': { sentence: 'The store failed; the response passed through.', source: 'design: the cache fails open' },
  stale: { sentence: 'The stored response is stale.', source: 'RFC 9111 section 4.2' },
  'no-cache': { sentence: 'The stored response may only be used after validation.', source: 'RFC 9111 section 5.2.2.4' },
  'stale-while-revalidate': { sentence: 'The stale response may be used while it is validated in the background.', source: 'RFC 5861 section 3' },
  'override-raised': { sentence: 'The route raised the freshness lifetime.', source: 'routes[].cache.overrides' },
  'override-capped': { sentence: 'The route cut the freshness lifetime down.', source: 'routes[].cache.overrides' },
  'override-origin-ignored': { sentence: 'The route decides on freshness in place of the origin server.', source: 'routes[].cache.overrides' },

  'no-vary-search': { sentence: 'A response stored for another query answers this one, as its origin server declares.', source: 'draft-ietf-httpbis-no-vary-search section 6' },
  'hit-for-miss': { sentence: 'Responses under this key proved not shareable lately, so requests do not wait for each other.', source: 'routes[].cache.collapse.hitForMiss' },
  'stale-if-error': { sentence: 'The upstream failed and a stale response may stand in.', source: 'RFC 5861 section 4' },
  validated: { sentence: 'The origin server confirmed the stored response.', source: 'RFC 9111 section 4.3.3' }
} as const satisfies Readonly<Record<string, ReasonText>>

export type ReasonWord = keyof typeof reasons
