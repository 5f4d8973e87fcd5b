/** One body, many readers: each at its own pace, none holding up another, memory bounded. */
import { Readable } from 'node:stream'
import fc from 'fast-check'
import t from 'tap'
import { BodyRecorder, type RecordingBudget } from '../../src/cache/body-recorder.ts'
import type { Recording, RecordingFailure } from '../../src/cache/recording.ts'
import { shareBody } from '../../src/cache/shared-body.ts'
import { Body, bodyOf } from '../../src/http/body.ts'

interface Sharing {
  readonly source: Readable
  /** Read as streams, which is how it goes to HTTP/2 clients and transformations. */
  readonly body: { reader (): Readable | null, start (): void }
  readonly budget: RecordingBudget
  /** What was said of its end: `stored`, a reason, or `cut`. */
  readonly ends: string[]
  readonly stored: { content: Buffer | null }
  readonly unreadable: { times: number }
}

function share ({ limit = 1e6, expected, finishAlone = false, source = new Readable({ read () {} }) }: { limit?: number, expected?: number, finishAlone?: boolean, source?: Readable } = {}): Sharing {
  const budget = { maxBytes: 1e9, usedBytes: 0, promisedBytes: 0, running: 0, waitingBytes: 0 }
  const recorder = new BodyRecorder(limit, budget, expected)
  const ends: string[] = []
  const stored: Sharing['stored'] = { content: null }
  const unreadable = { times: 0 }
  const recording: Recording = {
    head: null,
    expectedBytes: expected,
    write: chunk => recorder.write(chunk),
    isRunning: () => recorder.isRunning(),
    isCurrent: () => true,
    abandon: () => { recorder.abandon() },
    stored: () => stored.content,
    complete () {
      const whole = recorder.finish()
      if (typeof whole === 'string') return whole
      stored.content = whole
      return null
    }
  }
  const shared = shareBody({
    source: bodyOf(source),
    recording,
    finishAlone,
    onEnd: (failure: RecordingFailure | null) => { ends.push(failure ?? 'stored') },
    onCutShort: () => { ends.push('cut') },
    onUnreadable: () => { unreadable.times++ }
  })
  source.on('error', () => {})
  const body = { reader: () => shared.reader()?.stream() ?? null, start: () => { shared.start() } }
  return { source, body, budget, ends, stored, unreadable }
}

const turn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

async function turns (count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await turn()
}

async function read (reader: Readable | null): Promise<string> {
  let text = ''
  for await (const chunk of reader as Readable) text += (chunk as Buffer).toString('latin1')
  return text
}

t.test('readers that come early and late have every byte, and so has the store', async t => {
  const { source, body, ends, stored, budget } = share()
  const early = read(body.reader())
  body.start()
  source.push('one ')
  await turns()
  const late = read(body.reader())
  source.push('two')
  source.push(null)

  t.equal(await early, 'one two')
  t.equal(await late, 'one two')
  t.same(ends, ['stored'])
  t.equal(stored.content?.toString(), 'one two')
  t.equal(budget.usedBytes, 0)
})

t.test('it is stored before a reader sees its end: who asks again then, finds it', async t => {
  const { source, body, stored } = share()
  const reader = body.reader() as Readable
  let storedThen = false
  reader.once('end', () => { storedThen = stored.content !== null })
  reader.resume()
  body.start()
  source.push('x')
  source.push(null)
  await turns()
  t.equal(storedThen, true)
})

t.test('a slow reader holds up nobody, and has its bytes when it comes to them', async t => {
  const { source, body } = share()
  const slow = body.reader() as Readable
  const quick = read(body.reader())
  body.start()
  for (let i = 0; i < 20; i++) {
    source.push(Buffer.alloc(10_000, 65 + i))
    await turn()
  }
  source.push(null)
  t.equal((await quick).length, 200_000)
  t.equal((await read(slow)).length, 200_000)
})

t.test('who is slow still has all of it after the others have left, out of what the store holds', async t => {
  const { source, body, stored } = share({ limit: 1e7 })
  const slow = body.reader() as Readable
  const quick = read(body.reader())
  body.start()
  for (let i = 0; i < 30; i++) {
    source.push(Buffer.alloc(100_000, 65 + i))
    await turn()
  }
  source.push(null)
  t.equal((await quick).length, 3_000_000)
  await turns()
  const whole = stored.content?.buffer
  let shared = 0
  let bytes = 0
  for await (const chunk of slow) {
    bytes += (chunk as Buffer).length
    if ((chunk as Buffer).buffer === whole) shared += (chunk as Buffer).length
  }
  t.equal(bytes, 3_000_000)
  t.ok(shared > 2_500_000, `${shared} bytes are the store's own`)
})

t.test('what several read at once is what is recorded, which stays; who reads alone has what came, or copies, to himself', t => {
  const large = 20_000
  const recorder = new BodyRecorder(1e9, { maxBytes: 1e9, usedBytes: 0, promisedBytes: 0, running: 0, waitingBytes: 0 }, 5 * large)
  const source = new Body({ resume () {}, cancel () {} }, true)
  const ends: boolean[] = []
  const shared = shareBody({
    source,
    recording: {
      head: null,
      expectedBytes: 5 * large,
      write: chunk => recorder.write(chunk),
      isRunning: () => recorder.isRunning(),
      isCurrent: () => true,
      stored: () => null,
      complete (isRead = false) {
        ends.push(isRead)
        recorder.abandon()
        return null
      },
      abandon: () => { recorder.abandon() }
    },
    onEnd () {},
    onCutShort () {},
    onUnreadable () {},
    finishAlone: false
  })
  const given: Array<[string, string, string]> = []
  const received: Buffer[] = Array.from({ length: 5 }, (_, i) => Buffer.from(new ArrayBuffer(large)).fill(String(i)))
  const read = (name: string, takes: boolean): Body => {
    const body = shared.reader() as Body
    body.read({
      data (chunk, isOwn) {
        const whose = received.includes(chunk) ? 'what came' : chunk.length === chunk.buffer.byteLength ? 'a copy' : 'what is recorded'
        given.push([name, String(chunk[0] as number - 48), isOwn ? `own: ${whose}` : whose])
        return takes
      },
      end () {},
      fail () {}
    })
    return body
  }
  const push = (i: number): void => { source.push(received[i] as Buffer) }

  const first = read('first', true)
  shared.start()
  push(0)
  const slow = read('slow', false)
  push(1)
  slow.resume()
  push(2)
  t.equal((received[1] as Buffer).length, 0, 'what nobody was given is freed when the next comes')
  first.destroy()
  slow.resume()
  slow.resume()
  push(3)
  push(4)
  t.ok([0, 3, 4].every(i => received[i]?.length === large), 'what somebody was given is his to free')
  source.finish()
  slow.resume()
  slow.resume()

  t.same(given, [
    ['first', '0', 'own: what came'],
    ['slow', '0', 'what is recorded'],
    ['first', '1', 'what is recorded'],
    ['slow', '1', 'what is recorded'],
    ['first', '2', 'what is recorded'],
    ['slow', '2', 'own: a copy'],
    ['slow', '3', 'own: what came'],
    ['slow', '4', 'own: what came']
  ])
  t.same(ends, [true], 'the store is told that it does not have it alone')
  t.end()
})

t.test('without a reader that wants more the origin server is not read', async t => {
  let made = 0
  const source = new Readable({ highWaterMark: 1, read () { setImmediate(() => { this.push(Buffer.alloc(16_384, ++made)) }) } })
  const { body } = share({ source, limit: 1e9 })
  const reader = body.reader() as Readable
  body.start()
  await turns(50)
  const before = made
  t.ok(before < 20, `${before} pieces`)
  await turns(50)
  t.equal(made, before)
  reader.on('data', () => {})
  await turns(50)
  t.ok(made > before + 5, 'it goes on when the reader does')
  reader.destroy()
  await turns()
  t.equal(source.destroyed, true)
})

t.test('when it becomes too large to be stored only a window is held, and who falls out of it is cut off visibly', async t => {
  const { source, body, ends, unreadable, budget } = share({ limit: 100_000 })
  const slow = body.reader() as Readable
  let slowError: Error | null = null
  slow.once('error', error => { slowError = error })
  let quick = 0
  const quickReader = body.reader() as Readable
  quickReader.on('data', (chunk: Buffer) => { quick += chunk.length })
  body.start()
  slow.read(0)
  for (let i = 0; i < 60; i++) {
    source.push(Buffer.alloc(50_000))
    await turn()
  }
  t.equal(quick, 3_000_000)
  t.equal(unreadable.times, 1)
  t.equal(body.reader(), null, 'the first bytes are gone')
  t.equal(budget.usedBytes, 0)
  t.equal(slowError, null, 'not before it asks for what is gone')
  slow.resume()
  await turns()
  t.match(slowError, /too slow/)
  source.push(null)
  await turns()
  t.same(ends, ['too-large'])
  t.equal(quickReader.readableEnded, true)
})

t.test('who is behind by no more than the window has every byte, also when the recording ends meanwhile', async t => {
  await fc.assert(fc.asyncProperty(fc.array(fc.integer({ min: 20_000, max: 60_000 }), { minLength: 60, maxLength: 100 }), fc.integer({ min: 0, max: 2_000_000 }), async (lengths, limit) => {
    const { source, body } = share({ limit })
    const slow = body.reader() as Readable
    const quick = read(body.reader())
    body.start()
    let ahead = 0
    let all = 0
    let got = 0
    const catchUp = async (): Promise<void> => {
      for (;;) {
        for (let chunk = slow.read() as Buffer | null; chunk !== null; chunk = slow.read() as Buffer | null) got += chunk.length
        if (got === all || slow.destroyed) return
        await turn()
      }
    }
    for (const length of lengths) {
      // As far behind as it may be, and further for no turn.
      if (ahead + length > 1024 * 1024) {
        await catchUp()
        ahead = 0
      }
      source.push(Buffer.alloc(length))
      ahead += length
      all += length
      await turn()
    }
    source.push(null)
    t.equal((await quick).length, all)
    await catchUp()
    if (got !== all) throw new Error(`${got} of ${all} bytes`)
  }), { numRuns: 20 })
})

t.test('a source that breaks off breaks all readers visibly, and nothing is stored', async t => {
  const { source, body, ends, stored, budget } = share()
  const errors: string[] = []
  for (const reader of [body.reader(), body.reader()]) reader?.on('error', error => { errors.push(error.message) }).resume()
  body.start()
  source.push('half')
  await turns()
  source.destroy(new Error('broken'))
  await turns()
  t.same(errors, ['broken', 'broken'])
  t.same(ends, ['cut'])
  t.equal(stored.content, null)
  t.equal(budget.usedBytes, 0)
  t.equal(body.reader(), null)
})

t.test('a source that closes without an end is cut short as well', async t => {
  const { source, body, ends } = share()
  let error: Error | null = null
  body.reader()?.on('error', cause => { error = cause }).resume()
  body.start()
  source.push('half')
  await turns()
  source.destroy()
  await turns()
  t.match(error, /cut short/)
  t.same(ends, ['cut'])
})

t.test('when every reader has left, a little rest is fetched for the store, much or unknown is not', async t => {
  for (const [title, expected, finishAlone, finished] of [['little', 10, false, true], ['much', 300_000, false, false], ['unknown', undefined, false, false], ['wanted by the store', undefined, true, true]] as const) {
    const { source, body, ends } = share({ ...(expected === undefined ? {} : { expected }), finishAlone })
    const reader = body.reader() as Readable
    body.start()
    source.push('01234')
    await turns()
    reader.destroy()
    await turns()
    t.equal(source.destroyed, !finished, title)
    if (finished) {
      source.push('56789')
      source.push(null)
      await turns()
    }
    t.same(ends, [finished ? 'stored' : 'cut'], title)
  }
})

t.test('nobody can begin to read what has been given up', async t => {
  const { source, body } = share({ expected: 300_000 })
  const reader = body.reader() as Readable
  body.start()
  source.push('01234')
  await turns()
  reader.destroy()
  t.equal(body.reader(), null, 'in the same turn')
})

t.test('one reader that leaves does not end it for another', async t => {
  const { source, body } = share()
  const leaves = body.reader() as Readable
  const stays = read(body.reader())
  body.start()
  source.push('a')
  await turns()
  leaves.destroy()
  source.push('b')
  source.push(null)
  t.equal(await stays, 'ab')
})

t.test('a thousand readers share what arrives', async t => {
  const { source, body } = share({ limit: 1e8 })
  const readers = Array.from({ length: 1000 }, () => read(body.reader()))
  body.start()
  const piece = 'x'.repeat(20_000)
  for (let i = 0; i < 20; i++) {
    source.push(piece)
    await turn()
  }
  source.push(null)
  const texts = await Promise.all(readers)
  t.ok(texts.every(text => text.length === 400_000))
  t.equal(source.listenerCount('data'), 1)
})

t.test('property: whoever comes when, and however the content is divided, gets all of it in order', async t => {
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 30 }), { maxLength: 12 }), fc.array(fc.nat(12), { minLength: 1, maxLength: 5 }), async (pieces, joins) => {
    const { source, body, stored } = share()
    const first = read(body.reader())
    const others: Array<Promise<string>> = []
    body.start()
    for (let i = 0; i <= pieces.length; i++) {
      for (const join of joins) if (join === i) others.push(read(body.reader()))
      if (i < pieces.length) source.push(Buffer.from(pieces[i] as Uint8Array))
      await turn()
    }
    source.push(null)
    const whole = Buffer.concat(pieces).toString('latin1')
    return await first === whole && (await Promise.all(others)).every(text => text === whole) && stored.content?.toString('latin1') === whole
  }), { numRuns: 60 })
  t.pass()
})
