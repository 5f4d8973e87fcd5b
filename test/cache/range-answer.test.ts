/** Ranges of stored content, answered or planned to be completed (RFC 9110 14, RFC 9111 3.3). */
import fc from 'fast-check'
import t from 'tap'
import { answerRange, planCompletion, type RangeAnswer } from '../../src/cache/range-answer.ts'
import { composeCompletion } from '../../src/cache/completion.ts'
import type { CacheRequest } from '../../src/cache/lookup.ts'
import { addSegment } from '../../src/cache/parts.ts'
import type { StoredParts } from '../../src/cache/store.ts'
import { parseContentRange } from '../../src/http/range.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { entryOf, receivedAt } from '../fixtures/entries.ts'

const get = (range: string | undefined, more: FieldMap = {}) => ({ method: 'GET', fields: { ...(range === undefined ? {} : { range }), ...more } }) as unknown as CacheRequest
const octetsOf = (body: Buffer | string): Buffer => typeof body === 'string' ? Buffer.from(body, 'latin1') : body
const line = ({ lines }: RangeAnswer, name: string): string | undefined => lines[lines.indexOf(name) + 1]

/** The parts of a multipart message by their Content-Range. */
function partsOf (answer: RangeAnswer): Array<{ start: number, end: number, bytes: Buffer }> {
  const boundary = /boundary=(.+)$/.exec(line(answer, 'content-type') ?? '')?.[1] ?? ''
  const text = octetsOf(answer.body).toString('latin1')
  const pieces = `\r\n${text}`.split(`\r\n--${boundary}`)
  if (pieces.at(-1) !== '--\r\n' || pieces[0] !== '') throw new Error('not a multipart message')
  return pieces.slice(1, -1).map(piece => {
    const end = piece.indexOf('\r\n\r\n')
    const range = parseContentRange(/content-range: ([^\r]*)/i.exec(piece.slice(0, end))?.[1])
    if (range === null) throw new Error('without Content-Range')
    return { start: range.start, end: range.end, bytes: Buffer.from(piece.slice(end + 4), 'latin1') }
  })
}

t.test('any range of any stored content equals the slice', t => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(320), fc.option(fc.nat(320)), (octets, first, more) => {
    const content = Buffer.from(octets)
    const answer = answerRange(get(`bytes=${first}-${more === null ? '' : first + more}`), entryOf({}, content), receivedAt) as RangeAnswer
    if (first >= content.length) return answer.statusCode === 416 && line(answer, 'content-range') === `bytes */${content.length}` && answer.body.length === 0
    const expected = content.subarray(first, more === null ? undefined : first + more + 1)
    return answer.statusCode === 206 && octetsOf(answer.body).equals(expected) && line(answer, 'content-length') === String(expected.length) &&
      line(answer, 'content-range') === `bytes ${first}-${first + expected.length - 1}/${content.length}`
  }), { numRuns: 1000 })
  t.end()
})

t.test('any suffix of any stored content equals its end, large ones too', t => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 40_000 }), fc.integer({ min: 1, max: 50_000 }), (length, suffix) => {
    const content = Buffer.from(Array.from({ length }, (_, i) => i % 251))
    const answer = answerRange(get(`bytes=-${suffix}`), entryOf({}, content), receivedAt) as RangeAnswer
    return answer.statusCode === 206 && octetsOf(answer.body).equals(content.subarray(Math.max(0, length - suffix)))
  }), { numRuns: 60 })
  t.end()
})

t.test('the parts of a multipart message are the slices their Content-Range says, whatever the content', t => {
  // Content that looks like the message itself.
  const content = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 200 }).map(octets => Buffer.from(octets)), fc.array(fc.constantFrom('\r\n', '--', 'holdfast-part-0', '--holdfast-part-1--', ':', 'a'), { minLength: 1, maxLength: 30 }).map(texts => Buffer.from(texts.join(''))))
  fc.assert(fc.property(content, fc.array(fc.tuple(fc.nat(220), fc.nat(30)), { minLength: 2, maxLength: 16 }), (content, ranges) => {
    const answer = answerRange(get(`bytes=${ranges.map(([start, more]) => `${start}-${start + more}`).join()}`), entryOf({ 'content-type': 'a/b' }, content), receivedAt) as RangeAnswer
    if (answer.statusCode === 416) return ranges.every(([start]) => start >= content.length)
    if (answer.lines.includes('content-range')) return true
    return line(answer, 'content-length') === String(answer.body.length) && partsOf(answer).every(({ start, end, bytes }) => bytes.equals(content.subarray(start, end + 1)))
  }), { numRuns: 1000 })
  t.end()
})

t.test('nobody who makes content can foresee the boundary, and so make it be looked for again and again (RFC 2046 5.1.1)', t => {
  const entry = entryOf({}, Buffer.from('0123456789'))
  const boundaryOf = (): string => /boundary=([^;]+)/.exec(line(answerRange(get('bytes=0-1,4-5'), entry, receivedAt) as RangeAnswer, 'content-type') ?? '')?.[1] ?? ''
  t.match(boundaryOf(), /^[a-z0-9-]{20,70}$/)
  t.not(boundaryOf(), boundaryOf())
  t.end()
})

t.test('of a partial content only what is here is answered (RFC 9111 3.3)', t => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 2, maxLength: 80 }), fc.nat(79), fc.nat(79), fc.nat(79), fc.nat(79), (octets, a, b, c, d) => {
    const content = Buffer.from(octets)
    const last = content.length - 1
    const [from, to, start, end] = [Math.min(a, b, last), Math.min(Math.max(a, b), last), Math.min(c, d, last), Math.min(Math.max(c, d), last)]
    if (from === 0 && to === last) return true
    const entry = entryOf({}, { totalBytes: content.length, segments: [{ start: from, bytes: content.subarray(from, to + 1) }] })
    const answer = answerRange(get(`bytes=${start}-${end}`), entry, receivedAt)
    if (answerRange(get(undefined), entry, receivedAt) !== 'missing') return false
    return from <= start && end <= to ? octetsOf((answer as RangeAnswer).body).equals(content.subarray(start, end + 1)) : answer === 'missing'
  }), { numRuns: 1000 })
  t.end()
})

t.test('a completion asks for what is missing alone, and the answer to it is the slice', t => {
  const fields = { etag: '"1"', 'x-old': '1' }
  fc.assert(fc.property(fc.uint8Array({ minLength: 2, maxLength: 80 }), fc.array(fc.tuple(fc.nat(79), fc.nat(20)), { minLength: 1, maxLength: 4 }), fc.option(fc.tuple(fc.nat(79), fc.nat(79))), (octets, held, wanted) => {
    const content = Buffer.from(octets)
    const parts = held.filter(([start]) => start < content.length).reduce<StoredParts>((parts, [start, more]) => addSegment(parts, { start, bytes: content.subarray(start, start + more + 1) }), { totalBytes: content.length, segments: [] })
    const entry = entryOf(fields, parts)
    if (entry.parts === null) return true
    const request = get(wanted === null ? undefined : `bytes=${Math.min(...wanted)}-${Math.max(...wanted)}`)
    const completion = planCompletion(request, entry, receivedAt)
    if (completion === null) return true
    const { gap } = completion
    if (completion.fields['range'] !== `bytes=${gap.start}-${gap.end}` || completion.fields['if-range'] !== '"1"') return false
    const composed = composeCompletion(completion, 206, { etag: '"1"', 'content-range': `bytes ${gap.start}-${gap.end}/${content.length}`, 'content-length': String(gap.end - gap.start + 1) })
    if (composed === null || composed.gapBytes !== gap.end - gap.start + 1) return false
    const whole = Buffer.concat([composed.before, content.subarray(gap.start, gap.end + 1), composed.after])
    const expected = wanted === null ? content : content.subarray(Math.min(...wanted), Math.max(...wanted) + 1)
    return whole.equals(expected) && composed.statusCode === (wanted === null ? 200 : 206)
  }), { numRuns: 2000 })
  t.end()
})

t.test('nothing is completed without a strong entity tag, nor several ranges (RFC 9111 3.4)', t => {
  const parts = { totalBytes: 10, segments: [{ start: 0, bytes: Buffer.from('01234') }] }
  for (const [title, fields, range, planned] of [
    ['strong', { etag: '"1"' }, undefined, true], ['weak', { etag: 'W/"1"' }, undefined, false], ['none', {}, undefined, false], ['a date', { 'last-modified': 'Mon, 05 Jan 2026 08:00:00 GMT' }, undefined, false],
    ['one range', { etag: '"1"' }, 'bytes=3-6', true], ['two ranges', { etag: '"1"' }, 'bytes=1-2,6-7', false], ['none of the content', { etag: '"1"' }, 'bytes=10-', false]
  ] as const) t.equal(planCompletion(get(range), entryOf(fields, parts), receivedAt) !== null, planned, title)
  t.equal(planCompletion(get(undefined), entryOf({ etag: '"1"' }, Buffer.from('whole')), receivedAt), null, 'there is nothing to complete')
  t.end()
})

t.test('what came is put together only if it is the gap, of the same representation and length (RFC 9110 14.4, 15.3.7.3)', t => {
  const completion = planCompletion(get(undefined), entryOf({ etag: '"1"' }, { totalBytes: 10, segments: [{ start: 0, bytes: Buffer.from('01234') }] }), receivedAt)
  if (completion === null) throw new Error('nothing planned')
  const right = { etag: '"1"', 'content-range': 'bytes 5-9/10' }
  for (const [title, status, fields, fits] of [
    ['right', 206, right, true], ['with its length', 206, { ...right, 'content-length': '5' }, true], ['200', 200, right, false], ['less', 206, { ...right, 'content-range': 'bytes 5-8/10' }, false], ['more', 206, { ...right, 'content-range': 'bytes 4-9/10' }, false],
    ['of another length', 206, { ...right, 'content-range': 'bytes 5-9/11' }, false], ['of an unknown length', 206, { ...right, 'content-range': 'bytes 5-9/*' }, false], ['with a wrong length', 206, { ...right, 'content-length': '4' }, false], ['with no number for a length', 206, { ...right, 'content-length': ['5', '5'] }, false],
    ['another tag', 206, { ...right, etag: '"2"' }, false], ['a weak tag', 206, { ...right, etag: 'W/"1"' }, false], ['no tag', 206, { 'content-range': 'bytes 5-9/10' }, false]
  ] as const) t.equal(composeCompletion(completion, status, fields) !== null, fits, title)
  t.end()
})
