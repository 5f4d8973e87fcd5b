/** Bodies stream: nobody waits for the whole, and no slow reader makes the proxy hold it. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { get, openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'

const MB = 1_000_000

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

t.test('the head and the first octet reach the client before the origin server has the second', async t => {
  for (const framing of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
    let finish = (): void => {}
    const piece = (octets: string): string => framing.startsWith('C') ? octets : `${octets.length}\r\n${octets}\r\n`
    const origin = await startRawOrigin(t, ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${framing}\r\n\r\n`)
      finish = () => {
        socket.write(piece('1'))
        finish = () => { socket.write(piece('2345') + (framing.startsWith('C') ? '' : '0\r\n\r\n')) }
      }
    })
    const proxy = await startProxy(t, origin.url)
    let seen = ''
    const client = openSocket(proxy.port)
    client.on('data', chunk => { seen += chunk.toString('latin1') })
    client.write(get('/'))

    await until(() => /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/.test(seen))
    finish()
    await until(() => /\r\n\r\n(?:1\r\n)?1(?:\r\n)?$/.test(seen))
    finish()
    await until(() => client.readableEnded || client.destroyed)
    t.match(seen, /2345(?:\r\n0\r\n\r\n)?$/)
  }
})

t.test('request content goes on as it comes', async t => {
  const origin = await startRawOrigin(t, ({ socket, text }) => { socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n${text.slice(-5)}`) })
  const proxy = await startProxy(t, origin.url)

  const client = openSocket(proxy.port)
  let seen = ''
  client.on('data', chunk => { seen += chunk.toString('latin1') })
  client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst')
  await until(() => seen.endsWith('first') || origin.requests.length === 1)

  t.equal(origin.requests.length, 1, 'the upstream is asked before the content is over')
  client.destroy()
})

/** An origin server that sends `bytes` octets to each who asks, from one buffer, and counts what was taken from it. */
async function startLargeOrigin (t: Test, bytes: number, framing: 'length' | 'chunked'): Promise<{ url: string, taken: () => number, open: () => number }> {
  const piece = Buffer.alloc(64 * 1024, 'x')
  const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
  const sockets = new Set<Socket>()
  let closedBytes = 0
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      sockets.delete(socket)
      closedBytes += socket.bytesWritten - socket.writableLength
    })
    socket.once('data', () => {
      let left = bytes
      socket.write(`HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n${framing === 'length' ? `Content-Length: ${bytes}` : 'Transfer-Encoding: chunked'}\r\n\r\n`)
      const more = (): void => {
        for (let room = true; room && left > 0; left -= piece.length) room = socket.write(framing === 'chunked' ? chunk : left < piece.length ? piece.subarray(0, left) : piece)
        if (left <= 0 && framing === 'chunked') socket.write('0\r\n\r\n')
        else if (left > 0) socket.once('drain', more)
      }
      more()
    })
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    // `bytesWritten` counts what waits in this process as well.
    taken: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten - socket.writableLength, closedBytes),
    open: () => sockets.size
  }
}

/** Until a number has not changed for many turns of the event loop. */
async function settled (number: () => number): Promise<void> {
  let last = -1
  let same = 0
  await until(() => {
    const now = number()
    same = now === last ? same + 1 : 0
    last = now
    return same > 60
  })
}

t.test('50 readers that stop reading 100 MB responses cost less than 2 MB each, all three sides together', async t => {
  for (const framing of ['length', 'chunked'] as const) {
    const origin = await startLargeOrigin(t, 100 * MB, framing)
    // Recording is part of it: every response may be stored as far as its size is concerned.
    const proxy = await startProxy(t, origin.url, { upstream: { connections: 64 }, cache: { maxBytes: 8 * MB, maxResponseBytes: 4 * MB } })
    const held = (): number => {
      collectGarbage()
      const { heapUsed, external } = process.memoryUsage()
      return heapUsed + external
    }
    const before = held()

    const readers = Array.from({ length: 50 }, (_, i) => {
      const socket = openSocket(proxy.port)
      let bytes = 0
      socket.on('error', () => {})
      // Enough to know that the response is under way, then nothing more is read.
      socket.on('data', chunk => {
        bytes += chunk.length
        if (bytes > 100_000) socket.pause()
      })
      socket.write(get(`/${i}`))
      return { socket, bytes: () => bytes }
    })
    await until(() => readers.every(reader => reader.bytes() > 100_000))
    await settled(origin.taken)

    const grown = held() - before
    t.ok(grown < 100 * MB, `${framing}: ${Math.round(grown / MB)} MB for 50 readers`)
    t.ok(origin.taken() < 50 * 100 * MB / 2, `${framing}: the origin server is held back: ${Math.round(origin.taken() / MB)} MB of 5000 taken, the rest of it by the kernel`)
    t.equal(proxy.control.stats().cache.recordingBytes, 0, 'no recording goes on')
    t.equal(origin.open(), 50)

    for (const { socket } of readers) socket.destroy()
    await until(() => origin.open() === 0)
    t.equal(proxy.control.stats().cache.entries, 0)
  }
})

t.test('recording ends at the limit and the response goes on to its last octet, with length and without', async t => {
  for (const framing of ['length', 'chunked'] as const) {
    const origin = await startLargeOrigin(t, 65_536 * 40, framing)
    const proxy = await startProxy(t, origin.url, { cache: { maxResponseBytes: 100_000 } })
    let most = 0

    const sample = (): boolean => {
      most = Math.max(most, proxy.control.stats().cache.recordingBytes)
      return false
    }
    const answer = await talk(proxy.port, get('/').replace('HTTP/1.1', 'HTTP/1.0'), { test: sample } as never)

    t.equal(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'x'.repeat(65_536 * 40))
    t.ok(most <= 100_000, `${framing}: ${most} bytes recorded at most`)
    t.equal(proxy.control.stats().cache.entries, 0)
    t.equal(proxy.control.stats().cache.recordingBytes, 0)
  }
})

t.test('a client that leaves in the middle ends the exchange, and what it got is not stored', async t => {
  const origin = await startLargeOrigin(t, 100 * MB, 'length')
  const proxy = await startProxy(t, origin.url, { cache: { maxBytes: 400 * MB, maxResponseBytes: 200 * MB } })

  const client = openSocket(proxy.port)
  client.on('error', () => {})
  client.once('data', () => { client.destroy() })
  client.write(get('/'))
  await until(() => client.destroyed)
  await until(() => origin.open() === 0)

  t.ok(origin.taken() < 100 * MB)
  t.equal(proxy.control.stats().cache.entries, 0)
  t.equal(proxy.control.stats().cache.recordingBytes, 0)
})
