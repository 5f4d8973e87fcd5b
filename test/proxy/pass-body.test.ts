/** Content on its way to a client: whole, whoever is slow, and freed when it has left. */
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { createServer, IncomingMessage, request, ServerResponse } from 'node:http'
import { Socket, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { endWith, mayGather, writePieces, writesPlainly } from '../../plugins/wire.ts'
import { BodyRecorder } from '../../src/cache/body-recorder.ts'
import { shareBody } from '../../src/cache/shared-body.ts'
import { Body } from '../../src/http/body.ts'
import { passBody } from '../../src/proxy/pass-body.ts'
import { get, openSocket, startProxy, until } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'

const wire = { endWith, mayGather, writePieces, writesPlainly }

const pieceBytes = 64 * 1024
const pieceCount = 40

/** Sends pieces through `passBody`, one in each turn of the event loop, and returns them once the client has had all. */
async function passPieces (t: Test, piecesAreOwn: boolean, prepare: (raw: ServerResponse) => void = () => {}): Promise<{ pieces: Buffer[], received: number }> {
  const pieces = Array.from({ length: pieceCount }, (_, i) => Buffer.from(new ArrayBuffer(pieceBytes)).fill(i))
  const server = createServer((_request, raw) => {
    let next = 0
    let wanted = true
    const body = new Body({ resume () { wanted = true; push() }, cancel () {} }, piecesAreOwn)
    const push = (): void => {
      if (!wanted) return
      const piece = pieces[next++]
      if (piece === undefined) return body.finish()
      wanted = body.push(piece)
      setImmediate(push)
    }
    raw.writeHead(200, { 'content-length': pieceBytes * pieceCount })
    prepare(raw)
    passBody(body, raw, wire)
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  let received = 0
  await new Promise<void>((resolve, reject) => {
    request({ port: (server.address() as AddressInfo).port, agent: false }, response => {
      response.on('data', (chunk: Buffer) => {
        for (const octet of chunk) if (octet !== Math.floor(received++ / pieceBytes)) throw new Error(`another octet at ${received}`)
      })
      response.on('end', resolve).on('error', reject)
    }).on('error', reject).end()
  })
  // The server hears of the end of its response after the client.
  await new Promise(resolve => { setImmediate(resolve) })
  return { pieces, received }
}

t.test('pieces that nobody else has are freed once the system has taken them, and the client gets them whole', async t => {
  const { pieces, received } = await passPieces(t, true)
  t.equal(received, pieceBytes * pieceCount)
  t.ok(pieces.filter(({ buffer }) => (buffer as ArrayBuffer).detached).length > pieceCount / 4, 'many are freed')
})

t.test('pieces that others may have are left alone', async t => {
  const { pieces, received } = await passPieces(t, false)
  t.equal(received, pieceBytes * pieceCount)
  t.ok(pieces.every(({ length }) => length === pieceBytes))
})

t.test('so are those that somebody else is given as they are written', async t => {
  const kept: Buffer[] = []
  const { pieces, received } = await passPieces(t, true, raw => {
    const { write } = raw
    raw.write = function (this: ServerResponse, chunk: Buffer) {
      kept.push(chunk)
      return (write as (chunk: Buffer) => boolean).call(this, chunk)
    } as typeof raw.write
  })
  t.equal(received, pieceBytes * pieceCount)
  t.ok(kept.length > pieceCount / 2)
  t.ok(pieces.every(({ length }) => length === pieceBytes))
})

t.test('of what is being recorded no more than half a megabyte is held for who reads it late and slowly', async t => {
  const recorder = new BodyRecorder(1e9, { maxBytes: 1e9, usedBytes: 0, promisedBytes: 0, running: 0, waitingBytes: 0 }, pieceBytes * pieceCount)
  const source = new Body({ resume () {}, cancel () {} }, true)
  const shared = shareBody({
    source,
    recording: {
      head: null,
      expectedBytes: pieceBytes * pieceCount,
      write: chunk => recorder.write(chunk),
      isRunning: () => recorder.isRunning(),
      isCurrent: () => true,
      stored: () => null,
      complete: () => null,
      abandon: () => { recorder.abandon() }
    },
    onEnd () {},
    onCutShort () {},
    onUnreadable () {},
    finishAlone: true
  })
  shared.start()
  for (let i = 0; i < pieceCount; i++) source.push(Buffer.from(new ArrayBuffer(pieceBytes)).fill(i))

  const written: Buffer[] = []
  let mostHeld = 0
  const server = createServer((_request, raw) => {
    raw.writeHead(200, { 'content-length': pieceBytes * pieceCount })
    passBody(shared.reader() as Body, raw, {
      ...wire,
      writePieces (response, pieces) {
        written.push(...pieces)
        mostHeld = Math.max(mostHeld, written.filter(({ buffer }) => !(buffer as ArrayBuffer).detached).length)
        return writePieces(response, pieces)
      }
    })
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  const client = openSocket((server.address() as AddressInfo).port)
  let received = 0
  client.on('data', chunk => {
    received += chunk.length
    client.pause()
    setImmediate(() => { client.resume() })
  })
  client.write(get('/', ['Connection: close']))
  await until(() => received > pieceBytes * pieceCount)
  client.destroy()
  t.equal(written.length, pieceCount)
  t.ok(mostHeld <= 8, `${mostHeld} pieces were held at once`)
})

t.test('large content comes whole to fast and slow readers at once, in any framing, stored or not', async t => {
  const bytes = 6_000_000
  const content = Buffer.alloc(bytes)
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at)
  const expected = createHash('sha256').update(content).digest('hex')
  const origin = await startRawOrigin(t, ({ socket, text }) => {
    const isChunked = text.includes('/chunked')
    socket.write(`HTTP/1.1 200 OK\r\nCache-Control: ${text.includes('/stored') ? 'max-age=60' : 'no-store'}\r\n${isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${bytes}`}\r\n\r\n`)
    if (!isChunked) return content
    for (let at = 0; at < bytes; at += 100_000) {
      socket.write('186a0\r\n')
      socket.write(content.subarray(at, at + 100_000))
      socket.write('\r\n')
    }
    return '0\r\n\r\n'
  })
  const proxy = await startProxy(t, origin.url)

  async function read (path: string, isSlow: boolean): Promise<string> {
    const hash = createHash('sha256')
    let whole = Buffer.alloc(0)
    const chunks: Buffer[] = []
    const client = openSocket(proxy.port)
    client.on('data', chunk => {
      chunks.push(chunk)
      if (!isSlow) return
      client.pause()
      setImmediate(() => { client.resume() })
    })
    client.write(get(path, ['Connection: close']))
    await until(() => client.readableEnded || client.destroyed)
    whole = Buffer.concat(chunks)
    const head = whole.indexOf('\r\n\r\n') + 4
    if (!whole.subarray(0, head).includes('chunked')) return hash.update(whole.subarray(head)).digest('hex')
    for (let at = head; ;) {
      const end = whole.indexOf('\r\n', at)
      const length = Number.parseInt(whole.subarray(at, end).toString('latin1'), 16)
      if (length === 0) return hash.digest('hex')
      hash.update(whole.subarray(end + 2, end + 2 + length))
      at = end + 2 + length + 2
    }
  }

  const paths = ['/passing', '/chunked-passing', '/stored', '/chunked/stored']
  const digests = await Promise.all(paths.flatMap(path => [read(path, false), read(path, true), read(path, false)]))
  t.same(new Set(digests), new Set([expected]))
})

/** A body, on its way to a response of which `wire` tells. */
function passing (raw: ServerResponse, wire: Parameters<typeof passBody>[2]): Body {
  const body = new Body({ resume () {}, cancel () {} }, true)
  passBody(body, raw, wire)
  return body
}

const turnEnds = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

t.test('responses that have come whole leave together when the turn of the event loop ends, others as they come', async t => {
  const written: string[] = []
  const telling = {
    ...wire,
    endWith (raw: ServerResponse, content: string | Buffer | null) { written.push(`${raw.statusMessage} ends with ${String(content)}`) },
    writePieces (raw: ServerResponse, pieces: readonly Buffer[]) { written.push(`${raw.statusMessage} goes on with ${pieces.join()}`); return null }
  }
  const begin = (name: string): Body => {
    const raw = new ServerResponse(new IncomingMessage(new Socket()))
    raw.statusMessage = name
    return passing(raw, telling)
  }
  const [one, two, three] = [begin('one'), begin('two'), begin('three')]
  one.push(Buffer.from('a'))
  one.finish()
  two.finish()
  three.push(Buffer.from('b'))
  t.same(written, [])
  three.push(Buffer.from('c'))
  three.finish()
  t.same(written, ['three goes on with b', 'three goes on with c', 'three ends with null'], 'what comes in pieces does not wait')
  await turnEnds()
  t.same(written.slice(3), ['one ends with a', 'two ends with null'])
})

t.test('pieces that come in one turn are written together, as long as clients take what they are given', async t => {
  const piece = Buffer.alloc(pieceBytes)
  const begin = (full: EventEmitter | null): { raw: ServerResponse, body: Body, writes: number[] } => {
    const raw = new ServerResponse(new IncomingMessage(new Socket()))
    const writes: number[] = []
    const body = passing(raw, { ...wire, writesPlainly: () => false, mayGather: () => true, writePieces: (_raw, pieces) => { writes.push(pieces.length); return full } })
    return { raw, body, writes }
  }
  const push = ({ body }: { body: Body }, count: number): void => { for (let i = 0; i < count; i++) body.push(piece) }

  const quick = begin(null)
  push(quick, 6)
  t.same(quick.writes, [4], '256 KiB at once')
  await turnEnds()
  t.same(quick.writes, [4, 2], 'the rest as the turn ends')
  push(quick, 1)
  quick.body.fail(new Error('cut short'))
  t.same(quick.writes, [4, 2, 1], 'what has come of what is cut short is written')

  const full = new EventEmitter().setMaxListeners(0)
  const slow = Array.from({ length: 4 }, () => begin(full))
  for (const one of slow) push(one, 4)
  t.ok(slow.every(({ writes }) => writes.join() === '4'))
  const another = begin(full)
  push(another, 4)
  t.same(another.writes, [1, 1], 'with 1 MiB that nobody takes each piece is written by itself, and others wait until it has left')
  slow[0]?.raw.emit('close')
  const later = begin(full)
  push(later, 4)
  t.same(later.writes, [4], 'what a client leaves behind that has gone makes room')
  full.emit('drain')
  push(later, 2)
  t.same(later.writes, [4, 1], 'who had to be waited for gets piece by piece')
  full.emit('drain')
  const last = Array.from({ length: 4 }, () => begin(full))
  for (const one of last) push(one, 4)
  t.ok(last.every(({ writes }) => writes.join() === '4'), 'so does what is taken')
  full.emit('drain')
})

t.test('a first piece as large as a read, which leaves with the head, is none that the client did not take', async t => {
  const writes: number[] = []
  const server = createServer((_request, raw) => {
    raw.writeHead(200, { 'content-length': 4 * pieceBytes })
    const body = passing(raw, { ...wire, writePieces: (response, pieces) => { writes.push(pieces.length); return writePieces(response, pieces) } })
    for (let i = 0; i < 4; i++) body.push(Buffer.alloc(pieceBytes, i))
    body.finish()
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  const content = Buffer.from(await (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { headers: { connection: 'close' } })).arrayBuffer())
  t.ok(content.equals(Buffer.concat([0, 1, 2, 3].map(i => Buffer.alloc(pieceBytes, i)))))
  t.same(writes, [1, 3])
})

t.test('who writes several pieces is told to wait only where it will be told to go on', async t => {
  const ended = new Promise<void>((resolve, reject) => {
    const server = createServer((_request, raw) => {
      const check = async (): Promise<void> => {
        raw.writeHead(200, { 'content-length': 200_002 })
        raw.write('begun')
        await turnEnds()
        await turnEnds()
        // The system takes nothing for now.
        const socket = raw.socket as Socket
        let take = (): void => {}
        socket._writev = (_chunks, done) => { take = done }
        t.ok(mayGather(raw))
        t.equal(writePieces(raw, [Buffer.alloc(1), Buffer.alloc(1)]), null, 'little waits in the connection, which says nothing when it has left')
        take()
        await turnEnds()
        const drained = new Promise(resolve => { socket.once('drain', resolve) })
        t.equal(writePieces(raw, [Buffer.alloc(100_000), Buffer.alloc(100_000)]), socket)
        take()
        await drained
        raw.destroy()
      }
      check().then(resolve, reject)
    })
    t.teardown(() => { server.close() })
    server.listen(0, '127.0.0.1', () => { request({ port: (server.address() as AddressInfo).port, agent: false }).on('response', response => { response.on('error', () => {}).resume() }).on('error', () => {}).end() })
  })
  await ended
})

t.test('a client that leaves before the turn ends takes nothing from others', async t => {
  const server = createServer((request, raw) => {
    raw.writeHead(200, { 'content-length': 4 })
    const body = passing(raw, wire)
    body.push(Buffer.from('here'))
    body.finish()
    if (request.url === '/leaves') raw.destroy()
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => { server.close() })
  const { port } = server.address() as AddressInfo
  const [gone, stays] = await Promise.allSettled(['leaves', 'stays'].map(path => fetch(`http://127.0.0.1:${port}/${path}`).then(response => response.text())))
  t.equal(gone?.status, 'rejected')
  t.match(stays, { status: 'fulfilled', value: 'here' })
})
