/** Compressing what the origin server did not. */
import Type from './type.ts'
import { codings } from '../../transform/codings.ts'
import { count, flag, section, size } from './kinds.ts'

const compressible = [
  'text/*', 'application/javascript', 'application/json', 'application/ld+json', 'application/manifest+json', 'application/rss+xml', 'application/atom+xml',
  'application/graphql-response+json', 'application/problem+json', 'application/vnd.api+json', 'application/wasm', 'application/xhtml+xml', 'application/xml', 'application/x-ndjson',
  'font/otf', 'font/ttf', 'image/bmp', 'image/svg+xml', 'image/x-icon', 'image/vnd.microsoft.icon'
]

function level (coding: string, value: number, minimum: number, maximum: number) {
  return count(`Of ${coding}: higher is smaller and slower.`, value, { minimum, maximum })
}

export const CompressionSchema = section('Compression of what the origin server sends uncompressed, before it is stored: once per coding. `Accept-Encoding` of requests is folded to the one coding of `codings` that the client likes best, or `identity`, both for the origin server and for `Vary`.', {
  enabled: flag('Compress.', false),
  codings: Type.Array(Type.Enum([...codings]), { default: [...codings], minItems: 1, description: 'What clients may get, the preferred one first: of equal weights in `Accept-Encoding` the first counts.' }),
  types: Type.Array(Type.String({ pattern: '^[a-z0-9!#$&^_.+-]+/([a-z0-9!#$&^_.+-]+|\\*)$', expected: 'a media type in lower case such as text/html, or text/*' }), { default: compressible, minItems: 1, description: 'Media types that are compressed. `text/event-stream` is one only where it is named itself.' }),
  minBytes: size('Content of a known length below this is not compressed.', '1KiB'),
  level: section('Compression levels.', {
    zstd: level('zstd', 3, 1, 19),
    br: level('br', 4, 0, 11),
    gzip: level('gzip', 5, 1, 9)
  }),
  maxConcurrent: count('Responses that are compressed at one time on this route; further ones pass uncompressed.', 100, { minimum: 1, maximum: 10_000 })
})
