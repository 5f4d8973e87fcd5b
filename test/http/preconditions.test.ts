import t from 'tap'
import { formatHttpDate } from '../../src/http/date.ts'
import { parseEntityTag } from '../../src/http/entity-tag.ts'
import type { FieldMap } from '../../src/http/fields.ts'
import { isNotModified, mustReachOrigin, type Validators } from '../../src/http/preconditions.ts'

const now = Date.UTC(2026, 10, 23)
const changedAt = now - 3_600_000
const stored = (etag: string | undefined, lastModifiedAt: number | null = null): Validators => ({ etag: parseEntityTag(etag), lastModifiedAt, dateAt: now - 60_000 })
const date = (at: number): string => formatHttpDate(at)

const rows: ReadonlyArray<readonly [string, FieldMap, Validators, boolean]> = [
  ['no precondition', {}, stored('"a"', changedAt), false],
  ['If-None-Match with the stored tag', { 'if-none-match': '"a"' }, stored('"a"'), true],
  ['If-None-Match in a list', { 'if-none-match': '"x", "a"' }, stored('"a"'), true],
  ['If-None-Match on several lines', { 'if-none-match': ['"x"', '"a"'] }, stored('"a"'), true],
  ['If-None-Match compares weakly: weak and strong', { 'if-none-match': 'W/"a"' }, stored('"a"'), true],
  ['If-None-Match compares weakly: strong and weak', { 'if-none-match': '"a"' }, stored('W/"a"'), true],
  ['If-None-Match with *', { 'if-none-match': '*' }, stored(undefined), true],
  ['If-None-Match with another tag', { 'if-none-match': '"b"' }, stored('"a"'), false],
  ['If-None-Match when no tag is stored', { 'if-none-match': '"a"' }, stored(undefined), false],
  ['If-None-Match that is no tag', { 'if-none-match': 'a' }, stored('"a"'), false],
  ['If-None-Match counts before If-Modified-Since', { 'if-none-match': '"b"', 'if-modified-since': date(now) }, stored('"a"', changedAt), false],
  ['If-Modified-Since at the date of the last change', { 'if-modified-since': date(changedAt) }, stored(undefined, changedAt), true],
  ['If-Modified-Since later', { 'if-modified-since': date(changedAt + 1000) }, stored(undefined, changedAt), true],
  ['If-Modified-Since earlier', { 'if-modified-since': date(changedAt - 1000) }, stored(undefined, changedAt), false],
  ['If-Modified-Since that is no date', { 'if-modified-since': 'yesterday' }, stored(undefined, changedAt), false],
  ['If-Modified-Since twice', { 'if-modified-since': [date(now), date(now)] }, stored(undefined, changedAt), false],
  ['without Last-Modified the Date counts: later', { 'if-modified-since': date(now) }, stored(undefined), true],
  ['without Last-Modified the Date counts: earlier', { 'if-modified-since': date(now - 61_000) }, stored(undefined), false]
]

for (const [title, request, validators, expected] of rows) {
  t.test(`${title} (RFC 9110 13.2.2, RFC 9111 4.3.2)`, async t => { t.equal(isNotModified(request, validators, now), expected) })
}

t.test('only the origin server can answer If-Match and If-Unmodified-Since (RFC 9111 4.3.2)', async t => {
  t.ok(mustReachOrigin({ 'if-match': '"a"' }))
  t.ok(mustReachOrigin({ 'if-unmodified-since': date(now) }))
  t.notOk(mustReachOrigin({ 'if-none-match': '"a"', 'if-modified-since': date(now) }))
})
