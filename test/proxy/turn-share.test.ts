/** What large responses bring is taken in shares for each turn of the event loop, and none of it is lost by that. */
import { get as request } from 'node:http'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { TurnShare } from '../../src/upstream/turn-share.ts'
import { startProxy, until } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'

const kib = 1024
const nextTurn = (): Promise<void> => new Promise(resolve => { setImmediate(resolve) })

/** Takes pieces one after the other, as a socket brings them, and notes each. */
function taker (share: TurnShare, name: string, pieces: number, taken: string[]): { begin (): void } {
  const begin = (): void => {
    while (pieces > 0 && share.take(64 * kib, { goOn: begin })) {
      pieces--
      taken.push(name)
    }
  }
  return { begin }
}

t.test('no more than a share is taken in a turn, by all together, and who waits goes first in the next', async t => {
  const share = new TurnShare()
  const taken: string[] = []
  for (const name of ['a', 'b', 'c']) taker(share, name, 10, taken).begin()
  t.equal(taken.join(''), 'aaaaaaaaaabbbbbb')

  await nextTurn()
  taker(share, 'd', 1, taken).begin()
  t.equal(taken.slice(16).join(''), 'bbbbcccccccccc' + 'd')
  for (let turn = 0; turn < 3; turn++) await nextTurn()
  t.equal(taken.length, 31)
})

t.test('who is many times beyond the share waits as many turns, and so does who comes behind', async t => {
  const share = new TurnShare()
  const taken: string[] = []
  taker(share, 'a', 40, taken).begin()
  taker(share, 'b', 20, taken).begin()

  const perTurn = [taken.length]
  for (let turn = 0; turn < 4; turn++) {
    const before = taken.length
    await nextTurn()
    perTurn.push(taken.length - before)
  }
  t.same(perTurn, [16, 16, 16, 12, 0])
  t.equal(taken.slice(16, 32).join(''), 'a'.repeat(16))
  t.equal(taken.slice(32, 48).join(''), 'b'.repeat(16), 'it has waited longer than who has just had a share')
})

const names = [...'abcdefghij']
const contents = new Map(names.map((name, n) => [name, Buffer.alloc(700 * kib).map((_, i) => i * 31 + n + (i >> 12))]))
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
