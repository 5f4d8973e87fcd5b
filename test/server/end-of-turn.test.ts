/** Hits leave when the turn of the event loop ends in which they were asked for: what else happens to their connections in it. */
import pino from 'pino'
import type { Socket } from 'node:net'
import { setImmediate as turnEnd } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { writeJoined } from '../../plugins/joined-write.ts'
import { behindEndOfTurn } from '../../src/end-of-turn.ts'
import { connectionPair, makeBusy } from '../fixtures/end-of-turn.ts'
import { startProxy, talk, until } from '../fixtures/proxy.ts'
import { response, startRawOrigin } from '../fixtures/raw-origin.ts'

/** Asks for a hit, while `act` is done to its connection at the end of the tick in which it comes; the answer, and the access lines. */
async function askWhile (t: Test, act: (server: Socket) => void): Promise<{ answer: string, lines: Array<Record<string, unknown>> }> {
  const origin = await startRawOrigin(t, () => response('stored', ['Cache-Control: max-age=60']))
  const all: Array<Record<string, unknown>> = []
  const logger = pino({}, { write (line: string) { all.push(JSON.parse(line) as Record<string, unknown>) } })
  const { app, port } = await startProxy(t, origin.url, { logger })
  const ask = (fields: string): string => `GET / HTTP/1.1\r\nHost: proxy.test\r\n${fields}\r\n`
  await talk(port, ask('Connection: close\r\n'))
  await makeBusy(t)
  app.server.once('request', request => { process.nextTick(act, request.socket) })

  const answer = await talk(port, ask(''))
  const lines = (): Array<Record<string, unknown>> => all.filter(line => line['path'] !== undefined)
  await until(() => lines().length === 2)
  await turnEnd()
  return { answer, lines: lines() }
}

t.test('a client that ends its direction in the turn in which it asks gets its hit, as one that does so later', async t => {
  const { answer, lines } = await askWhile(t, server => { server.push(null) })

  t.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*; hit[^]*\r\n\r\nstored$/)
  t.equal(lines.length, 2)
  t.match(lines[1], { status: 200, cache: 'hit' })
  t.notOk(lines[1]?.['aborted'])
})

t.test('a hit whose connection is gone by the end of the turn is logged once, as one that nobody got', async t => {
  const { answer, lines } = await askWhile(t, server => { server.destroy() })

  t.equal(answer, '')
  t.equal(lines.length, 2)
  t.match(lines[1], { status: 200, cache: 'hit', aborted: true, code: 'cancelled' })
})

t.test('an exception of one writer is uncaught, as ever, and what is behind it has its turn', async t => {
  const { server } = await connectionPair(t)
  await makeBusy(t)
  const before = process.listeners('uncaughtException')
  const caught: unknown[] = []
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', error => caught.push(error.message))
  t.teardown(() => {
    process.removeAllListeners('uncaughtException')
    for (const one of before) process.on('uncaughtException', one)
  })
  const seen: string[] = []

  behindEndOfTurn({ turnEnded: () => { seen.push('follower') } })
  t.ok(writeJoined(server, 'a', '', () => { throw new Error('of a') }))
  t.ok(writeJoined(server, 'b', '', () => { seen.push('b') }))
  await until(() => caught.length > 0)

  t.same(seen, ['b', 'follower'])
  t.same(caught, ['of a'])
})
