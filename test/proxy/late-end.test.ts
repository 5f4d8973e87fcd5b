/** What ends a connection waits where its parser waits. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { keepEndBack, type EndWatch } from '../../src/upstream/late-end.ts'
import { until } from '../fixtures/proxy.ts'

/** Both ends of a connection, what is read at one of them, and what is heard of its end. */
async function startPair (t: Test): Promise<{ far: Socket, near: Socket, watch: EndWatch, seen: string[] }> {
  const far: Socket[] = []
  const server = createServer(socket => { far.push(socket.on('error', () => {})) })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  const near = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const watch: EndWatch = { parserWaits: false, parserWentOn: () => {} }
  const seen: string[] = []
  keepEndBack(near, watch)
  near.on('readable', () => {
    for (let chunk = near.read() as Buffer | null; chunk !== null; chunk = near.read() as Buffer | null) seen.push(chunk.toString())
  })
  near.on('end', () => { seen.push('end') })
  near.on('error', error => { seen.push((error as NodeJS.ErrnoException).code ?? error.message) })
  near.on('close', () => { seen.push('close') })
  t.teardown(() => {
    near.destroy()
    for (const socket of far) socket.destroy()
    server.close()
  })
  await until(() => far.length === 1)
  return { far: far[0] as Socket, near, watch, seen }
}

const someTurns = (): Promise<void> => new Promise(resolve => { setTimeout(resolve, 50) })

for (const [title, finish, heard] of [
  ['an end', (socket: Socket) => { socket.end() }, ['end', 'close']],
  ['a reset', (socket: Socket) => { socket.resetAndDestroy() }, ['UPSTREAM_RESET', 'close']]
] as const) {
  t.test(`${title} is heard at once where the parser goes on`, async t => {
    const { far, watch, seen } = await startPair(t)
    far.write('content')
    await until(() => seen.length === 1)
    watch.parserWentOn()
    finish(far)
    await until(() => seen.includes('close'))
    t.same(seen, ['content', ...heard])
  })

  t.test(`${title} is not heard as long as the parser waits, however often it goes on and waits again`, async t => {
    const { far, watch, seen } = await startPair(t)
    far.write('content')
    await until(() => seen.length === 1)
    watch.parserWaits = true
    finish(far)
    await someTurns()
    watch.parserWentOn()
    await someTurns()
    t.same(seen, ['content'])

    watch.parserWaits = false
    watch.parserWentOn()
    await until(() => seen.includes('close'))
    t.same(seen, ['content', ...heard])
  })
}

t.test('who breaks the connection off on this side does not wait', async t => {
  const { far, near, watch, seen } = await startPair(t)
  watch.parserWaits = true
  far.end()
  await someTurns()
  near.destroy(new Error('cancelled'))
  await until(() => seen.includes('close'))
  t.same(seen, ['cancelled', 'close'])
  watch.parserWaits = false
  watch.parserWentOn()
})
