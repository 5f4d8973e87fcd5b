/** Answers that leave through memory that is used again: whoever is slow gets what was meant for him. */
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as turnEnd } from 'node:timers/promises'
import t from 'tap'
import { writeJoined } from '../../plugins/joined-write.ts'
import { connectionPair, makeBusy } from '../fixtures/end-of-turn.ts'
import { openSocket, startProxy, talk, until } from '../fixtures/proxy.ts'
import { startRawOrigin } from '../fixtures/raw-origin.ts'

const ignore = (): void => {}

t.test('what the system has not taken yet is not written over by what others get', async t => {
  const [slow, quick] = [await connectionPair(t), await connectionPair(t)]
  let expected = ''
  let seen = ''
  // One that reads nothing: what does not fit the system's buffers stays with the process.
  for (let i = 0; slow.server.writableLength === 0; i++) {
    const [head, rest] = [`head ${i}: `, String.fromCharCode(0xc0 + i % 26).repeat(14_000)]
    t.ok(writeJoined(slow.server, head, rest, ignore))
    await turnEnd()
    expected += head + rest
  }
  for (let i = 0; i < 3; i++) {
    const rest = `last ${i}`.repeat(1000)
    t.ok(writeJoined(slow.server, '', rest, ignore))
    expected += rest
  }

  quick.client.on('data', chunk => { seen += chunk.toString('latin1') })
  for (let i = 0; i < 20; i++) t.ok(writeJoined(quick.server, 'quick: ', '.'.repeat(14_000), ignore))
  await until(() => seen.length === 20 * 14_007)

  const chunks: Buffer[] = []
  slow.client.on('data', (chunk: Buffer) => chunks.push(chunk))
  slow.server.end()
  await new Promise(resolve => { slow.client.once('end', resolve) })
  t.ok(Buffer.concat(chunks).toString('latin1') === expected, 'all octets, in order')
  t.ok(seen === `quick: ${'.'.repeat(14_000)}`.repeat(20))
})

t.test('what is written in one turn of the event loop leaves when it ends, and its writer hears of it; or sooner where there is more than memory for it', async t => {
  const pairs = [await connectionPair(t), await connectionPair(t), await connectionPair(t)]
  const seen = pairs.map(() => '')
  pairs.forEach(({ client }, i) => client.on('data', chunk => { seen[i] += chunk.toString('latin1') }))
  const left: string[] = []
  await makeBusy(t)
  const write = (i: number, text: string): void => { t.ok(writeJoined((pairs[i] as { server: Socket }).server, text, 'x'.repeat(text.length), () => { left.push(text) })) }

  write(0, 'a')
  write(1, 'bcd')
  t.same(left, [])
  t.equal(pairs[0]?.server.bytesWritten, 0)
  await turnEnd()
  t.same(left, ['a', 'bcd'])
  await until(() => seen[0] === 'ax' && seen[1] === 'bcdxxx')

  const large = 'z'.repeat(15_000)
  for (let i = 0; i < 9; i++) write(i % 3, large)
  t.equal(left.length, 2 + 8, 'of nine of 30 kB eight, which were 256 KiB with what is left over')
  await turnEnd()
  t.equal(left.length, 2 + 9)
  await until(() => seen.every(text => text.endsWith((large + 'x'.repeat(15_000)).repeat(3))))
})

t.test('what comes alone is written at once, but for one now and then, also after a time when it was not', async t => {
  const { server, client } = await connectionPair(t)
  client.resume()
  let left = 0
  const write = (): void => { t.ok(writeJoined(server, 'head', 'rest', () => { left++ })) }
  for (let i = 0; i < 20; i++) {
    write()
    await turnEnd()
  }

  let waited = 0
  const before = left
  for (let i = 0; i < 170; i++) {
    write()
    if (left === before + i) waited++
    await turnEnd()
    t.equal(left, before + i + 1)
  }
  t.equal(waited, 10)
})

t.test('a turn of which so much comes that most of it has left before its end is none with one alone', async t => {
  const { server, client } = await connectionPair(t)
  client.resume()
  await makeBusy(t)
  let left = 0
  const write = (text: string): void => { t.ok(writeJoined(server, text, '', () => { left++ })) }
  for (let turns = 0; turns < 10; turns++) {
    for (let i = 0; i < 9; i++) write('z'.repeat(30_000))
    await turnEnd()
    while (server.writableLength > 0) await turnEnd()
  }
  t.equal(left, 90)

  write('one that waits for others')
  t.equal(left, 90)
  await turnEnd()
  t.equal(left, 91)
})

t.test('of a connection that is gone by the end of the turn the writer hears as well, and nothing is written to it', async t => {
  const { server } = await connectionPair(t)
  await makeBusy(t)
  let left = 0
  t.ok(writeJoined(server, 'head', 'rest', () => { left++ }))
  server.destroy()

  await turnEnd()
  t.equal(left, 1)
  t.equal(server.bytesWritten, 0)
})

t.test('a piece of the largest content and head fits, a larger one is left to the caller', async t => {
  const { server, client } = await connectionPair(t)
  let seen = ''
  client.on('data', chunk => { seen += chunk.toString('latin1') })

  t.notOk(writeJoined(server, 'head', '.'.repeat(32 * 1024 - 3), ignore))
  t.equal(server.bytesWritten, 0)
  t.ok(writeJoined(server, 'head', '.'.repeat(32 * 1024 - 4), ignore))
  await until(() => seen.length === 32 * 1024)
  t.ok(seen === `head${'.'.repeat(32 * 1024 - 4)}`)
})

t.test('what may keep a piece without saying so gets none: other streams, and a connection with somebody\'s own write', async t => {
  const { server } = await connectionPair(t)
  const kept: unknown[] = []
  const duplex = new Duplex({ read () {}, write (chunk, _encoding, done) { kept.push(chunk); done() } })
  class Own extends Socket {}

  t.notOk(writeJoined(duplex as unknown as Socket, 'head', 'rest', ignore))
  t.notOk(writeJoined(new Own(), 'head', 'rest', ignore))
  server.write = (chunk: unknown) => kept.push(chunk) > 0
  t.notOk(writeJoined(server, 'head', 'rest', ignore))
  t.same(kept, [])
})

t.test('hits of a client that asks for many and does not read are whole, while others get theirs', async t => {
  const body = (name: string): string => `${name} `.repeat(12_000 / (name.length + 1))
  const origin = await startRawOrigin(t, ({ text }) => {
    const [, name = ''] = /^GET \/(\w+)/.exec(text) ?? []
    return `HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: ${body(name).length}\r\nDate: ${new Date().toUTCString()}\r\n\r\n${body(name)}`
  })
  const proxy = await startProxy(t, origin.url)
  const names = ['one', 'seven', 'eleven', 'b']
  const ask = (name: string, close = false): string => `GET /${name} HTTP/1.1\r\nHost: proxy.test\r\n${close ? 'Connection: close\r\n' : ''}\r\n`
  for (const name of names) await talk(proxy.port, ask(name, true))
  const accepted = new Promise<Socket>(resolve => { proxy.app.server.once('connection', resolve) })
  const slow = openSocket(proxy.port)
  slow.pause()
  const server = await accepted
  let count = 0
  // Each behind the answer to the one before: answers that wait for one another are written another way.
  for (; server.writableLength === 0; count++) {
    const before = server.bytesWritten
    slow.write(ask(names[count % 4] as string))
    while (server.bytesWritten === before) await new Promise(resolve => { setImmediate(resolve) })
  }
  const quick = await Promise.all(Array.from({ length: 50 }, (_, i) => talk(proxy.port, ask(names[i % 4] as string, true))))
  let seen = ''
  slow.on('data', chunk => { seen += chunk.toString('latin1') })
  slow.resume()
  slow.write(ask('one', true))
  await new Promise(resolve => { slow.once('close', resolve) })

  t.ok(quick.every((answer, i) => answer.slice(answer.indexOf('\r\n\r\n') + 4) === body(names[i % 4] as string)))
  const contents = seen.split(/HTTP\/1\.1 200 OK\r\n[^]*?\r\n\r\n/).slice(1)
  t.equal(contents.length, count + 1)
  t.ok(contents.every((content, i) => content === body(i === count ? 'one' : names[i % 4] as string)))
  t.equal(seen.match(/; hit/g)?.length, count + 1)
})
