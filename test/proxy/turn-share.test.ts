/** What large responses bring is taken in shares for each turn of the event loop, and none of it is lost by that. */
import { get as request } from 'node:http'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { Portion, TurnShare } from '../../src/upstream/turn-share.ts'
import { startProxy, until } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'

const kib = 1024
const nextTurn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

/** A response of so many pieces, which come as fast as they are taken, and are noted. */
function respond (share: TurnShare, name: string, pieces: number, taken: string[]): void {
  const portion = new Portion(share)
  const waiting = { goOn (): void { come() } }
  const nextPortion = {
    goOn (): void {
      portion.goOn()
      come()
    }
  }
  function come (): void {
    while (pieces > 0) {
      if (!portion.mayTake(waiting)) return
      pieces--
      taken.push(name)
      if (!portion.take(64 * kib) && pieces > 0) return share.wait(nextPortion)
    }
  }
  come()
}

t.test('none begins when all have had their share, and who waits is first in the next turn', async t => {
  const share = new TurnShare()
  const taken: string[] = []
  const taking = (): string => taken.splice(0).join('')
  for (const name of ['a', 'b', 'c', 'd']) respond(share, name, 6, taken)
  t.equal(taking(), 'aaaaaabbbbbb', 'c and d wait; b has begun and comes to its end')

  await nextTurn()
  respond(share, 'e', 1, taken)
  t.equal(taking(), 'ccccccdddddd', 'who is new is behind them')
  await nextTurn()
  t.equal(taking(), 'e')
  await nextTurn()
  t.equal(taking(), '')
})

t.test('who has had a portion goes on in another turn, behind who came before, and has it for itself', async t => {
  const share = new TurnShare()
  const taken: string[] = []
  const taking = (): string => taken.splice(0).join('')
  respond(share, 'a', 40, taken)
  respond(share, 'b', 20, taken)
  respond(share, 'c', 1, taken)
  t.equal(taking(), 'a'.repeat(17))

  const turns: string[] = []
  for (let turn = 0; turn < 6; turn++) {
    await nextTurn()
    turns.push(taking())
  }
  t.same(turns, ['a'.repeat(17), 'b'.repeat(17), 'c' + 'a'.repeat(6), 'bbb', '', ''])
})

const names = [...'abcdefghij']
const contents = new Map(names.map((name, n) => [name, Buffer.alloc(1500 * kib).map((_, i) => i * 31 + n + (i >> 12))]))
const content = (name: string): Buffer => contents.get(name) as Buffer

for (const [framing, endOf] of [['length', 'stays open'], ['chunked', 'stays open'], ['length', 'closes'], ['close', 'closes']] as const) {
  t.test(`many large responses at once arrive whole, whoever has to wait for a share (framing by ${framing}, the connection ${endOf})`, async t => {
    const origin = await startRawOrigin(t, ({ socket, text }) => {
      const bytes = content(/^GET \/(\w)/.exec(text)?.[1] as string)
      const fields = `Cache-Control: max-age=60\r\n${endOf === 'closes' ? 'Connection: close\r\n' : ''}`
      if (framing === 'chunked') socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n0\r\n\r\n')]))
      else socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\n${fields}${framing === 'length' ? `Content-Length: ${bytes.length}\r\n` : ''}\r\n`), bytes]))
      if (endOf === 'closes') socket.end()
    })
    const proxy = await startProxy(t, origin.url)
    const ask = (name: string): Promise<Buffer> => new Promise((resolve, reject) => {
      request({ port: proxy.port, path: `/${name}`, agent: false }, response => { buffer(response).then(resolve, reject) }).on('error', reject)
    })

    const first = await Promise.all(names.map(ask))
    const again = await Promise.all(names.map(ask))

    for (const [i, name] of names.entries()) {
      t.ok(first[i]?.equals(content(name)), `${name} as it passes`)
      t.ok(again[i]?.equals(content(name)), `${name} as it is stored`)
    }
    t.equal(origin.requests.length, names.length)
  })
}

t.test('a client that leaves while its response waits for a share ends it, and the others go on', async t => {
  const origin = await startRawOrigin(t, ({ socket }) => {
    socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${8192 * kib}\r\n\r\n`), Buffer.alloc(8192 * kib, 'x')]))
  })
  const proxy = await startProxy(t, origin.url)
  let whole = 0
  let left = 0
  for (let i = 0; i < 8; i++) {
    const client = request({ port: proxy.port, path: `/${i}`, agent: false }, response => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (i % 2 === 1) client.destroy()
      })
      response.on('error', () => {})
      response.on('close', () => { bytes === 8192 * kib ? whole++ : left++ })
    })
    client.on('error', () => {})
  }

  await until(() => whole + left === 8)
  t.same([whole, left], [4, 4])
  await until(() => origin.open <= 4)
})

for (const [framing, ending] of [['Content-Length: 60000\r\nConnection: close', 'end'], ['Content-Length: 60000', 'end'], ['Connection: close', 'end'], ['Content-Length: 60000', 'reset']] as const) {
  t.test(`a response that has come to its end while it waits for a share is whole (${framing.replace('\r\n', ', ')}; then ${ending})`, async t => {
    const askers = 60
    const sockets: Socket[] = []
    const origin = await startRawOrigin(t, ({ socket }) => {
      sockets.push(socket)
      if (sockets.length < askers) return
      for (const each of sockets) {
        each.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n${'x'.repeat(60_000)}`)
        // In the next turn of the event loop: the content has come, and most of it waits.
        if (ending === 'end') each.end()
        else setImmediate(() => setImmediate(() => { each.resetAndDestroy() }))
      }
    })
    const proxy = await startProxy(t, origin.url)

    const lengths = await Promise.all(Array.from({ length: askers }, (_, i) => new Promise<number>(resolve => {
      request({ port: proxy.port, path: `/${i}`, agent: false }, response => {
        let bytes = 0
        response.on('data', (chunk: Buffer) => { bytes += chunk.length })
        response.on('error', () => {})
        response.on('close', () => { resolve(response.complete ? bytes : -1) })
      }).on('error', () => { resolve(-1) })
    })))

    t.same(lengths, lengths.map(() => 60_000))
  })
}
