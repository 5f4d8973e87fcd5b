/** Partial content: which bytes are here, what is missing, and putting pieces together (RFC 9111 3.3, 3.4; RFC 9110 15.3.7.3). */
import type { ByteRange } from '../http/range.ts'
import type { Segment, StoredParts } from './store.ts'

/** The bytes of a range, which may lie in one piece only; null when not all of them are here. */
export function sliceParts (parts: StoredParts, { start, end }: ByteRange): Buffer | null {
  for (const segment of parts.segments) {
    const last = segment.start + segment.bytes.length - 1
    if (segment.start <= start && end <= last) return segment.bytes.subarray(start - segment.start, end - segment.start + 1)
  }
  return null
}

/** The one stretch of a range that is missing; null when nothing is, or when there are several. */
export function missingRange (parts: StoredParts, { start, end }: ByteRange): ByteRange | null {
  let missing: ByteRange | null = null
  let at = start
  const note = (to: number): boolean => {
    if (to < at) return true
    if (missing !== null) return false
    missing = { start: at, end: to }
    return true
  }
  for (const segment of parts.segments) {
    const last = segment.start + segment.bytes.length - 1
    if (last < at) continue
    if (segment.start > end) break
    if (!note(segment.start - 1)) return null
    at = last + 1
  }
  return note(end) ? missing : null
}

/** Adds a piece, whose bytes replace those already here at the same place, which are the same by its validator. */
export function addSegment (parts: StoredParts, added: Segment): StoredParts {
  const addedEnd = added.start + added.bytes.length
  const before: Segment[] = []
  const after: Segment[] = []
  const joined: Buffer[] = [added.bytes]
  let start = added.start
  for (const segment of parts.segments) {
    const end = segment.start + segment.bytes.length
    if (end < added.start) {
      before.push(segment)
    } else if (segment.start > addedEnd) {
      after.push(segment)
    } else {
      if (segment.start < added.start) {
        joined.unshift(segment.bytes.subarray(0, added.start - segment.start))
        start = segment.start
      }
      if (end > addedEnd) joined.push(segment.bytes.subarray(addedEnd - segment.start))
    }
  }
  return { totalBytes: parts.totalBytes, segments: [...before, { start, bytes: joined.length === 1 ? added.bytes : concatExact(joined) }, ...after] }
}

/** The whole content, when no byte of it is missing. */
export function wholeContent ({ totalBytes, segments }: StoredParts): Buffer | null {
  const [only] = segments
  return segments.length === 1 && only?.start === 0 && only.bytes.length === totalBytes ? only.bytes : null
}

export function heldBytes (parts: StoredParts): number {
  return parts.segments.reduce((bytes, segment) => bytes + segment.bytes.length, 0)
}

/** `Buffer.concat` would take small results out of the shared pool and keep that alive. */
export function concatExact (pieces: readonly Buffer[]): Buffer {
  const whole = Buffer.allocUnsafeSlow(pieces.reduce((bytes, piece) => bytes + piece.length, 0))
  let offset = 0
  for (const piece of pieces) offset += piece.copy(whole, offset)
  return whole
}
