/** What a restart brings back, what it does not, and that nothing which is wrong with a file is more than logged. */
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { groupKey } from '../../src/cache/groups.ts'
import type { Selection } from '../../src/cache/selection.ts'
import type { PackedEntry } from '../../src/cache/packed-entry.ts'
import { createRemovalJournal } from '../../src/snapshot/journal.ts'
import { removeOtherSnapshots, removeSnapshot, snapshotOf } from '../../src/snapshot/files.ts'
import { readFrom, readSnapshot } from '../../src/snapshot/reader.ts'
import { partsOf, placeOf, receivedAt, scope } from '../fixtures/entries.ts'
import { described, entryAt, inOrder, loadEntries, pathsOf, snapshotCache, temporaryFolder, writeEntries } from '../fixtures/snapshots.ts'

const small = Buffer.from('small')
const fileIn = (t: Test): string => join(temporaryFolder(t), 'snapshot')

t.test('everything about an entry comes back: whole, large and partial contents, variants, hidden lines, tags, groups', async t => {
  const file = fileIn(t)
  const entries = [
    entryAt('/whole', small, { 'content-type': 'text/plain', etag: '"1"', 'last-modified': 'Mon, 01 Jun 2026 10:00:00 GMT', 'cache-control': 'max-age=60, stale-if-error=5, no-cache="x-a"' }),
    entryAt('/empty', Buffer.alloc(0), {}, { statusCode: 204 }),
    entryAt('/large', Buffer.alloc(70_000, 'large'), { etag: 'W/"2"' }),
    entryAt('/part', { totalBytes: 100, segments: [{ start: 0, bytes: Buffer.from('first') }, { start: 50, bytes: Buffer.from('later') }] }, { etag: '"3"' }),
    ...['de', 'en', undefined].map(language => entryAt('/vary', Buffer.from(String(language)), { vary: 'accept-language, x' }, { requestFields: language === undefined ? {} : { 'accept-language': language } })),
    entryAt('/hidden', small, { 'surrogate-key': 'a b', 'cdn-cache-control': 'max-age=1', 'x-latin': 'caf\xe9' }, { consumed: ['surrogate-key', 'cdn-cache-control'] }, { tags: ['a', 'b'] }),
    entryAt('/group', small, {}, { override: 'override-raised' }, { groups: [groupKey('http', 'a.test', 'g')] }),
    entryAt('/extra', small, {}, {}, { key: `${entryAt('/extra', small).key} ["gold"]` })
  ]
  await writeEntries(file, entries)

  const { store, entries: restored, codes } = await loadEntries(file)

  t.same(codes(), [])
  t.same(restored.map(described), inOrder(entries).map(described))
  t.equal(store.statistics().bytes, entries.reduce((bytes, { sizeBytes }) => bytes + sizeBytes, 0))
  t.equal([...store.tagged('a')].length, 1)
  t.equal([...store.ofUri(entryAt('/extra', small).uri)].length, 1)
  t.same(readdirSync(join(file, '..')), ['snapshot'], 'and nothing is left beside the file')
})

t.test('a response that came back answers equivalent queries again, where its route has it so (draft-ietf-httpbis-no-vary-search 6)', async t => {
  const file = fileIn(t)
  const keyed = { path: '/gold', query: '?a=1&utm=x', extra: '["gold"]' }
  const varying = { 'no-vary-search': 'params=("utm")' }
  await writeEntries(file, [entryAt('/p', small, varying, {}, placeOf({ path: '/p', query: '?a=1&utm=x' })), entryAt('/gold', small, varying, {}, placeOf(keyed)), entryAt('/text', Buffer.from('no-vary-search: params'))])
  const { cache, entries } = await loadEntries(file)
  t.equal(entries.length, 3)
  t.equal(cache.statistics().searchEntries, 2)

  const purged = async (parts: Parameters<typeof partsOf>[0]) => (await cache.purge({ kind: 'url', targets: [partsOf(parts)], tags: null, places: null }, { dryRun: true }, receivedAt)).responses
  t.equal(await purged({ path: '/p', query: '?utm=y&a=1' }), 1)
  t.equal(await purged({ path: '/p', query: '?a=2' }), 0)

  const off = snapshotCache(file, [], receivedAt, false)
  await off.snapshots.load()
  t.equal(off.cache.statistics().searchEntries, 0)
})

t.test('any entries come back bit for bit (property)', async t => {
  const file = fileIn(t)
  const value = fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).filter(code => code !== 0x7f).map(code => String.fromCharCode(code)) })
  const content = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(16_383, 16_384, 16_385, 40_000).map(length => new Uint8Array(length).fill(0xff))).map(bytes => Buffer.from(bytes))
  const entry = fc.record({
    path: fc.string({ unit: 'binary' }),
    content,
    fields: fc.dictionary(fc.stringMatching(/^x-[a-z0-9-]{1,9}$/), value, { maxKeys: 5 }),
    tags: fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }),
    lifetime: fc.double({ min: 0.001, max: 2 ** 31, noNaN: true }),
    statusCode: fc.integer({ min: 200, max: 599 })
  })
  await fc.assert(fc.asyncProperty(fc.uniqueArray(entry, { maxLength: 8, selector: ({ path }) => path }), async drawn => {
    rmSync(file, { force: true })
    const entries = drawn.map(({ path, content, fields, tags, lifetime, statusCode }) => entryAt(path, content, fields, { freshnessLifetime: lifetime, statusCode, consumed: ['x-a'] }, { tags }))
    await writeEntries(file, entries)
    const { entries: restored } = await loadEntries(file)
    return t.same(restored.map(described), inOrder(entries).map(described))
  }), { numRuns: 40 })
})

t.test('nothing is past its lifetime, of other rules, or from the future', async t => {
  const file = fileIn(t)
  const aged = entryAt('/aged', small, { age: '59' })
  await writeEntries(file, [entryAt('/short', small, {}, { freshnessLifetime: 10 }), aged, entryAt('/long', small), entryAt('/other', small, {}, {}, { scope: 'route.2' }), entryAt('/stale', small, {}, { freshnessLifetime: 0 })])

  t.same(pathsOf((await loadEntries(file, receivedAt)).entries), ['/aged', '/long', '/short'])
  t.same(pathsOf((await loadEntries(file, receivedAt + 10_000)).entries), ['/long'])
  t.same((await loadEntries(file, receivedAt + 60_000)).entries, [])
  t.same((await loadEntries(file, receivedAt - 1)).entries, [])
  t.equal((await readSnapshot(file, 0, () => {})).entries, 4, 'what is stale is not even written')
})

t.test('what is stored meanwhile stays, and what is removed while loading stays out', async t => {
  const file = fileIn(t)
  const group = groupKey('http', 'a.test', 'g')
  const variant = (language: string, more = {}) => entryAt('/vary', Buffer.from(language), { vary: 'accept-language' }, { requestFields: { 'accept-language': language }, ...more })
  await writeEntries(file, [entryAt('/same', small), variant('de'), variant('en'), entryAt('/plain', small), entryAt('/gone', small), entryAt('/tag', small, {}, {}, { tags: ['t'] }), entryAt('/group', small, {}, {}, { groups: [group] })])
  const later = { receivedAt: receivedAt + 1000 }
  const younger = [entryAt('/same', Buffer.from('new'), {}, later), variant('de', later), entryAt('/plain', small, { vary: 'cookie' }, later)]

  const { store, cache, snapshots } = snapshotCache(file, younger, receivedAt + 2000)
  const loading = snapshots.load()
  cache.invalidate([partsOf({ path: '/gone' })])
  cache.invalidateGroups([groupKey('http', 'a.test', 'g')])
  await cache.purge({ kind: 'tag', targets: null, tags: ['t'], places: null }, {}, receivedAt)
  await loading

  t.same([...store.entries()].map(({ key, body }) => `${key.slice(key.lastIndexOf('/'))} ${String(body)}`).sort(), ['/plain small', '/same new', '/vary de', '/vary en'])
  t.equal(snapshots.statistics().loaded, 1)
})

t.test('what was removed after the snapshot does not return, also when the process ended without another word', async t => {
  const group = groupKey('http', 'a.test', 'g')
  const gold = { key: `${entryAt('/p', small).key} ["gold"]` }
  const entries = [entryAt('/p', small), entryAt('/p', small, {}, {}, gold), entryAt('/t', small, {}, {}, { tags: ['t', 'u'] }), entryAt('/g', small, {}, {}, { groups: [group] }), entryAt('/rest', small)]
  const nothing: Selection = { kind: 'all', targets: null, tags: null, places: null }
  const url: Selection = { ...nothing, kind: 'url', targets: [partsOf({ path: '/p' })] }
  const tag: Selection = { ...nothing, kind: 'tag', tags: ['t'] }
  const rows: ReadonlyArray<[string, (running: ReturnType<typeof snapshotCache>) => unknown, string[], string[]?]> = [
    ['nothing removed', () => {}, ['/g', '/p', '/p', '/rest', '/t']],
    ['invalidated', ({ cache }) => cache.invalidate([partsOf({ path: '/p' })]), ['/g', '/rest', '/t']],
    ['group invalidated', ({ cache }) => { cache.invalidateGroups([groupKey('http', 'a.test', 'g')]) }, ['/p', '/p', '/rest', '/t']],
    ['invalidated with its group', ({ cache }) => cache.invalidate([partsOf({ path: '/g' })]), ['/p', '/p', '/rest', '/t']],
    ['purged by URL', ({ cache }) => cache.purge(url, {}, receivedAt), ['/g', '/rest', '/t']],
    ['purged softly', ({ cache }) => cache.purge(url, { mode: 'soft' }, receivedAt), ['/g', '/rest', '/t']],
    ['purged by tag', ({ cache }) => cache.purge(tag, {}, receivedAt), ['/g', '/p', '/p', '/rest']],
    ['a dry run', ({ cache }) => cache.purge(nothing, { dryRun: true }, receivedAt), ['/g', '/p', '/p', '/rest', '/t']],
    ['everything purged', ({ cache }) => cache.purge(nothing, {}, receivedAt), [], ['snapshot_void']],
    ['a place purged', ({ cache }) => cache.purge({ ...nothing, kind: 'host', places: new Map([[scope, { authority: 'a.test', prefixes: null }]]) }, {}, receivedAt), [], ['snapshot_void']]
  ]
  for (const [title, act, left, codes = []] of rows) {
    const file = fileIn(t)
    await writeEntries(file, entries)
    // It is not closed: it was killed.
    const running = await loadEntries(file)
    await act(running)

    for (let start = 1; start <= 2; start++) {
      const after = await loadEntries(file)
      t.same(pathsOf(after.entries), left, `${title}, start ${start}`)
      t.same(after.codes(), codes, title)
    }

    // And when it ends in good order: the next snapshot is without, and needs no journal.
    await running.snapshots.close()
    const later = await loadEntries(file)
    t.same(pathsOf(later.entries), left, `${title}, closed`)
    t.same(readdirSync(join(file, '..')), ['snapshot'])
  }
})

t.test('a removal while a snapshot is being written counts for it and for the one before', async t => {
  const file = fileIn(t)
  await writeEntries(file, [entryAt('/a', small), entryAt('/b', small)])
  const journal = createRemovalJournal(file, error => { throw error })
  journal.note(entryAt('/a', small).key)
  journal.begin()
  journal.note(entryAt('/b', small).key)

  t.same((await loadEntries(file)).entries, [], 'killed before it is in its place')
  journal.end(true)
  t.same(pathsOf((await loadEntries(file)).entries), ['/a'], 'as if it had been stored again before the snapshot')
  journal.close()
})

t.test('a removal that cannot be noted takes the snapshot with it', async t => {
  const file = fileIn(t)
  await writeEntries(file, [entryAt('/a', small)])
  mkdirSync(`${file}.removed`)
  const { cache, codes } = snapshotCache(file)
  for (const path of ['/a', '/b']) cache.invalidate([partsOf({ path })])

  t.same(codes(), ['snapshot_journal_failed'], 'said once')
  t.notOk(existsSync(file))
})

t.test('what is cut off, altered or not a snapshot is logged and ignored, at every octet', async t => {
  const file = fileIn(t)
  await writeEntries(file, [entryAt('/a', Buffer.from('content of a'), { etag: '"a"' }), entryAt('/b', Buffer.from('b'))])
  const whole = readFileSync(file)
  const original = new Map((await loadEntries(file)).entries.map(entry => [entry.key, JSON.stringify(described(entry))]))
  const attempt = async (bytes: Buffer, title: string): Promise<void> => {
    const entries: PackedEntry[] = []
    const read = async (buffer: Buffer, offset: number, length: number, position: number) => ({ bytesRead: bytes.copy(buffer, offset, position, position + length) })
    const { problem } = await readFrom({ stat: async () => ({ size: bytes.length }), read }, 0, entry => { entries.push(entry) })
    if (problem === null || !/^(foreign|version|truncated|corrupt)$/.test(problem)) t.fail(`${title}: ${problem}`)
    if (!entries.every(entry => original.get(entry.key) === JSON.stringify(described(entry)))) t.fail(`${title}: something else came back`)
  }

  for (let length = 0; length < whole.length; length++) await attempt(whole.subarray(0, length), `cut off at ${length}`)
  for (let place = 0; place < whole.length; place++) {
    const altered = Buffer.from(whole)
    altered[place] = (altered[place] as number) ^ (1 << place % 8)
    await attempt(altered, `a bit of octet ${place}`)
  }
  for (const [bytes, code] of [
    ['', 'snapshot_truncated'], ['holdfast snap', 'snapshot_truncated'], ['{"some":"file"}\n', 'snapshot_foreign'], [String(whole).replace('snapshot 1', 'snapshot 0'), 'snapshot_version'],
    [whole.subarray(0, -1), 'snapshot_truncated'], [Buffer.concat([whole.subarray(0, -12), Buffer.alloc(9, 0xff), whole.subarray(-12)]), 'snapshot_corrupt']
  ] as const) {
    writeFileSync(file, bytes)
    t.same((await loadEntries(file)).codes(), [code])
  }
})

t.test('files that cannot be read or written are logged, and the next snapshot takes the place of a bad one', async t => {
  const folder = temporaryFolder(t)
  const attempt = async (file: string): Promise<unknown[]> => {
    const { snapshots, codes, store } = await loadEntries(file)
    store.put(entryAt('/a', small), null)
    await snapshots.close()
    return codes()
  }
  mkdirSync(join(folder, 'directory'))
  writeFileSync(join(folder, 'bad'), 'holdfast snapshot 0\nbad')

  t.same(await attempt(join(folder, 'directory')), ['snapshot_unreadable', 'snapshot_not_written'])
  t.same(await attempt(join(folder, 'no-folder', 'file')), ['snapshot_not_written'])
  t.same(await attempt(join(folder, 'bad')), ['snapshot_version'])
  t.equal((await loadEntries(join(folder, 'bad'))).entries.length, 1)
  if (process.getuid?.() !== 0) {
    chmodSync(join(folder, 'bad'), 0)
    t.same(await attempt(join(folder, 'bad')), ['snapshot_unreadable', 'snapshot_not_written'])
  }
  t.same(readdirSync(folder).sort(), ['bad', 'directory'], 'nothing unfinished stays')
})

t.test('a file that is no snapshot is kept, whatever happens', async t => {
  const file = fileIn(t)
  writeFileSync(file, 'a letter')
  const { cache, snapshots, store, codes } = await loadEntries(file)
  store.put(entryAt('/a', small), null)
  mkdirSync(`${file}.removed`)
  cache.invalidate([partsOf({ path: '/b' })])
  await snapshots.close()
  removeSnapshot(file)
  removeOtherSnapshots(file, 2)

  t.same(codes(), ['snapshot_foreign', 'snapshot_journal_failed', 'snapshot_foreign'])
  t.equal(snapshots.statistics().failed, 1)
  t.equal(String(readFileSync(file)), 'a letter')
})

t.test('nobody else may read it; a process that loaded nothing writes nothing', async t => {
  const file = fileIn(t)
  await writeEntries(file, [entryAt('/a', small)])
  t.equal(statSync(file).mode & 0o777, 0o600)
  const { cache, snapshots } = await loadEntries(file)
  cache.invalidate([partsOf({ path: '/a' })])
  t.equal(statSync(`${file}.removed`).mode & 0o777, 0o600)
  const before = readFileSync(file)

  await snapshotCache(file).snapshots.close()

  t.same(readFileSync(file), before)
  await snapshots.close()
})

t.test('killed while it writes: the snapshot before is whole, and what is unfinished is cleaned up', async t => {
  const kill = async (): Promise<void> => {
    const file = fileIn(t)
    const child = spawn(process.execPath, [join(import.meta.dirname, '../fixtures/snapshot-writer.ts'), file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise(resolve => { child.once('close', resolve) })
    t.teardown(() => child.kill('SIGKILL'))
    // One is whole, and half of the next is written.
    await new Promise(resolve => { child.stdout.once('data', resolve) })
    child.kill('SIGKILL')
    await ended

    t.same(await readSnapshot(file, 0, () => {}), { entries: 500, problem: null })
    writeFileSync(`${file}.unfinished`, 'half')
    await loadEntries(file)
    t.same(readdirSync(join(file, '..')), ['snapshot'])
  }
  await Promise.all([kill(), kill()])
})

t.test('snapshots that no process keeps a journal for any more are removed', async t => {
  const folder = temporaryFolder(t)
  const file = join(folder, 'a.snapshot')
  const names = ['a.snapshot', 'a.snapshot.1', 'a.snapshot.2', 'a.snapshot.3', 'a.snapshot.3.removed', 'a.snapshot.12', 'a.snapshot.old', 'b.snapshot.3']
  const write = (): void => { for (const name of names) writeFileSync(join(folder, name), '') }

  write()
  removeOtherSnapshots(file, 2)
  t.same(readdirSync(folder).sort(), ['a.snapshot.1', 'a.snapshot.2', 'a.snapshot.old', 'b.snapshot.3'])
  write()
  removeOtherSnapshots(file, 0)
  t.same(readdirSync(folder).sort(), ['a.snapshot', 'a.snapshot.old', 'b.snapshot.3'])
  removeOtherSnapshots(join(folder, 'nowhere', 'x'), 0)
  t.equal(snapshotOf(file, 2), `${file}.2`)
})
