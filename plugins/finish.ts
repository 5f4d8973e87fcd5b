/**
 * The last changes of a response that comes from the cache or the upstream: a page in place of an error, and the route's
 * rules that act before it is sent. A stored block stays whole where it has none of the fields that change.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { messageOf } from '../src/errors/error-body.ts'
import { mediaTypeOf, wholeOf, type FieldChanges } from '../src/forward/response-rules.ts'
import { Body } from '../src/http/body.ts'
import { fieldValue, linesWithout } from '../src/http/fields.ts'
import { discard } from '../src/proxy/discard.ts'
import type { Forwarding } from '../src/proxy/forwarding.ts'
import type { StoredBlock } from '../src/proxy/stored-block.ts'
import { templateInput } from '../src/proxy/template-input.ts'
import type { OutgoingResponse } from './respond.ts'

export function finish (request: FastifyRequest, reply: FastifyReply, given: OutgoingResponse): OutgoingResponse {
  const forwarding = request.forwarding as Forwarding
  const response = withPage(request, forwarding, given)
  const { sending } = forwarding.route.responseRules
  if (sending === null) return response
  const { statusCode, from } = response
  const changes = sending({
    statusCode: statusCode === 304 || statusCode === 206 ? from?.statusCode ?? wholeOf(statusCode) : statusCode,
    contentType: () => mediaTypeOf(from === undefined ? valueIn(response.lines, 'content-type') : fieldValue(from.fields, 'content-type')),
    isHit: request.cacheOutcome?.hit === true,
    method: request.method
  }, () => templateInput(request, forwarding))
  return changes.size === 0 ? response : withChanges(response, changes, reply)
}

function valueIn (lines: readonly string[], name: string): string | undefined {
  const at = lines.findIndex((text, index) => index % 2 === 0 && text === name)
  return at === -1 ? undefined : lines[at + 1]
}

function withChanges (response: OutgoingResponse, changes: FieldChanges, reply: FastifyReply): OutgoingResponse {
  const { statusCode, block } = response
  const replaced = new Set<string>()
  const added: string[] = []
  for (const [name, { replaces, values }] of changes) {
    if (replaces) {
      replaced.add(name)
      // What a filter's answer depends on (CORS: `Origin`) is true whatever is said of the response (RFC 9110 12.5.5).
      if (name !== 'vary') reply.removeHeader(name)
    }
    for (const value of values) added.push(name, value)
  }
  const ownLines = [...linesWithout(response.ownLines, replaced), ...added]
  return {
    statusCode,
    // Lines of this response come before those of the block, and lines of one name keep their order (RFC 9110 5.3).
    ...block !== undefined && !hasAny(block, changes) && { block },
    get lines () { return linesWithout(response.lines, replaced) },
    ownLines,
    get body () { return response.body }
  }
}

/** Whether one of the stored lines has one of these names. */
function hasAny ({ stored, headLength }: StoredBlock, changes: FieldChanges): boolean {
  const head = stored.slice(0, headLength)
  for (const name of changes.keys()) if (head.startsWith(`${name}: `) || head.includes(`\r\n${name}: `)) return true
  return false
}

/** Fields about the content that the page takes the place of. */
const ofContent: ReadonlySet<string> = new Set([
  'accept-ranges', 'content-digest', 'content-disposition', 'content-encoding', 'content-language', 'content-length', 'content-location', 'content-md5', 'content-range', 'content-type',
  'digest', 'etag', 'last-modified', 'repr-digest'
])

function withPage (request: FastifyRequest, { route }: Forwarding, response: OutgoingResponse): OutgoingResponse {
  const { statusCode } = response
  if (statusCode < 400 || route.errorPages?.replaceOthers !== true) return response
  const page = route.errorPages.find(statusCode, false, request.headers.accept)
  if (page === null) return response
  const { body } = response
  if (body instanceof Body) discard(body)
  const code = `status_${statusCode}`
  const content = page.render({ status: statusCode, code, message: messageOf({ statusCode, code }), requestId: request.id })
  return {
    statusCode,
    lines: [...linesWithout(response.lines, ofContent), 'content-type', page.contentType, 'content-length', String(content.length)],
    ownLines: response.ownLines,
    body: content
  }
}
