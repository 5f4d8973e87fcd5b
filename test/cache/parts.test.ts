/** Parts of a content: held, cut, put together; whatever the order in which they come (RFC 9111 3.3, 3.4). */
import fc from 'fast-check'
import t from 'tap'
import { addSegment, heldBytes, missingRange, sliceParts, wholeContent } from '../../src/cache/parts.ts'
import type { StoredParts } from '../../src/cache/store.ts'

const bytes = Buffer.from('0123456789abcdefghij')

/** What is here after these ranges, both positions inclusive, came one after the other. */
function after (content: Buffer, ranges: ReadonlyArray<readonly [number, number]>): StoredParts {
  return ranges.reduce<StoredParts>((parts, [start, end]) => addSegment(parts, { start, bytes: content.subarray(start, end + 1) }), { totalBytes: content.length, segments: [] })
}

const places = (parts: StoredParts): number[][] => parts.segments.map(({ start, bytes }) => [start, start + bytes.length - 1])

/** A content and ranges of it. */
const contentAndRanges = fc.uint8Array({ minLength: 1, maxLength: 60 }).chain(content => fc.tuple(
  fc.constant(Buffer.from(content)),
  fc.array(fc.tuple(fc.nat(content.length - 1), fc.nat(content.length - 1)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const), { minLength: 1, maxLength: 12 })
))

t.test('pieces that overlap or touch become one, others stay apart and in order', t => {
  for (const [ranges, expected] of [
    [[[0, 4]], [[0, 4]]], [[[0, 4], [5, 9]], [[0, 9]]], [[[5, 9], [0, 4]], [[0, 9]]], [[[0, 4], [6, 9]], [[0, 4], [6, 9]]], [[[6, 9], [0, 4]], [[0, 4], [6, 9]]],
    [[[0, 4], [6, 9], [5, 5]], [[0, 9]]], [[[2, 3], [0, 9]], [[0, 9]]], [[[0, 9], [2, 3]], [[0, 9]]], [[[0, 3], [6, 9], [12, 15], [2, 13]], [[0, 15]]], [[[0, 0], [19, 19], [10, 10]], [[0, 0], [10, 10], [19, 19]]]
  ] as const) t.strictSame(places(after(bytes, ranges)), expected, JSON.stringify(ranges))
  t.end()
})

t.test('the one stretch that is missing of a range', t => {
  for (const [has, wants, missing] of [
    [[], [2, 5], [2, 5]], [[[0, 4]], [2, 4], null], [[[0, 4]], [2, 9], [5, 9]], [[[5, 9]], [2, 7], [2, 4]], [[[0, 4], [8, 9]], [0, 9], [5, 7]], [[[4, 5]], [0, 9], null], [[[0, 4]], [6, 9], [6, 9]],
    [[[0, 1], [4, 5], [8, 9]], [0, 9], null], [[[0, 1], [4, 5], [8, 9]], [1, 5], [2, 3]], [[[10, 12]], [2, 5], [2, 5]]
  ] as const) {
    const [start, end] = wants
    t.strictSame(missingRange(after(bytes, has), { start, end }), missing === null ? null : { start: missing[0], end: missing[1] }, JSON.stringify([has, wants]))
  }
  t.end()
})

t.test('any pieces, in any order, hold exactly the bytes of the content that they cover', t => {
  fc.assert(fc.property(contentAndRanges, ([content, ranges]) => {
    const parts = after(content, ranges)
    const covered = new Set(ranges.flatMap(([start, end]) => Array.from({ length: end - start + 1 }, (_, i) => start + i)))
    let before = -2
    for (const { start, bytes } of parts.segments) {
      // In order, neither overlapping nor adjacent.
      if (start <= before + 1 || !bytes.equals(content.subarray(start, start + bytes.length))) return false
      before = start + bytes.length - 1
    }
    return heldBytes(parts) === covered.size && (wholeContent(parts) === null) === (covered.size < content.length)
  }), { numRuns: 1000 })
  t.end()
})

t.test('any split of a content into pieces combines to the same bytes', t => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 80 }), fc.array(fc.nat(79), { maxLength: 10 }), fc.infiniteStream(fc.nat(1000)), (octets, cuts, order) => {
    const content = Buffer.from(octets)
    const edges = [...new Set([0, ...cuts.filter(cut => cut < content.length), content.length])].sort((a, b) => a - b)
    const ranges = edges.slice(1).map((end, i) => [edges[i] as number, end - 1] as const)
    const shuffled = ranges.map(range => ({ range, at: order.next().value as number })).sort((a, b) => a.at - b.at).map(({ range }) => range)
    return wholeContent(after(content, shuffled))?.equals(content) === true
  }), { numRuns: 1000 })
  t.end()
})

t.test('a range is cut out if and only if all of it is here, and equals the slice', t => {
  fc.assert(fc.property(contentAndRanges, fc.nat(59), fc.nat(59), ([content, ranges], a, b) => {
    const [start, end] = [Math.min(a, b, content.length - 1), Math.min(Math.max(a, b), content.length - 1)]
    const slice = sliceParts(after(content, ranges), { start, end })
    const held = new Set(ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i)))
    const isHere = Array.from({ length: end - start + 1 }, (_, i) => start + i).every(place => held.has(place))
    return isHere ? slice?.equals(content.subarray(start, end + 1)) === true : slice === null
  }), { numRuns: 1000 })
  t.end()
})

t.test('what is missing, once added, leaves nothing missing', t => {
  fc.assert(fc.property(contentAndRanges, fc.nat(59), fc.nat(59), ([content, ranges], a, b) => {
    const range = { start: Math.min(a, b, content.length - 1), end: Math.min(Math.max(a, b), content.length - 1) }
    const parts = after(content, ranges)
    const gap = missingRange(parts, range)
    if (gap === null) return true
    if (gap.start < range.start || gap.end > range.end || sliceParts(parts, { start: gap.start, end: gap.start }) !== null || sliceParts(parts, { start: gap.end, end: gap.end }) !== null) return false
    return sliceParts(addSegment(parts, { start: gap.start, bytes: content.subarray(gap.start, gap.end + 1) }), range)?.equals(content.subarray(range.start, range.end + 1)) === true
  }), { numRuns: 1000 })
  t.end()
})
